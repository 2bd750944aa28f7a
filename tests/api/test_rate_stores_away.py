"""A store that goes away: workers go on at their share, and come back together."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import RateStoreError
from airflow_provider_engagement.api.rate_stores.base import (
    LEASE,
    RECOVERY,
    Grant,
    RateReport,
    Status,
)
from airflow_provider_engagement.api.rate_stores.shared import SharedStore
from airflow_provider_engagement.api.rate_stores.state import RateState
from tools.bench_workers import most_in

START = 1_800_000_000.0


class Server:
    """A store on a server, by a clock of its own, that can be away."""

    def __init__(self) -> None:
        self.now = START
        self.is_away = False
        self.calls = 0
        self.state = RateState()
        self.recovers_at = 0.0
        self.members: dict[int, tuple[float, float]] = {}

    def clock(self) -> float:
        return self.now

    def restart(self) -> None:
        """Come back without what it held."""
        self.state, self.members = RateState(), {}
        self.is_away, self.recovers_at = False, self.now + RECOVERY


class Remote:
    """One worker's connection to the server."""

    name = "The store"

    def __init__(self, server: Server) -> None:
        self._server = server

    def _reach(self) -> Server:
        self._server.calls += 1
        if self._server.is_away:
            message = "The store does not answer."
            raise RateStoreError(message)
        return self._server

    def take(self, contract: float, share: float) -> Grant:
        server = self._reach()
        now, me = server.now, id(self)
        others = [held for name, (end, held) in server.members.items() if name != me and end > now]
        limit, recovering = server.state.limit, max(0.0, server.recovers_at - now)
        if recovering:
            server.members[me] = now + LEASE, share
            return Grant(None, 0.0, limit, 0, share, recovering)
        share = max(0.0, min(1 / (len(others) + 1), 1 - sum(others)))
        turn = server.state.take(now, contract or None)
        server.members[me] = now + turn.wait + LEASE, share
        return Grant(turn.wait if turn.is_granted else None, turn.blocked, limit, 0, share, 0.0)

    def rejoin(self, share: float, period: float) -> float:
        server = self._reach()
        recovering = max(0.0, server.recovers_at - server.now)
        server.recovers_at = server.now + max(recovering or RECOVERY, period)
        server.members[id(self)] = server.now + LEASE, share
        return server.recovers_at - server.now

    def record(self, report: RateReport) -> float:
        server = self._reach()
        return server.state.record(server.now, report)

    def status(self) -> Status:
        server = self._reach()
        return server.state.status(server.now)

    def close(self) -> None:
        pass


class Workers:
    """Workers that send as fast as they may, in the order of their slots."""

    def __init__(self, server: Server, number: int, limit: float) -> None:
        self._server, self._limit = server, limit
        self.stores = [SharedStore(Remote(server), server.clock) for _ in range(number)]
        first: tuple[float, float | None] = (START, None)
        self._due = dict.fromkeys(range(number), first)
        self.sent: list[float] = []

    def run(self, until: float) -> None:
        """Let them send until a moment."""
        while True:
            number = min(self._due, key=lambda one: self._due[one][0])
            due, slot = self._due[number]
            if due >= until:
                self._server.now = until
                return
            self._server.now = max(self._server.now, due)
            try:
                self._due[number] = self._step(self.stores[number], slot)
            except RateStoreError:
                self._due[number] = self._server.now + 1, None

    def _step(self, store: SharedStore, slot: float | None) -> tuple[float, float | None]:
        """Wait for a slot as the rate limiter does; return when to go on, and the slot."""
        now = self._server.now
        if slot is not None and not store.status().is_void:
            if slot > now:
                return min(slot, now + 2), slot
            self.sent.append(now)
        # The next slot is taken after the round trip of the request.
        turn = store.take(self._limit)
        after = now + turn.wait + 0.001
        return min(after, now + 2) if turn.is_granted else after, after if turn.is_granted else None

    def rate(self, start: float, end: float) -> float:
        """Return the requests per minute in a period."""
        return sum(start <= moment < end for moment in self.sent) / (end - start) * 60


@settings(max_examples=25)
@given(
    st.integers(1, 5),
    st.sampled_from([60.0, 300.0]),
    st.floats(20, 120),
    st.floats(0, 200),
    st.booleans(),
)
def test_contract_is_never_exceeded_while_the_store_comes_and_goes(
    number: int, limit: float, goes: float, lasts: float, forgets: bool
) -> None:
    server = Server()
    workers = Workers(server, number, limit)
    workers.run(START + goes)
    server.is_away = True
    workers.run(START + goes + lasts)
    if forgets:
        server.restart()
    server.is_away = False
    workers.run(START + goes + lasts + 130)
    # A worker that alone notices a short outage takes a slot of its own beside those of all others.
    assert most_in(workers.sent, 60) <= limit + (lasts < 5)
    assert most_in(workers.sent, 1) <= math.ceil(limit / 60) + number
    # All of them have come back.
    assert workers.rate(server.now - 60, server.now) >= 0.98 * limit


def test_share_is_used_while_the_store_is_away() -> None:
    server = Server()
    workers = Workers(server, 4, 300.0)
    workers.run(START + 30)
    server.is_away = True
    workers.run(START + 330)
    assert 0.97 * 300 <= workers.rate(START + 60, START + 330) <= 300


def test_server_is_asked_every_two_seconds_only() -> None:
    server = Server()
    workers = Workers(server, 1, 6000.0)
    workers.run(START + 10)
    server.is_away, server.calls = True, 0
    workers.run(START + 110)
    # More at first: after 0.1 s, 0.2 s, 0.4 s and so on.
    assert 50 <= server.calls <= 56


def test_warning_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    server = Server()
    workers = Workers(server, 2, 300.0)
    workers.run(START + 10)
    server.is_away = True
    with caplog.at_level("INFO", logger="airflow_provider_engagement"):
        workers.run(START + 100)
        server.is_away = False
        workers.run(START + 200)
    messages = Counter(record.getMessage() for record in caplog.records)
    assert messages == {
        "The store does not answer. This worker goes on at 50% of the contract.": 2,
        "The store answers again. In 5 s it is used again.": 2,
    }


def test_worker_without_a_share_sends_nothing() -> None:
    server = Server()
    server.is_away = True
    store = SharedStore(Remote(server), server.clock)
    for call in (lambda: store.take(60.0), store.status, lambda: store.take(60.0)):
        with pytest.raises(RateStoreError, match="does not answer") as caught:
            call()
        assert caught.value.retryable
    server.is_away = False
    server.now += 3
    assert store.take(60.0).wait == 0


def test_share_that_has_lapsed_belongs_to_other_workers() -> None:
    server = Server()
    store = SharedStore(Remote(server), server.clock)
    assert store.take(60.0).is_granted
    server.now += LEASE + 1
    server.is_away = True
    with pytest.raises(RateStoreError):
        store.take(60.0)


def test_refusal_while_the_store_is_away_is_passed_on() -> None:
    server = Server()
    one, other = (SharedStore(Remote(server), server.clock) for _ in range(2))
    for _ in range(2):
        one.take(60.0)
        other.take(60.0)
    server.is_away = True
    one.take(60.0)
    assert one.record(RateReport(is_refused=True, wait=30.0)) == 30
    assert one.status().blocked == 30
    server.is_away = False
    server.now += 3
    one.take(60.0)
    assert other.status().blocked == 27


def test_ordinary_response_is_not_reported_to_the_server() -> None:
    server = Server()
    store = SharedStore(Remote(server), server.clock)
    store.take(60.0)
    store.record(RateReport(limit=60.0))
    calls = server.calls
    store.record(RateReport(limit=60.0))
    assert server.calls == calls
    store.record(RateReport(is_refused=True))
    store.record(RateReport(limit=60.0))
    assert server.calls == calls + 2
    assert server.state.refusals == 0


def test_first_second_has_no_more_requests_than_its_part() -> None:
    workers = Workers(Server(), 4, 300.0)
    workers.run(START + 10)
    assert most_in(workers.sent, 1) <= 300 / 60 + 1
    assert min(later - earlier for earlier, later in pairwise(workers.sent)) > 0.19
