"""The DAG of test_secrets.py: every destination, every mode of the sensor, and failures."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

IDS = os.environ["SECRET_DAG_IDS"].split(",")
TYPES = ["impressions", "favorites"]
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

with DAG(
    dag_id="secrets",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 2, "retry_delay": timedelta(seconds=1)},
):
    wanted = {"tweet_ids": IDS, "engagement_types": TYPES}
    EngagementToGCSOperator(
        task_id="to_gcs", bucket=os.environ["SECRET_DAG_BUCKET"], file_format="jsonl", **wanted
    )
    EngagementToBigQueryOperator(
        task_id="to_bigquery",
        endpoint="historical",
        destination_table=os.environ["SECRET_DAG_TABLE"],
        staging_bucket=os.environ["SECRET_DAG_BUCKET"],
        start=TODAY - timedelta(days=3),
        end=TODAY,
        **wanted,
    )
    EngagementTotalsOperator(
        task_id="to_file", output_path=f"file://{os.environ['SECRET_DAG_FILE']}", **wanted
    )
    EngagementTotalsOperator(task_id="rows", **wanted)
    EngagementTotalsOperator(
        task_id="exchanged",
        tweet_ids=IDS,
        engagement_types=["favorites"],
        engagement_conn_id="engagement_public",
    )
    EngagementThresholdSensor(
        task_id="wait",
        tweet_ids=IDS,
        thresholds={"favorites": 0},
        deferrable=True,
        poke_interval=1,
        timeout=60,
    )
    refused = {"tweet_ids": IDS, "engagement_conn_id": "engagement_refused"}
    EngagementTotalsOperator(task_id="refused", **refused)
    EngagementToGCSOperator(
        task_id="refused_on_the_way", bucket=os.environ["SECRET_DAG_BUCKET"], **refused
    )
    EngagementThresholdSensor(
        task_id="wait_refused", thresholds={"favorites": 0}, deferrable=True, **refused
    )
