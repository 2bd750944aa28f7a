"""Responses with missing or unrequested counts, in pulls of several requests."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hostile.wire import Good, Wire

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import InvalidResponseError, ServiceError
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.transport import MAX_RESPONSE_BYTES
from airflow_provider_engagement.api.window import DAY, Window
from airflow_provider_engagement.pull import PullResult, pull
from airflow_provider_engagement.pull.checkpoint import CheckpointStore
from airflow_provider_engagement.rows.schema import LONG, arrow_schema
from airflow_provider_engagement.simulator import World
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.memory import MemorySink
from airflow_provider_engagement.thresholds.observation import observe
from tools.hostile import made
from tools.hostile.made import grouping, http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from airflow_provider_engagement.simulator.service import Request
    from airflow_provider_engagement.sinks.base import WriteResult
    from tools.clients import Gcs

    Change = Callable[[dict[str, Any], list[str]], object]

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
WORLD = World(seed=5, accounts=("acme",), now=NOW)
TYPES = ["impressions", "favorites"]
ONCE = RetryPolicy(budget=0.0)


class Landing(MemorySink):
    """Keeps rows, and what the coverage says to be missing."""

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:
        self.missing = {
            row["tweet_id"]: (row["status"], row["reason"], row["missing_types"])
            for table in coverage
            for row in table.to_pylist()
            if row["missing_types"]
        }
        return super().commit((), manifest)


class Service:
    """Answers as the simulator does, after a function has changed the object of the response."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.wire = Wire(self.say)
        self._good = Good(WORLD)

    def say(self, request: Request) -> Iterable[bytes]:
        document = self._good.document(request)
        instead = self.change(document, json.loads(request.body)["tweet_ids"])
        yield instead if isinstance(instead, bytes) else http(json.dumps(document).encode())

    def pull(
        self,
        ids: list[str],
        folder: Path,
        *,
        endpoint: str = "totals",
        period: Window | None = None,
        checkpoints: CheckpointStore | None = None,
        **requested: Any,
    ) -> tuple[PullResult, Landing]:
        query = build_query(endpoint, has_owner=True, engagement_types=TYPES, **requested)
        sink = Landing()
        with self.client(folder) as client:
            plan = make_plan(query, ids, now=NOW, window=period)
            return pull(
                client, plan, sink, period=ReportingPeriod(NOW, period), checkpoints=checkpoints
            ), sink

    def client(self, folder: Path) -> EngagementClient:
        keys = {name: Secret(text) for name, text in WORLD.credentials("acme").items()}
        settings = Settings(Credentials(**keys), "acme", host=self.wire.url, max_concurrency=1)
        return EngagementClient(settings, retry=ONCE, rate_state_directory=folder)


def some(count: int, days: int = 20) -> list[str]:
    return WORLD.tweets("acme", count, since=TODAY - days * DAY, until=TODAY - 3 * DAY)


def values(sink: MemorySink) -> dict[tuple[str | None, str], int]:
    rows = sink.rows()
    found = {(row["tweet_id"], row["engagement_type"]): row["value"] for row in rows}
    assert len(found) == len(rows), "a count is there twice"
    return found


def test_tweets_missing_from_a_response_are_listed_as_missing(tmp_path: Path) -> None:
    ids = some(4)
    whole: dict[str, Any] = {}

    def change(document: dict[str, Any], requested: list[str]) -> bytes | None:
        if len(requested) == len(ids):
            whole.update(grouping(document))
            return http(b'{"errors": ["Forbidden to access tweets"]}', status=403)
        grouping(document).update(whole)
        return None

    service = Service(change)
    with service.wire:
        outcome, sink = service.pull(ids, tmp_path)
    expected = {(item, name): WORLD.count(item, name) for item in ids for name in TYPES}
    assert values(sink) == expected
    assert outcome.summary["unrequested_counts"] == len(expected)


def forget_once(tweet_id: str) -> Change:
    """Let the first answer that has counts of a Tweet say nothing of its favorites."""
    forgotten: list[str] = []

    def change(document: dict[str, Any], requested: list[str]) -> None:
        if tweet_id in requested and not forgotten:
            forgotten.append(tweet_id)
            del grouping(document)[tweet_id]["favorites"]

    return change


def test_sum_over_windows_is_absent_if_one_window_is_incomplete(tmp_path: Path) -> None:
    ids, period = some(3, days=90), Window(TODAY - 80 * DAY, TODAY)
    service = Service(forget_once(ids[0]))
    with service.wire:
        outcome, sink = service.pull(
            ids, tmp_path, endpoint="historical", period=period, granularity="total"
        )
    expected = {
        (item, name): WORLD.count_between(item, name, period.start, period.end)
        for item in ids
        for name in TYPES
    }
    del expected[ids[0], "favorites"]
    assert values(sink) == expected
    assert outcome.summary["sums_left_out"] == 1
    missing = ("answered", "some types are absent from the response", "favorites")
    assert sink.missing == {ids[0]: missing}


def test_sum_over_tweets_is_absent_if_one_request_is_incomplete(tmp_path: Path) -> None:
    ids = some(300)
    answers: list[int] = []

    def change(document: dict[str, Any], requested: list[str]) -> None:
        answers.append(len(requested))
        if len(answers) == 1:
            del grouping(document)["favorites"]

    service = Service(change)
    with service.wire:
        outcome, sink = service.pull(
            ids, tmp_path, groupings={"all": {"group_by": ["engagement.type"]}}
        )
    assert answers == [250, 50]
    total = sum(WORLD.count(item, "impressions") for item in ids)
    assert values(sink) == {(None, "impressions"): total}
    assert outcome.summary["sums_left_out"] == 1


def test_next_try_knows_what_a_response_lacked(tmp_path: Path, gcs: Gcs) -> None:
    ids = some(300)
    forget = forget_once(ids[0])
    broken = [True]

    def change(document: dict[str, Any], requested: list[str]) -> bytes | None:
        forget(document, requested)
        return http(b"", status=503) if len(requested) == 50 and broken else None

    service = Service(change)
    store = GcsStore(gcs.client, gcs.make_bucket().name)
    checkpoints = CheckpointStore(store=store, root="staging", day=TODAY.date(), name="one")
    with service.wire:
        with pytest.raises(ServiceError):
            service.pull(ids, tmp_path, checkpoints=checkpoints)
        broken.clear()
        outcome, sink = service.pull(ids, tmp_path, checkpoints=checkpoints)
    assert outcome.summary["requests_resumed"] == 1
    expected = {(item, name): WORLD.count(item, name) for item in ids for name in TYPES}
    del expected[ids[0], "favorites"]
    assert values(sink) == expected
    assert sink.missing.keys() == {ids[0]}


def arrow_with(facts: object) -> bytes:
    """Make a piece as far as Arrow goes, that says this of itself."""
    schema = arrow_schema(LONG).with_metadata({b"engagement": json.dumps(facts).encode()})
    buffer = io.BytesIO()
    for _ in range(2):
        with pa.ipc.new_stream(buffer, schema) as stream:
            stream.write_table(schema.empty_table())
    return buffer.getvalue()


FACTS = {"tweet_ids": [], "forbidden": [], "unavailable": [], "unresolved": [], "counted": []}
NO_PIECES = {
    "nothing": b"",
    "text": b"truncated",
    "half a piece": arrow_with(FACTS)[:-100],
    "one without facts": arrow_with(FACTS),
    "one with a list for facts": arrow_with([FACTS]),
    "one with a list where names belong": arrow_with({**FACTS, "unsupported": [], "missing": 1}),
}


@pytest.mark.parametrize("left", NO_PIECES.values(), ids=NO_PIECES)
def test_unreadable_checkpoint_is_requested_again(tmp_path: Path, gcs: Gcs, left: bytes) -> None:
    ids = some(300)
    broken = [True]

    def change(_: dict[str, Any], requested: list[str]) -> bytes | None:
        return http(b"", status=503) if len(requested) == 50 and broken else None

    service = Service(change)
    store = GcsStore(gcs.client, gcs.make_bucket().name)
    checkpoints = CheckpointStore(store=store, root="staging", day=TODAY.date(), name="one")
    with service.wire:
        with pytest.raises(ServiceError):
            service.pull(ids, tmp_path, checkpoints=checkpoints)
        (name,) = store.names("staging/")
        store.put_bytes(left, name, "application/octet-stream")
        broken.clear()
        outcome, sink = service.pull(ids, tmp_path, checkpoints=checkpoints)
    assert outcome.summary["requests_resumed"] == 0
    assert len(values(sink)) == len(ids) * len(TYPES)
    assert store.names("staging/") == []


def test_count_missing_in_one_poll_can_be_in_the_next(tmp_path: Path) -> None:
    ids = some(2)
    service = Service(forget_once(ids[0]))
    query = build_query("totals", has_owner=True, engagement_types=TYPES)
    with service.wire, service.client(tmp_path) as client:
        first, second = (observe(client, query, ids) for _ in range(2))
    assert first.unavailable == second.unavailable == {}
    assert [name for name in TYPES if first.counts[name].answered[0]] == ["impressions"]
    assert all(second.counts[name].answered.all() for name in TYPES)
    assert all(second.counts[name].values[0] == WORLD.count(ids[0], name) for name in TYPES)


AWAY = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nConnection: close\r\n\r\n"
TWICE = gzip.compress(gzip.compress(bytes(2**30), 1), 1)  # a GiB, in a few kB
ENDLESS = {
    "gzip": made.bomb,
    "gzip of nothing": made.inflates_to_nothing,
    "arrays": made.endless(made.HEAD + b"\r\n", b"[]," * 2**14),
    "a redirect": made.endless(AWAY, b" " * 2**16),
    "gzip within gzip": made.fixed(TWICE, "Content-Encoding: gzip, gzip"),
}


@pytest.mark.parametrize("answer", ENDLESS.values(), ids=ENDLESS)
def test_no_response_uses_more_memory_than_its_bound(tmp_path: Path, answer: made.Made) -> None:
    service = Service(lambda *_: None)
    with service.wire:
        service.pull(some(3), tmp_path)  # what is loaded but once is there by now
        service.wire.say = lambda _: answer({})
        tracemalloc.start()
        try:
            with pytest.raises(InvalidResponseError):
                service.pull(some(3), tmp_path)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    # The bytes sent, the parsed response, and what the sender holds.
    assert most < 3 * MAX_RESPONSE_BYTES
