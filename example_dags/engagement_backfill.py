r"""A stretch of history, day by day, filled in by Airflow's own backfill.

One run is one interval of 28 days, which is what the service gives for one request: a year costs
14 windows for every 25 Tweets, where a run a day would cost 365. The intervals are counted from
the first day of the range. The last one, which has not ended, is left to the daily DAG.

Start it in the UI (Trigger, Backfill) or, with a date that means its midnight as the end::

    airflow backfill create --dag-id engagement_backfill \
        --from-date 2025-11-01 --to-date 2026-11-18

Airflow 2.11 says ``airflow dags backfill engagement_backfill --start-date ... --end-date ...``.

Runs may go side by side, be repeated and fail in the middle: the table ends the same. The Airflow
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
    catchup=False,  # a backfill says which runs it wants
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
