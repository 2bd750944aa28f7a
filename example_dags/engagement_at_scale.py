"""Counts of a million Tweets and more: pulled in shards to a bucket, then loaded in one go.

Eight tasks pull an eighth of the collection each, on as many workers as there are. Each Tweet is in
one shard, and each shard has a folder of its own in the bucket. When all of them have succeeded,
one task loads the folders into BigQuery, with one load job and one transaction. If a shard fails,
nothing is loaded: clear it, and the load follows.

The Airflow Variables are those of the daily DAG: ``engagement_tweet_ids``, ``engagement_table`` and
``engagement_bucket``. For a large collection ``engagement_tweet_ids`` is the URI of a file or a
folder, which each task reads for itself.

All workers share the contract's requests per minute if the connection ``engagement_default`` has
the extra ``rate_limit_conn_id``. The pool and ``max_active_tis_per_dag`` decide how many shards are
pulled at once::

    airflow pools set engagement_api 4 "requests to the Engagement API" --include-deferred
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_engagement.transfers.engagement_gcs_to_bigquery import (
    EngagementGCSToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

SHARDS = 8

with DAG(
    dag_id="engagement_at_scale",
    description="Counts to date of a large Tweet collection: shards to a bucket, then one load",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,  # the API returns counts to date only as they are now
    default_args={"retry_delay": timedelta(minutes=5)},
    tags=["engagement"],
    doc_md=__doc__,
):
    shards = EngagementToGCSOperator.partial(
        task_id="totals_to_bucket",
        tweet_ids="{{ var.value.engagement_tweet_ids }}",
        bucket="{{ var.value.engagement_bucket }}",
        pool="engagement_api",
        max_active_tis_per_dag=4,
    ).expand(shard=[f"{index}/{SHARDS}" for index in range(SHARDS)])
    EngagementGCSToBigQueryOperator(
        task_id="bucket_to_bigquery",
        uris=shards.output,
        destination_table="{{ var.value.engagement_table }}",
    )
