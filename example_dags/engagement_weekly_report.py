"""The weekly report: a collection of Tweets, their counts, and a page that says what worked.

Every Monday it writes ``report.html`` and CSV files about the week before into a bucket. The task
``report`` has a link to the page. Airflow Variables, connections and the pool are those of
``engagement_daily``:

``engagement_tweet_ids``
    the collection: a list of ids; or the URI of a file or of a folder of exports from X. A CSV file
    with the columns ``tweet_id`` and ``campaign`` among them says which campaigns to compare
``engagement_table``
    the BigQuery table of the counts, such as ``reporting.engagement``. The Tweets' texts are in
    ``reporting.engagement_tweets``, and the views beside them, such as
    ``reporting.engagement_daily``
``engagement_bucket``
    the bucket for the report
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

# On Airflow 3 a plain cron string creates runs with an empty data interval. With this timetable
# runs are whole weeks, on 2.11 and on 3.x.
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_engagement.operators.report import (
    EngagementReportOperator,
    EngagementViewsOperator,
)
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)

TWEET_IDS = "{{ var.value.engagement_tweet_ids }}"
TABLE = "{{ var.value.engagement_table }}"

with DAG(
    dag_id="engagement_weekly_report",
    description="A page on the week: what happened, which Tweets and campaigns worked",
    schedule=CronDataIntervalTimetable("0 0 * * 1", timezone="UTC"),
    start_date=datetime(2026, 1, 5, tzinfo=UTC),
    catchup=False,  # the API returns counts to date only as they are now
    default_args={"pool": "engagement_api", "retry_delay": timedelta(minutes=5)},
    tags=["engagement"],
    doc_md=__doc__,
):
    totals = EngagementToBigQueryOperator(
        task_id="totals_to_bigquery",
        tweet_ids=TWEET_IDS,
        destination_table=TABLE,
    )
    tweets = EngagementTweetsToBigQueryOperator(
        task_id="tweets_to_bigquery",
        tweet_ids=TWEET_IDS,
        destination_table=f"{TABLE}_tweets",
        # A Tweet that has been deleted loses its text. The totals say which those are.
        coverage_table=f"{TABLE}_coverage",
    )
    days = EngagementToBigQueryOperator(
        task_id="days_to_bigquery",
        endpoint="historical",
        tweet_ids=TWEET_IDS,
        # With the week these are 28 days, which cost as many requests as the week alone. The
        # report compares with the week before.
        lookback=timedelta(days=21),
        destination_table=TABLE,
    )
    growth = EngagementToBigQueryOperator(
        task_id="growth_to_bigquery",
        endpoint="historical",
        tweet_ids=TWEET_IDS,
        # The first 28 days of each Tweet by hour, so that Tweets and campaigns are compared at the
        # same age. The rate needs these two types, and each is 673 rows for a Tweet.
        since_posting=timedelta(days=28),
        granularity="hour",
        engagement_types=["impressions", "engagements"],
        destination_table=TABLE,
    )
    views = EngagementViewsOperator(
        task_id="views",
        table=TABLE,
        tweets_table=f"{TABLE}_tweets",
    )
    report = EngagementReportOperator(
        task_id="report",
        table=TABLE,
        tweets_table=f"{TABLE}_tweets",
        output_path="gs://{{ var.value.engagement_bucket }}/reports/{{ data_interval_end | ds }}/",
        title="The week of {{ data_interval_start | ds }}",
    )
    totals >> tweets
    [tweets, days, growth] >> views >> report
