"""Machines without a common store: each learns what the others use from what is left."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.rate_stores.base import SLACK, RateReport
from airflow_provider_engagement.api.rate_stores.file import FileStore
from airflow_provider_engagement.api.rate_stores.minute import ServiceMinute
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.simulator.throttle import Throttle

START = 1_800_000_000.0


class Machines:
    """Machines that send as fast as they may, by a simulated clock.

    :param folders: a folder for each machine.
    :param limit: what the service allows in a minute.
    :param contract: what the connections state; None for nothing.
    :param ahead: the seconds that each machine's clock is ahead of the one before.
    """

    def __init__(
        self,
        folders: list[Path],
        limit: int,
        contract: float | None,
        *,
        ahead: float = 0.0,
        seed: int = 1,
    ) -> None:
        self.now = START + 0.3
        self.granted: list[float] = []
        self.by = [0] * len(folders)
        self.refused = 0
        self._contract = contract
        self._ahead = ahead
        self._random = random.Random(seed)  # noqa: S311 - a seed makes the test repeatable; nothing is secret
        self._service = Throttle(limit, clock=lambda: self.now)
        self._stores = [
            FileStore("app", folder, lambda n=number: self.now + n * ahead)
            for number, folder in enumerate(folders)
        ]
        self._events: list[tuple[float, int, int, RateReport | None]] = []
        self._order = itertools.count()
        for number in range(len(folders)):
            self._plan(self._random.random(), number)

    def _plan(self, seconds: float, number: int, report: RateReport | None = None) -> None:
        event = (self.now + seconds, next(self._order), number, report)
        heapq.heappush(self._events, event)

    def run(self, seconds: float) -> None:
        """Let them send for some seconds."""
        end = self.now + seconds
        while self._events and self._events[0][0] < end:
            self.now, _, number, report = heapq.heappop(self._events)
            if report is None:
                self._send(number)
            else:
                self._stores[number].record(report)
        self.now = end

    def stop(self, number: int) -> None:
        """Let a machine send nothing more."""
        self._events = [event for event in self._events if event[2] != number]
        heapq.heapify(self._events)

    def _send(self, number: int) -> None:
        if blocked := self._stores[number].status().blocked:
            return self._plan(blocked, number)
        answer = self._service.count(EndpointName.TOTALS)
        assert answer is not None
        self.refused += not answer.granted
        if answer.granted:
            self.granted.append(self.now)
            self.by[number] += 1
        second = math.floor(self.now)
        wait = None if answer.remaining else max(0.0, answer.resets_at - second)
        report = RateReport(
            not answer.granted, wait, answer.limit, answer.remaining, answer.resets_at, second
        )
        self._plan(self._random.uniform(0.04, 0.2), number, report)
        # The next slot is taken at once; the first one waits for the limit to be known.
        first = self._contract is None and self.by[number] <= 1
        return self._plan_next(number, 0.25 if first else 0.0)

    def _plan_next(self, number: int, delay: float) -> None:
        turn = self._stores[number].take(self._contract)
        self._plan(max(turn.wait, delay) + 0.0001, number)

    def rate(self, since: float) -> float:
        """Return the granted requests per minute since a moment."""
        return sum(moment >= since for moment in self.granted) / (self.now - since) * 60


@pytest.mark.parametrize("contract", [300.0, None], ids=["stated", "not stated"])
@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_machines_share_what_the_service_allows(
    tmp_path: Path, number: int, contract: float | None
) -> None:
    folders = [tmp_path / str(n) for n in range(number)]
    service = Machines(folders, 300, contract)
    service.run(240)
    assert service.rate(START) >= 0.98 * 300
    assert service.refused / (service.refused + len(service.granted)) < 0.01
    assert min(service.by) > 0.3 * max(service.by)


@settings(max_examples=15)
@given(st.integers(2, 5), st.integers(100, 600), st.floats(-500, 500), st.integers(0, 99))
def test_clocks_need_not_agree(number: int, limit: int, ahead: float, seed: int) -> None:
    with TemporaryDirectory() as folder:
        folders = [Path(folder) / str(n) for n in range(number)]
        service = Machines(folders, limit, None, ahead=ahead, seed=seed)
        service.run(150)
        assert service.rate(START) >= 0.9 * limit
        assert service.refused / (service.refused + len(service.granted)) < 0.02


def test_share_of_a_machine_that_ends_is_used_by_the_others(tmp_path: Path) -> None:
    service = Machines([tmp_path / "0", tmp_path / "1"], 300, 300.0)
    service.run(70)
    service.stop(0)
    service.run(120)
    since = service.now
    service.run(60)
    assert service.rate(since) >= 0.98 * 300


def minute_at(seconds: float, *, used: float, own: float, resets: float = 60.0) -> ServiceMinute:
    minute = ServiceMinute(last_share=own / used)
    minute.record(START + seconds, report(100 - used, resets, seconds))
    minute.own = own
    return minute


def report(remaining: float, resets: float, seconds: float) -> RateReport:
    return RateReport(
        limit=100.0, remaining=remaining, resets_at=START + resets, server_time=START + seconds
    )


def test_machine_that_is_alone_keeps_its_even_pace() -> None:
    minute = ServiceMinute()
    for second in range(50):
        minute.record(START + second, report(99 - second, 60, second))
        assert minute.spacing(START + second, 100) == 0.6 * SLACK


def test_machine_takes_its_part_of_what_is_left() -> None:
    minute = minute_at(30, used=60, own=15)
    # A quarter of 40 requests, less one that is kept in reserve: 9 in 30 seconds.
    assert minute.spacing(START + 30, 100) == pytest.approx(30 / 9, rel=0.01)


def test_nothing_is_sent_where_nothing_is_left() -> None:
    minute = minute_at(30, used=97, own=25)
    assert minute.spacing(START + 30, 100) == 30


def test_share_of_the_last_minute_holds_until_the_next_is_known() -> None:
    minute = minute_at(30, used=80, own=20)
    assert minute.spacing(START + 60, 100) == pytest.approx(4 * 0.6 * SLACK, rel=0.01)


def test_nothing_is_learned_from_a_minute_that_never_ends() -> None:
    minute = ServiceMinute()
    for second in range(50):
        minute.record(START + second, report(20, second + 60, second))
        assert second < 3 or minute.spacing(START + second, 100) == 0.6 * SLACK


def test_nothing_is_learned_without_all_headers() -> None:
    minute = ServiceMinute()
    minute.record(START, RateReport(limit=100.0, remaining=3.0))
    assert minute == ServiceMinute()
