from __future__ import annotations

import contextlib
import queue
import threading
from email.utils import formatdate
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.client import PullStoppedError
from airflow_provider_engagement.api.errors import RateLimitError
from airflow_provider_engagement.api.rate_limit import (
    AdaptiveConcurrency,
    RateLimiter,
    requested_wait,
)
from airflow_provider_engagement.api.rate_stores.base import MAX_WAIT
from airflow_provider_engagement.api.rate_stores.file import FileStore

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0


class Time:
    """A clock that is put forward by whoever waits."""

    def __init__(self) -> None:
        self.now = START
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        if seconds:
            self.waits.append(seconds)
        self.now += seconds


def pace_on(folder: Path, time: Time, limit: float | None, key: str = "app") -> RateLimiter:
    return RateLimiter(
        FileStore(key, folder, clock=time),
        requests_per_minute=limit,
        max_concurrency=8,
        wait=time.wait,
        clock=time,
    )


def test_slots_are_spread_evenly_over_all_clients_of_an_app(tmp_path: Path) -> None:
    time = Time()
    tasks = [pace_on(tmp_path, time, 60) for _ in range(3)]
    sent = []
    for number in range(60):
        with tasks[number % 3].acquire():
            sent.append(time.now)
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert min(gaps) >= 1.0
    assert max(gaps) <= 1.01


def test_each_app_has_a_rate_of_its_own(tmp_path: Path) -> None:
    time = Time()
    for key in ("one", "two"):
        with pace_on(tmp_path, time, 1, key).acquire():
            pass
    assert time.waits == []


def test_a_429_holds_back_every_task_of_the_app(tmp_path: Path) -> None:
    time = Time()
    refused, other = pace_on(tmp_path, time, 600), pace_on(tmp_path, time, 600)
    headers = {"x-per-minute-remaining": "0", "x-per-minute-reset": str(START + 30)}
    assert refused.record_response(429, headers) == START + 30
    with other.acquire():
        assert time.now == START + 30


def test_wait_without_headers_doubles_until_a_success(tmp_path: Path) -> None:
    time = Time()
    pace = pace_on(tmp_path, time, 600)
    waits = []
    for _ in range(9):
        until = pace.record_response(429, {})
        # A second request was in flight and is refused as well: no news.
        assert pace.record_response(429, {}) == until
        assert until is not None
        waits.append(until - time.now)
        time.now = until
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    pace.record_response(200, {})
    assert pace.record_response(429, {}) == time.now + 1


def test_long_wait_is_left_to_airflow(tmp_path: Path) -> None:
    time = Time()
    pace = pace_on(tmp_path, time, 600)
    pace.record_response(429, {"retry-after": str(MAX_WAIT + 1)})
    with pytest.raises(RateLimitError, match="another 301 s") as caught, pace.acquire():
        pass
    assert caught.value.retry_at == START + 301
    assert time.waits == []


def test_reported_limit_becomes_the_rate(tmp_path: Path) -> None:
    time = Time()
    pace = pace_on(tmp_path, time, None)
    with pace.acquire():
        pace.record_response(200, {"x-per-minute-limit": "30", "x-per-minute-remaining": "29"})
    for _ in range(10):
        with pace.acquire():
            pass
    assert time.now - START == pytest.approx(9 * 2 * 1.005, abs=0.01)


def in_flight_at_most(concurrency: AdaptiveConcurrency) -> int:
    """Count the threads that enter before one of them has to wait."""
    entered: queue.SimpleQueue[None] = queue.SimpleQueue()
    leave = threading.Event()

    def enter() -> None:
        with concurrency:
            entered.put(None)
            leave.wait()

    threads = [threading.Thread(target=enter) for _ in range(10)]
    for thread in threads:
        thread.start()
    number = 0
    with contextlib.suppress(queue.Empty):
        while True:
            entered.get(timeout=0.2)
            number += 1
    leave.set()
    for thread in threads:
        thread.join()
    return number


def test_unknown_limit_begins_with_one_request_and_halves_on_a_429() -> None:
    concurrency = AdaptiveConcurrency(8, starts_with_one=True)
    assert in_flight_at_most(concurrency) == 1
    concurrency.grow(known=False)
    assert in_flight_at_most(concurrency) == 8
    concurrency.shrink()
    assert in_flight_at_most(concurrency) == 4
    for _ in range(3):
        concurrency.shrink()
    assert in_flight_at_most(concurrency) == 1
    for expected in (2, 2, 2, 3):
        concurrency.grow(known=False)
        assert in_flight_at_most(concurrency) == expected
    # A limit that the service reports paces the requests instead.
    concurrency.grow(known=True)
    assert in_flight_at_most(concurrency) == 8


def test_process_holds_one_slot_at_a_time(tmp_path: Path) -> None:
    stopped = threading.Event()

    def wait(seconds: float) -> None:
        if stopped.wait(seconds):
            raise PullStoppedError("stopped")

    store = FileStore("app", tmp_path)
    limiter = RateLimiter(store, requests_per_minute=1, max_concurrency=8, wait=wait)
    with limiter.acquire():
        pass

    def send() -> None:
        with contextlib.suppress(PullStoppedError), limiter.acquire():
            raise AssertionError

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    while store.take(None).wait < 60:  # without a limit, nothing is taken
        stopped.wait(0.01)
    stopped.set()
    for thread in threads:
        thread.join()
    assert 110 < store.take(1).wait <= 120 * 1.005


def test_damaged_state_file_is_replaced(tmp_path: Path) -> None:
    time = Time()
    with pace_on(tmp_path, time, 60).acquire():
        pass
    (book,) = tmp_path.iterdir()
    book.write_bytes(b"damaged")
    with pace_on(tmp_path, time, 60).acquire():
        pass
    assert time.waits == []


@pytest.mark.parametrize(
    ("headers", "refused", "expected"),
    [
        ({}, True, None),
        ({"x-per-minute-remaining": "3", "x-per-minute-reset": str(START + 9)}, False, None),
        ({"x-per-minute-remaining": "0", "x-per-minute-reset": str(START + 9)}, False, 9),
        ({"x-per-second-remaining": "0", "x-per-second-reset": str(START + 1)}, True, 1),
        ({"x-per-minute-remaining": "0", "x-per-minute-reset": str(START - 9)}, True, 0),
        ({"x-per-minute-remaining": "0", "x-per-minute-reset": str(START * 1000)}, True, 900),
        ({"x-per-minute-reset": str(START + 9)}, False, None),
        ({"retry-after": "7"}, True, 7),
        ({"retry-after": "7"}, False, None),
        ({"retry-after": formatdate(START + 20, usegmt=True)}, True, 20),
        ({"retry-after": "soon"}, True, None),
        ({"x-per-minute-remaining": "none", "x-per-minute-reset": "nan"}, True, None),
        (
            # The service's clock is five minutes ahead of ours.
            {
                "date": formatdate(START + 300, usegmt=True),
                "x-per-minute-remaining": "0",
                "x-per-minute-reset": str(START + 330),
            },
            True,
            30,
        ),
    ],
)
def test_wait_is_read_from_the_headers(
    headers: dict[str, str], refused: bool, expected: float | None
) -> None:
    wait = requested_wait(headers, now=START, refused=refused)
    assert wait == expected


@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-per-minute-reset"]), st.text()))
def test_any_header_text_is_accepted(headers: dict[str, str]) -> None:
    wait = requested_wait({**headers, "x-per-minute-remaining": "0"}, now=START, refused=True)
    assert wait is None or 0 <= wait <= 900
