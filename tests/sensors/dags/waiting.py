"""The DAG of test_on_airflow.py: sensors that succeed, and sensors that need a change."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = os.environ["WAITING_DAG_IDS"].split(",")


def every_mode() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "poke", {"mode": "poke"}
    yield "reschedule", {"mode": "reschedule"}
    yield "deferred", {"deferrable": True}


with DAG(dag_id="waiting", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task
    def one_id(place: int) -> str:
        return IDS[place]

    @task
    def rows() -> list[list[str]]:
        return [[tweet_id] for tweet_id in IDS]

    mapped = one_id.expand(place=list(range(len(IDS))))
    for name, mode in every_mode():
        given: dict[str, Any] = {
            "thresholds": {"impressions": 0},
            "require": "all",
            "soft_fail": True,
            "poke_interval": 1,
            "timeout": 60,
            **mode,
        }
        EngagementThresholdSensor(task_id=f"mapped_{name}", tweet_ids=mapped, **given)
        EngagementThresholdSensor(task_id=f"rows_{name}", tweet_ids=rows(), **given)
        EngagementThresholdSensor(
            task_id=f"wrong_keys_{name}", tweet_ids=IDS, engagement_conn_id="wrong_keys", **given
        )
        EngagementThresholdSensor(
            task_id=f"no_connection_{name}", tweet_ids=IDS, engagement_conn_id="nowhere", **given
        )
        EngagementThresholdSensor(
            task_id=f"misspelt_{name}", tweet_ids=IDS, **{**given, "thresholds": {"likes": 1}}
        )
        EngagementThresholdSensor(
            task_id=f"unreachable_{name}", tweet_ids=IDS, **{**given, "require": len(IDS) + 1}
        )
