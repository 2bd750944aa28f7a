"""What a pull leaves in its bucket when its process ends after the write, or before."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from run_operator import CONN_ID, NOW, run

from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.operators.base import EngagementPullOperator

pytestmark = pytest.mark.usefixtures("airflow_home")

DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0)
COMMON: dict[str, Any] = {
    "task_id": "days",
    "endpoint": "historical",
    "engagement_types": ["impressions"],
    "engagement_conn_id": CONN_ID,
}


@pytest.fixture
def world() -> World:
    return World(seed=12, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(simulator: Simulator) -> list[str]:
    return simulator.world.tweets("acme", 60, since=TODAY - 40 * DAY, until=TODAY - 20 * DAY)


@pytest.fixture(params=["a bucket", "a table"])
def operator(
    request: pytest.FixtureRequest, ids: list[str], bucket: Bucket, dataset: str
) -> EngagementPullOperator:
    if request.param == "a bucket":
        return EngagementToGCSOperator(tweet_ids=ids, bucket=bucket.name, **COMMON)
    table = f"{dataset}.days"
    return EngagementToBigQueryOperator(
        tweet_ids=ids, destination_table=table, staging_bucket=bucket.name, **COMMON
    )


def staged(bucket: Bucket) -> list[str]:
    return [blob.name for blob in bucket.list_blobs() if "staging" in blob.name]


@pytest.fixture
def undeletable(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Refuse to delete checkpoints, as if the process ended before; return what allows it again."""
    delete = GcsStore.delete

    def refuse(self: GcsStore, name: str) -> None:
        if name.endswith(".arrow"):
            raise ServiceUnavailable("not now")
        delete(self, name)

    monkeypatch.setattr(GcsStore, "delete", refuse)
    return lambda: monkeypatch.setattr(GcsStore, "delete", delete)


def test_a_pull_that_was_written_sends_no_request_again(
    operator: EngagementPullOperator,
    simulator: Simulator,
    bucket: Bucket,
    undeletable: Callable[[], None],
) -> None:
    first = run(operator, at=TODAY)
    checkpoints = [name for name in staged(bucket) if name.endswith(".arrow")]
    sent = len(simulator.requests)
    assert len(checkpoints) == sent == 3
    undeletable()
    # The process had deleted one of them.
    bucket.blob(checkpoints[0]).delete()
    second = run(operator, at=TODAY, try_number=2)
    assert len(simulator.requests) == sent
    assert (second.value, second.summary) == (first.value, first.summary)
    assert staged(bucket) == []


@pytest.mark.parametrize("text", [b"damaged", b'{"written": {}}', b"[]"])
def test_a_pull_is_written_again_where_its_result_cannot_be_read(
    ids: list[str],
    simulator: Simulator,
    bucket: Bucket,
    undeletable: Callable[[], None],
    text: bytes,
) -> None:
    operator = EngagementToGCSOperator(tweet_ids=ids, bucket=bucket.name, **COMMON)
    first = run(operator, at=TODAY)
    sent = len(simulator.requests)
    undeletable()
    (result,) = (name for name in staged(bucket) if name.endswith("result.json"))
    bucket.blob(result).upload_from_string(text)
    second = run(operator, at=TODAY, try_number=2)
    assert len(simulator.requests) == sent
    assert second.value["rows"] == first.value["rows"]
    assert second.summary["requests_resumed"] == 3
    assert staged(bucket) == []


def test_files_of_a_killed_load_are_swept_after_a_week(
    ids: list[str],
    simulator: Simulator,  # noqa: ARG001 - it must run
    bucket: Bucket,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploaded: list[str] = []
    put_file = GcsStore.put_file

    def recording(self: GcsStore, path: Path, name: str) -> None:
        uploaded.append(name)
        put_file(self, path, name)

    monkeypatch.setattr(GcsStore, "put_file", recording)
    table = f"{dataset}.days"
    operator = EngagementToBigQueryOperator(
        tweet_ids=ids, destination_table=table, staging_bucket=bucket.name, **COMMON
    )
    run(operator, at=TODAY)
    (name,) = uploaded
    recent, old = (
        re.sub(r"\d{4}-\d\d-\d\d", f"{TODAY - days * DAY:%Y-%m-%d}", name) for days in (6, 8)
    )
    for other in (recent, old):
        assert other != name
        bucket.blob(other).upload_from_string(b"left by a process that was killed")
    run(operator, at=TODAY, run_id="manual__2")
    assert staged(bucket) == [recent]
