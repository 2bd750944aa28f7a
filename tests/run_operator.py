"""Runs an operator as a task would, with a stand-in for Airflow's context."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_engagement.simulator.world import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pytest

    from airflow_provider_engagement.operators.base import EngagementPullOperator
    from airflow_provider_engagement.simulator import World

NOW = datetime.now(UTC).replace(microsecond=0)
CONN_ID = "engagement_test"


@dataclass(slots=True)
class TaskInstance:
    """A stand-in with the attributes that operators read."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1
    try_number: int = 1
    max_tries: int = 3
    region_id: str | None = None
    xcoms: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: object) -> None:
        self.xcoms[key] = through_json(value)


@dataclass(slots=True)
class TaskResult:
    """What a task returned and pushed as XComs."""

    value: Any
    xcoms: dict[str, Any]

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = self.xcoms["summary"]
        return found


def through_json(value: object) -> Any:
    """Return a value as an XCom backend reads it back; fail if JSON changes it."""
    text = json.dumps(value)
    assert json.loads(text) == value
    return json.loads(text)


def run(
    operator: EngagementPullOperator,
    *,
    at: datetime | None = None,
    dag_id: str = "a_dag",
    run_id: str = "manual__1",
    map_index: int = -1,
    try_number: int = 1,
    max_tries: int = 3,
    region_id: str | None = None,
    run_type: str = "scheduled",
    dag: object = None,
    variables: Mapping[str, Any] | None = None,
) -> TaskResult:
    """Render an operator's templates and execute it.

    :param at: the end of the run's data interval, and its logical date.
    :param dag: the DAG that a mapped task is looked up in.
    :param region_id: the pass of a loop that the task belongs to, as Airflow 3.4 has it.
    """
    moment = at or NOW - timedelta(minutes=5)
    instance = TaskInstance(
        dag_id, operator.task_id, run_id, map_index, try_number, max_tries, region_id
    )
    context: dict[str, Any] = {
        "ti": instance,
        "task_instance": instance,
        "task": operator,
        "dag_run": SimpleNamespace(
            run_after=moment,
            partition_key=None,
            run_id=run_id,
            run_type=run_type,
            start_date=NOW,
        ),
        **({"dag": dag} if dag is not None else {}),
        "logical_date": moment,
        "data_interval_start": moment - timedelta(days=1),
        "data_interval_end": moment,
        **(variables or {}),
    }
    operator.render_template_fields(context)  # type: ignore[arg-type]  # a stand-in
    value = operator.execute(context)  # type: ignore[arg-type]  # a stand-in
    return TaskResult(through_json(value), instance.xcoms)


def connect(
    monkeypatch: pytest.MonkeyPatch, connection: Mapping[str, Any], conn_id: str = CONN_ID
) -> None:
    """Define an Airflow connection in the environment."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))


def snapshot_window(moment: datetime) -> dict[str, str]:
    """Return the window that a task reports for counts of a moment."""
    return {"snapshot_at": moment.isoformat().replace("+00:00", "Z")}


def expected_counts(
    world: World, tweet_ids: Sequence[str], types: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Return the counts that the simulated world has now, by Tweet and type."""
    now = np.array([milliseconds(world.now())])
    table = world.counts(tweet_ids, tuple(types), now)[:, :, 0].tolist()
    return {
        (item, name): value
        for item, row in zip(tweet_ids, table, strict=True)
        for name, value in zip(types, row, strict=True)
    }


def counts(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], int]:
    """Return the rows' values by Tweet and type; fail if a row occurs twice."""
    found = {(row["tweet_id"], row["engagement_type"]): row["value"] for row in rows}
    assert len(found) == len(rows), "a count occurs twice"
    return found
