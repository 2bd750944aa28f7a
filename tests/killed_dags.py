"""The DAGs of test_killed.py: a pull into a bucket, one into a table, and some that fail.

Airflow has a copy of this file in its DAGs folder. Connections come from the environment.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_engagement.api import client
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

# A request is sent once, so that a try of the task fails at once and Airflow retries it.
client.RetryPolicy = lambda: RetryPolicy(budget=0)  # type: ignore[misc,assignment]  # a stand-in

# Holds the ids, and the process ids of the tasks.
FOLDER = Path(os.environ["KILLED_FOLDER"])


def write_pid(context: Any) -> None:
    """Write the id of the process that runs a try of a task, before it starts."""
    instance = context["ti"]
    path = FOLDER / f"{instance.run_id}.{instance.task_id}.{instance.try_number}"
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(str(os.getpid()))
    unfinished.replace(path)


def of_run(name: str) -> str:
    return f"{{{{ dag_run.conf['{name}'] }}}}"


SHARED: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "default_args": {"retry_delay": timedelta(seconds=1)},
}

with DAG("killed", schedule=None, **SHARED):
    common: dict[str, Any] = {
        "endpoint": "historical",
        "engagement_types": ["impressions", "favorites"],
        "start": of_run("start"),
        "on_execute_callback": write_pid,
    }
    # A Tweet's count of one window is a part of its sum.
    EngagementToGCSOperator(
        task_id="to_gcs",
        engagement_conn_id="acme",
        tweet_ids=f"file://{FOLDER}/acme.txt",
        granularity="total",
        end=of_run("end"),
        bucket=of_run("bucket"),
        **common,
    )
    EngagementToBigQueryOperator(
        task_id="to_bigquery",
        engagement_conn_id="globex",
        tweet_ids=f"file://{FOLDER}/globex.txt",
        end=of_run("next_day"),
        destination_table=of_run("table"),
        staging_bucket=of_run("bucket"),
        **common,
    )

# Without `retries` a task has the default of the operators.
RETRIES: dict[str, dict[str, int]] = {"throttled": {}, "refused": {"retries": 3}, "broken": {}}

for name, retries in RETRIES.items():
    with DAG(name, schedule=None, **SHARED):
        wanted: dict[str, Any] = {"tweet_ids": f"file://{FOLDER}/few.txt", **retries}
        EngagementTotalsOperator(task_id="alone", engagement_conn_id=f"{name}_0", **wanted)
        EngagementTotalsOperator.partial(task_id="mapped", **wanted).expand(
            engagement_conn_id=[f"{name}_1", f"{name}_2"]
        )
