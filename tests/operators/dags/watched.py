"""DAGs of which tests look at what Airflow keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Asset
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

try:
    from airflow.sdk import PartitionedAssetTimetable, PartitionedAtRuntime
except ImportError:  # Airflow 2
    PartitionedAtRuntime = None

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = {"start_date": BEGIN, "catchup": False, "is_paused_upon_creation": False}
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

IDS = "{{ var.value.engagement_tweet_ids }}"
FEW = ("{{ var.json.engagement_tweet_ids[0] }}", "{{ var.json.engagement_tweet_ids[1] }}")
TABLE = "{{ var.value.engagement_table }}"
BUCKET = "{{ var.value.engagement_bucket }}"

IN_TABLE, IN_BUCKET = Asset("engagement://table/"), Asset("engagement://bucket/")

with DAG("to_table", schedule=DAILY, **SETTINGS):
    EngagementToBigQueryOperator(
        task_id="pull", tweet_ids=IDS, destination_table=TABLE, outlets=[IN_TABLE]
    )

with DAG("to_bucket", schedule=DAILY, **SETTINGS):
    EngagementToGCSOperator(
        task_id="pull",
        endpoint="historical",
        # As people write them: the rendered fields show what became of them.
        tweet_ids=FEW,
        engagement_types=["favorites", "impressions"],
        start=TODAY - timedelta(days=3, hours=19),
        end=(TODAY - timedelta(days=2)).date(),
        lookback=timedelta(days=2),
        max_missing_share=0.25,
        bucket=BUCKET,
        object_prefix="reports of {{ dag.dag_id }}",
        outlets=[IN_BUCKET],
    )

with DAG("to_nowhere", schedule=DAILY, **SETTINGS):
    EngagementToBigQueryOperator(
        task_id="pull", tweet_ids="[]", destination_table=TABLE, outlets=[IN_TABLE]
    )

with DAG("refused", schedule=DAILY, **SETTINGS):
    EngagementToBigQueryOperator(
        task_id="pull",
        endpoint="28hr",
        granularity="total",
        tweet_ids=IDS,
        engagement_conn_id="engagement_bolt",
        destination_table=TABLE,
        max_missing_share=0.1,
        retries=0,
    )

with DAG("owners", schedule=DAILY, **SETTINGS):
    EngagementToBigQueryOperator.partial(
        task_id="pull", tweet_ids=IDS, destination_table=TABLE
    ).expand(engagement_conn_id=["engagement_acme", "engagement_bolt"])

OWNERS = ["engagement_acme", "engagement_bolt"]
FOLDER = "{{ var.value.engagement_folder }}"

with DAG("one_file", schedule=DAILY, **SETTINGS):
    EngagementTotalsOperator.partial(
        task_id="pull", tweet_ids=FEW, output_path=f"{FOLDER}/one.jsonl", retries=0
    ).expand(engagement_conn_id=OWNERS)

with DAG("files", schedule=DAILY, **SETTINGS):
    EngagementTotalsOperator.partial(
        task_id="pull",
        tweet_ids=FEW,
        output_path=FOLDER + "/{{ task.engagement_conn_id }}.jsonl",
        engagement_types=["favorites"],
    ).expand(engagement_conn_id=OWNERS)

with DAG("after_table", schedule=[IN_TABLE], **SETTINGS):
    EngagementTotalsOperator(task_id="pull", tweet_ids=["20"])

if PartitionedAtRuntime is not None:
    BY_DAY = Asset("engagement://days/")

    with DAG("to_days", schedule=PartitionedAtRuntime(), **SETTINGS):
        EngagementToGCSOperator(
            task_id="pull",
            endpoint="historical",
            granularity="hour",
            tweet_ids=FEW,
            bucket=BUCKET,
            outlets=[BY_DAY],
            start=TODAY - timedelta(days=3, hours=2),
            end=TODAY - timedelta(days=1, hours=2),
        )

    with DAG("after_day", schedule=PartitionedAssetTimetable(assets=BY_DAY), **SETTINGS):
        EngagementTotalsOperator(task_id="pull", tweet_ids=["20"])
