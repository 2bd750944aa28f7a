"""The daily engagement report: a collection of Tweets, and their counts to date and by day.

Set three Airflow Variables, two connections (``engagement_default``, ``google_cloud_default``)
and a pool, and deploy this file as it is:

``engagement_tweet_ids``
    the collection: a list of ids; or the URI of a file, such as ``gs://my-bucket/tweet_ids.txt``,
    or of a folder of exports from X, such as ``gs://my-bucket/inbox/``
``engagement_table``
    the BigQuery table of the counts, such as ``reporting.engagement``; it is created if it does not
    exist, and so is ``reporting.engagement_tweets``, which has the Tweets' texts and links as far
    as the collection has them
``engagement_bucket``
    the bucket for the Parquet files

The pool keeps tasks on several machines within the rate limit of the app's contract:
``airflow pools set engagement_api 4 "requests to the Engagement API" --include-deferred``
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

# On Airflow 3 a plain cron string creates runs with an empty data interval. With this timetable
# runs are whole days, on 2.11 and on 3.x.
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)

TWEET_IDS = "{{ var.value.engagement_tweet_ids }}"

with DAG(
    dag_id="engagement_daily",
    description="A Tweet collection and its counts, to date and by day, into BigQuery and a bucket",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # the API returns counts to date only as they are now
    default_args={"pool": "engagement_api", "retry_delay": timedelta(minutes=5)},
    tags=["engagement"],
    doc_md=__doc__,
):
    totals = EngagementToBigQueryOperator(
        task_id="totals_to_bigquery",
        tweet_ids=TWEET_IDS,
        destination_table="{{ var.value.engagement_table }}",
    )
    tweets = EngagementTweetsToBigQueryOperator(
        task_id="tweets_to_bigquery",
        tweet_ids=TWEET_IDS,
        destination_table="{{ var.value.engagement_table }}_tweets",
        # A Tweet that has been deleted loses its text. The totals say which those are.
        coverage_table="{{ var.value.engagement_table }}_coverage",
    )
    totals >> tweets
    EngagementToBigQueryOperator(
        task_id="days_to_bigquery",
        endpoint="historical",
        tweet_ids=TWEET_IDS,
        # A request costs the same for one day as for 28, and later corrections by the service
        # reach the table.
        lookback=timedelta(days=27),
        destination_table="{{ var.value.engagement_table }}",
    )
    EngagementToGCSOperator(
        task_id="totals_to_bucket",
        tweet_ids=TWEET_IDS,
        bucket="{{ var.value.engagement_bucket }}",
    )
