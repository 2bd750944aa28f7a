"""The same contract for the three stores of the shared rate, by the servers' own clocks."""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_engagement.api.rate_stores.base import (
    MAX_WAIT,
    SLACK,
    RateReport,
    RateStore,
    RemoteStore,
)
from airflow_provider_engagement.api.rate_stores.file import FileStore
from airflow_provider_engagement.api.rate_stores.shared import SharedStore
from tools.rate_stores import STORES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_engagement.api.settings import RateStoreSettings


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Callable[[str], RateStoreSettings]:
    """Return a function that starts a server, once for all tests, and returns its settings."""

    def settings(kind: str) -> RateStoreSettings:
        found: RateStoreSettings = request.getfixturevalue(f"{kind}_store")
        return found

    return settings


@pytest.fixture(params=["file", *STORES])
def store(
    request: pytest.FixtureRequest,
    servers: Callable[[str], RateStoreSettings],
    tmp_path: Path,
) -> Iterator[Callable[[], RateStore]]:
    """Return a function that opens the store as one more worker of the same app."""
    app, opened = secrets.token_hex(4), []

    def open_one() -> RateStore:
        if request.param == "file":
            return FileStore(app, tmp_path)
        one = SharedStore(STORES[request.param](servers(request.param), app))
        opened.append(one)
        return one

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture(params=STORES)
def remote(
    request: pytest.FixtureRequest, servers: Callable[[str], RateStoreSettings]
) -> Iterator[Callable[[], RemoteStore]]:
    """Return a function that opens the store on a server as one more worker of the same app."""
    app, opened = secrets.token_hex(4), []

    def join() -> RemoteStore:
        one = STORES[request.param](servers(request.param), app)
        opened.append(one)
        return one

    yield join
    for one in opened:
        one.close()


def test_slots_of_all_workers_are_spread_evenly(store: Callable[[], RateStore]) -> None:
    workers = [store() for _ in range(3)]
    waits = [workers[n % 3].take(6.0).wait for n in range(9)]
    # Slots are ten seconds apart. The clock goes on between the calls, so waits may be shorter.
    assert waits[0] == 0
    for number, wait in enumerate(waits):
        assert number * 10 * SLACK - 2 < wait <= number * 10 * SLACK + 0.001


def test_threads_never_take_the_same_slot(store: Callable[[], RateStore]) -> None:
    taken: list[float] = []
    workers = [store() for _ in range(4)]

    def take(worker: RateStore) -> None:
        taken.extend(worker.take(0.6).wait for _ in range(5))

    threads = [threading.Thread(target=take, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A hundred seconds apart.
    assert sorted(round(wait / (100 * SLACK)) for wait in taken) == list(range(20))


def test_no_slot_is_spaced_while_no_limit_is_known(store: Callable[[], RateStore]) -> None:
    worker = store()
    assert [worker.take(None).wait for _ in range(3)] == [0, 0, 0]
    assert worker.status().limit is None


def test_reported_limit_holds_for_every_worker(store: Callable[[], RateStore]) -> None:
    one, other = store(), store()
    one.take(None)
    assert one.record(RateReport(limit=6.0)) == 0
    assert other.status().limit == 6
    assert other.take(None).wait == 0
    assert 8 < one.take(None).wait <= 10 * SLACK + 0.001
    # A limit that the connection states has priority.
    assert 18 < one.take(0.6).wait <= 20 * SLACK + 0.001
    assert one.take(0.6).wait > 100


def test_refusal_holds_back_every_worker(store: Callable[[], RateStore]) -> None:
    one, other = store(), store()
    assert one.take(600.0).wait == 0
    assert one.record(RateReport(is_refused=True, wait=30.0)) == pytest.approx(30, abs=0.01)
    assert 28 < other.status().blocked <= 30
    turn = other.take(600.0)
    assert turn.is_granted
    assert 28 < turn.wait <= 30
    # Responses that were in flight at the refusal change nothing.
    assert 28 < one.record(RateReport(is_refused=True)) <= 30
    assert 28 < one.record(RateReport()) <= 30


def test_default_wait_doubles_until_a_success(store: Callable[[], RateStore]) -> None:
    worker = store()
    worker.take(None)
    # A block of no seconds ends at once, as if its time had passed.
    over = RateReport(is_refused=True, wait=0.0)
    for expected in (1, 2):
        assert worker.record(RateReport(is_refused=True)) == pytest.approx(expected, abs=0.01)
        wait_until_free(worker)
    assert worker.record(over) == 0
    worker.record(RateReport())
    assert worker.record(RateReport(is_refused=True)) == pytest.approx(1, abs=0.01)


def wait_until_free(worker: RateStore) -> None:
    while worker.status().blocked:
        threading.Event().wait(0.05)


def test_slots_before_and_after_a_refusal_are_not_assigned_twice(
    store: Callable[[], RateStore],
) -> None:
    worker = store()
    before = [worker.take(6.0).wait for _ in range(4)]
    assert before[-1] > 28
    worker.record(RateReport(is_refused=True, wait=5.0))
    assert worker.take(6.0).wait > 38


def test_long_block_takes_no_slot(store: Callable[[], RateStore]) -> None:
    worker = store()
    worker.take(0.1)
    worker.record(RateReport(is_refused=True, wait=MAX_WAIT + 5))
    for _ in range(2):
        turn = worker.take(0.1)
        assert not turn.is_granted
        assert turn.blocked > MAX_WAIT


# ---- Shares of the contract -------------------------------------------------------------------


def test_shares_never_add_up_to_more_than_the_contract(
    remote: Callable[[], RemoteStore],
) -> None:
    workers: list[RemoteStore] = []
    shares: dict[int, float] = {}
    for joins in range(1, 5):
        workers.append(remote())
        for number in reversed(range(joins)):
            shares[number] = workers[number].take(6000.0, shares.get(number, 0)).share
            assert sum(shares.values()) <= 1 + 1e-6
        for number in range(joins):
            shares[number] = workers[number].take(6000.0, shares[number]).share
        assert list(shares.values()) == pytest.approx([1 / joins] * joins, abs=1e-5)


def test_worker_that_returns_stops_all_slots_until_others_have_noticed(
    remote: Callable[[], RemoteStore],
) -> None:
    one, other = remote(), remote()
    one.take(6.0, 0)
    other.take(6.0, 0)
    recovering = one.rejoin(0.5, 1)
    assert 4 < recovering <= 5
    assert 3 < other.rejoin(0.25, 1) <= recovering
    grant = other.take(6.0, 0.25)
    assert grant.wait is None
    assert grant.share == 0.25
    assert 3 < grant.recovering <= recovering


def test_stores_of_two_apps_are_apart(servers: Callable[[str], RateStoreSettings]) -> None:
    for kind, store in STORES.items():
        waits = []
        for app in ("one", "two"):
            worker: Any = store(servers(kind), app + secrets.token_hex(4))
            waits.append(worker.take(1.0, 0.0).wait)
            worker.close()
        assert waits == [0, 0]
