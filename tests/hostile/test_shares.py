"""Shares of faulty answers, of each kind and of all: every count is the expected one."""

from __future__ import annotations

import itertools
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, NOW, connect, run

from airflow_provider_engagement.api import client as client_module
from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.window import DAY
from airflow_provider_engagement.simulator import FAULT_KINDS, Faults, Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator
from tools.hostile.kinds import FAULTS, SHARES, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.operators.base import EngagementPullOperator
    from tools.clients import BigQuery, Gcs

    Cells = dict[tuple[str, str, datetime | None], int]

pytestmark = pytest.mark.usefixtures("airflow_home")

TODAY = NOW.replace(hour=0, minute=0, second=0)
WORLD = World(seed=13, accounts=("acme",), now=NOW)
BATCHES = 8
ASKED = {
    "totals": WORLD.tweets("acme", BATCHES * 250, since=TODAY - 60 * DAY, until=TODAY),
    "historical": WORLD.tweets("acme", BATCHES * 25, since=TODAY - 60 * DAY, until=TODAY - DAY),
}
TYPES = ("impressions", "favorites")
BY_KIND = {fault.kind: fault for fault in FAULTS}
ALL = "all together"
KINDS = (*FAULT_KINDS, ALL)


def expected_counts(endpoint: str) -> Cells:
    counts = itertools.product(ASKED[endpoint], TYPES)
    if endpoint == "totals":
        return {(item, name, None): WORLD.count(item, name) for item, name in counts}
    return {
        (item, name, TODAY - DAY): WORLD.count_between(item, name, TODAY - DAY, TODAY)
        for item, name in counts
    }


TRUTH = {endpoint: expected_counts(endpoint) for endpoint in ASKED}


class Destination:
    """Where rows are written.

    :param bucket: for objects, or for what is staged.
    :param bigquery: where the table is; None for JSON lines in the bucket.
    :param dataset: the dataset of the table.
    """

    def __init__(self, bucket: Bucket, bigquery: BigQuery | None, dataset: str) -> None:
        self._bucket, self._bigquery = bucket, bigquery
        self._table = f"{dataset}.counts"

    def operator(self, endpoint: str) -> EngagementPullOperator:
        wanted: dict[str, Any] = {
            "task_id": "faulty",
            "endpoint": endpoint,
            "tweet_ids": ASKED[endpoint],
            "engagement_types": list(TYPES),
            "engagement_conn_id": CONN_ID,
        }
        if self._bigquery is None:
            return EngagementToGCSOperator(**wanted, bucket=self._bucket.name, file_format="jsonl")
        return EngagementToBigQueryOperator(
            **wanted, destination_table=self._table, staging_bucket=self._bucket.name
        )

    def cells(self) -> Cells:
        rows = self._objects() if self._bigquery is None else self._rows(self._bigquery)
        found = {(r["tweet_id"], r["engagement_type"], r["period_start"]): r["value"] for r in rows}
        assert len(found) == len(rows), "a count is there twice"
        return found

    def _rows(self, bigquery: BigQuery) -> list[dict[str, Any]]:
        name = self._table.partition(".")[2]
        tables = {
            table.table_id for table in bigquery.client.list_tables(self._table.split(".")[0])
        }
        return bigquery.rows(f"SELECT * FROM {self._table}") if name in tables else []  # noqa: S608 - ours

    def _objects(self) -> list[dict[str, Any]]:
        rows = []
        for blob in self._bucket.list_blobs():
            if "/part-" in blob.name:
                lines = self._bucket.blob(blob.name).download_as_text().splitlines()
                rows += [json.loads(line) for line in lines]
        for row in rows:
            start = row["period_start"]
            row["period_start"] = start and datetime.fromisoformat(start)
        return rows


@pytest.fixture
def to_bucket(gcs: Gcs) -> Destination:
    return Destination(gcs.make_bucket(), None, "")


@pytest.fixture
def to_table(gcs: Gcs, bigquery: BigQuery, dataset: str) -> Destination:
    return Destination(gcs.make_bucket(), bigquery, dataset)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Give what starts a faulty service, of which each request is tried so many times."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    started: list[Simulator] = []

    def start(faults: Faults, budget: float) -> Simulator:
        quick = RetryPolicy(budget=budget, first_wait=0.001, max_wait=0.01)
        monkeypatch.setattr(client_module, "RetryPolicy", lambda: quick)
        service = Simulator(WORLD, faults=faults)
        service.start()
        started.append(service)
        held = service.connection("acme")
        # Short where it is what ends a silence, and no fault of its own anywhere else.
        held["extra"]["timeout"] = 0.5 if "hang" in faults.kinds else 60
        connect(monkeypatch, held)
        return service

    yield start
    for service in started:
        service.stop()


def faults_of(kind: str, share: float) -> Faults:
    """Give faults that befall at least one of the first requests."""
    kinds: tuple[Any, ...] = FAULT_KINDS if kind == ALL else (kind,)
    for seed in itertools.count():
        faults = Faults(share=share, kinds=kinds, seed=seed, hang_seconds=30)
        if any(faults.pick(n) for n in range(BATCHES)):
            return faults
    raise AssertionError


def run_as_airflow(destination: Destination, endpoint: str, most: int) -> list[EngagementError]:
    """Run a task until it succeeds, retrying as Airflow would; return why its tries failed."""
    failed: list[EngagementError] = []
    for number in range(1, most + 1):
        try:
            run(destination.operator(endpoint), at=TODAY, try_number=number, max_tries=most)
        except EngagementError as error:
            failed.append(error)
            assert destination.cells() == {}
        else:
            return failed
    pytest.fail(f"no try of {most} went well: {failed[-1]}")


def check_reason(error: EngagementError, kind: str) -> None:
    known = [BY_KIND[one] for one in (FAULT_KINDS if kind == ALL else (kind,))]
    assert error.retryable
    assert any(is_of(error, fault) for fault in known), error


def is_of(error: EngagementError, fault: Fault) -> bool:
    return isinstance(error, getattr(errors, fault.error)) and fault.says in str(error)


def check(
    service: Simulator, destination: Destination, endpoint: str, kind: str, most: int = 8
) -> list[EngagementError]:
    failed = run_as_airflow(destination, endpoint, most)
    for error in failed:
        check_reason(error, kind)
    assert destination.cells() == TRUTH[endpoint]
    assert service.stats()["faults"]
    return failed


# The largest share of each kind, and each share of all; the rest is for the long tests, for one
# since each 429 takes a second or more.
EVERYDAY = [
    *((kind, 0.2 if kind == "429" else max(SHARES)) for kind in FAULT_KINDS),
    *((ALL, share) for share in SHARES),
]


@pytest.mark.parametrize(("kind", "share"), EVERYDAY)
def test_share_of_faulty_responses_gives_the_expected_counts(
    kind: str, share: float, serve: Callable[..., Simulator], to_bucket: Destination
) -> None:
    check(serve(faults_of(kind, share), 8), to_bucket, "historical", kind)


@pytest.mark.parametrize(("share", "endpoint"), [(0.2, "totals"), (0.5, "historical")])
def test_share_of_faulty_responses_gives_the_expected_table(
    share: float, endpoint: str, serve: Callable[..., Simulator], to_table: Destination
) -> None:
    check(serve(faults_of(ALL, share), 8), to_table, endpoint, ALL)


def test_failed_try_says_why_and_the_next_tries_send_the_remaining_requests(
    serve: Callable[..., Simulator], to_bucket: Destination
) -> None:
    # For two tries at least, each of which tries each of its requests twice.
    script = [kind for kind in FAULT_KINDS if kind not in {"429", "hang"}] * 6
    service = serve(Faults(share=0.5, kinds=tuple(script[:6]), script=tuple(script)), 0.0)
    assert len(check(service, to_bucket, "historical", ALL, most=40)) >= 2


@pytest.mark.long
@pytest.mark.parametrize("endpoint", ASKED)
@pytest.mark.parametrize("destination", ["to_bucket", "to_table"])
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_share_of_every_fault_gives_the_expected_counts_everywhere(  # noqa: PLR0917 - parameters
    kind: str,
    share: float,
    destination: str,
    endpoint: str,
    serve: Callable[..., Simulator],
    request: pytest.FixtureRequest,
) -> None:
    target: Destination = request.getfixturevalue(destination)
    check(serve(faults_of(kind, share), 8), target, endpoint, kind)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_persistent_fault_ends_the_try_and_names_itself(
    fault: Fault, serve: Callable[..., Simulator], to_bucket: Destination
) -> None:
    kinds: tuple[Any, ...] = (fault.kind,)
    service = serve(Faults(share=1.0, kinds=kinds, hang_seconds=30), 0.1)
    operator = to_bucket.operator("historical")
    operator.tweet_ids = ASKED["historical"][:5]
    with pytest.raises(EngagementError) as caught:
        run(operator, at=TODAY)
    check_reason(caught.value, fault.kind)
    assert len(service.requests) > 1
    assert to_bucket.cells() == {}


def test_every_fault_of_the_simulator_is_tested() -> None:
    assert tuple(BY_KIND) == FAULT_KINDS
