"""A pull that its execution_timeout would cut off stops before, and the next try goes on."""

from __future__ import annotations

import io
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run

from airflow_provider_engagement.api.errors import DeadlineExceededError
from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.operators.reporting import PROGRESS_KEY
from airflow_provider_engagement.pull import fetch as progress_module
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.cloud.storage import Bucket

    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("airflow_home")

TWEETS, REQUESTS, CONCURRENCY = 2000, 8, 2
# After how many answers the time is nearly up.
ANSWERED = 3
TIMEOUT = timedelta(hours=1)
TYPES = ENDPOINTS["totals"].engagement_types


@pytest.fixture
def world() -> World:
    return World(seed=4, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", TWEETS, since=NOW - timedelta(days=80), until=NOW)


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        held = simulator.connection("acme")
        held["extra"]["max_concurrency"] = CONCURRENCY
        connect(monkeypatch, held)
        yield simulator


@pytest.fixture
def late(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock jump to the end of the task's time once some requests are answered."""

    def monotonic() -> float:
        jumped = len(simulator.requests) >= ANSWERED
        return time.monotonic() + jumped * (TIMEOUT.total_seconds() - 30)

    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=monotonic))


def to_bucket(ids: list[str], bucket: Bucket, **more: Any) -> EngagementToGCSOperator:
    return EngagementToGCSOperator(
        task_id="pull", tweet_ids=ids, bucket=bucket.name, engagement_conn_id=CONN_ID, **more
    )


def written_counts(bucket: Bucket, uris: list[str]) -> dict[tuple[str, str], int]:
    rows: list[dict[str, Any]] = []
    for uri in uris:
        data = bucket.blob(uri.removeprefix(f"gs://{bucket.name}/")).download_as_bytes()
        rows += pq.read_table(io.BytesIO(data)).to_pylist()
    return counts(rows)


@pytest.mark.usefixtures("late")
def test_a_try_stops_before_the_timeout_and_the_next_continues_it(
    world: World,
    ids: list[str],
    simulator: Simulator,
    bucket: Bucket,
    *,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = rf"execution_timeout is near: \d of {REQUESTS} requests done\..* only the others"
    with pytest.raises(DeadlineExceededError, match=message):
        run(to_bucket(ids, bucket, execution_timeout=TIMEOUT))
    sent = len(simulator.requests)
    assert ANSWERED <= sent <= ANSWERED + CONCURRENCY
    monkeypatch.setattr(progress_module, "time", time)

    ran = run(to_bucket(ids, bucket, execution_timeout=TIMEOUT), try_number=2)
    assert ran.summary["requests_resumed"] == sent
    assert len(simulator.requests) == REQUESTS
    assert written_counts(bucket, ran.value["uris"]) == expected_counts(world, ids, TYPES)
    assert not [blob.name for blob in bucket.list_blobs() if "_staging" in blob.name]


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize(
    ("timeout", "try_number"), [(TIMEOUT, 4), (None, 1)], ids=["the last try", "no timeout"]
)
def test_a_try_that_is_not_continued_uses_all_its_time(
    world: World,
    ids: list[str],
    simulator: Simulator,
    bucket: Bucket,
    *,
    timeout: timedelta | None,
    try_number: int,
) -> None:
    ran = run(to_bucket(ids, bucket, execution_timeout=timeout), try_number=try_number)
    assert len(simulator.requests) == REQUESTS
    assert written_counts(bucket, ran.value["uris"]) == expected_counts(world, ids, TYPES)


@pytest.mark.usefixtures("late")
def test_a_try_without_checkpoints_uses_all_its_time(
    world: World, ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    operator = EngagementToBigQueryOperator(
        task_id="pull",
        tweet_ids=ids,
        destination_table=f"{dataset}.totals",
        engagement_conn_id=CONN_ID,
        execution_timeout=TIMEOUT,
    )
    run(operator)
    assert len(simulator.requests) == REQUESTS
    rows = bigquery.rows(f"SELECT * FROM {dataset}.totals")  # noqa: S608 - a table of this test
    assert counts(rows) == expected_counts(world, ids, TYPES)


def test_a_plan_that_takes_longer_than_the_timeout_is_warned_of(
    ids: list[str],
    simulator: Simulator,
    bucket: Bucket,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = simulator.connection("acme")
    held["extra"]["requests_per_minute"] = '{"totals": 1}'
    connect(monkeypatch, held)
    operator = to_bucket(ids, bucket, execution_timeout=timedelta(minutes=5), plan_only=True)
    run(operator)
    # Airflow 3 prints what an operator logs.
    logged = capsys.readouterr().out + caplog.text
    assert "that takes 480 s, and the execution_timeout is 300 s" in logged


class Store:
    """As much of Airflow's task state store as a task writes to."""

    def __init__(self, *, broken: bool = False) -> None:
        self.broken = broken
        self.held: dict[str, Any] = {}

    def set(self, key: str, value: Any) -> None:
        if self.broken:
            raise ConnectionError
        self.held[key] = value


@pytest.mark.usefixtures("simulator")
def test_progress_shows_in_the_task_state_store(ids: list[str], bucket: Bucket) -> None:
    store = Store()
    run(to_bucket(ids, bucket), variables={"task_state_store": store})
    progress_shown = store.held[PROGRESS_KEY]
    assert (progress_shown["requests_answered"], progress_shown["requests_planned"]) == (
        REQUESTS,
        REQUESTS,
    )
    assert progress_shown["seconds_left"] == 0


@pytest.mark.usefixtures("simulator")
def test_a_pull_succeeds_when_the_state_store_fails(
    world: World, ids: list[str], bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    ran = run(to_bucket(ids, bucket), variables={"task_state_store": Store(broken=True)})
    assert written_counts(bucket, ran.value["uris"]) == expected_counts(world, ids, TYPES)
    assert "Progress cannot be shown: ConnectionError" in caplog.text
