r"""Daily counts of the past, pulled by Airflow's own backfill.

One run is one interval of 28 days, which is the longest window of one request: a year costs 14
requests for every 25 Tweets, where a run a day would cost 365. The first interval begins on the
first day of the backfill. The last one has not ended; leave it to the daily DAG.

Start it in the UI (Trigger, Backfill) or with this command. The end is the midnight that begins
its date::

    airflow backfill create --dag-id engagement_backfill \
        --from-date 2025-11-01 --to-date 2026-11-18

Airflow 2.11 says ``airflow dags backfill engagement_backfill --start-date ... --end-date ...``.

Runs may overlap, be repeated or fail halfway: the table is the same in the end. The Airflow
Variables are those of the daily DAG, and the table may be the same one.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import DeltaDataIntervalTimetable

from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)

with DAG(
    dag_id="engagement_backfill",
    description="Daily counts of a Tweet collection, 28 days a run, into BigQuery",
    schedule=DeltaDataIntervalTimetable(timedelta(days=28)),
    start_date=datetime(2025, 11, 1, tzinfo=UTC),
    catchup=False,  # only a backfill creates runs of the past
    max_active_runs=4,
    default_args={"pool": "engagement_api", "retry_delay": timedelta(minutes=5)},
    tags=["engagement"],
    doc_md=__doc__,
):
    EngagementToBigQueryOperator(
        task_id="days_to_bigquery",
        endpoint="historical",
        granularity="day",
        tweet_ids="{{ var.value.engagement_tweet_ids }}",
        destination_table="{{ var.value.engagement_table }}",
    )
