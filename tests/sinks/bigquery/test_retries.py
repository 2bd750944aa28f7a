from __future__ import annotations

import heapq
import logging
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from bigquery_checks import ABORTED, OUTSTANDING, OVER_LIMIT, SERIALIZE, TYPO, failure
from google.api_core.exceptions import RetryError, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import RefreshError, TransportError

from airflow_provider_engagement.sinks.bigquery import retries
from airflow_provider_engagement.sinks.bigquery.retries import (
    DEFAULT_WAIT,
    Patience,
    RetryClock,
    is_conflict,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ABORTED, True),
        (SERIALIZE, True),
        (OUTSTANDING, True),
        (failure("backendError", "Error encountered during execution."), True),
        (failure("internalError", "An internal error occurred."), True),
        (failure("rateLimitExceeded", "Exceeded rate limits: too many table updates"), True),
        (ServiceUnavailable("try again"), True),
        (TooManyRequests("slow down"), True),
        (requests.exceptions.ConnectionError("reset"), True),
        (requests.exceptions.ReadTimeout("timed out"), True),
        (requests.exceptions.ChunkedEncodingError("cut"), True),
        (ConnectionResetError("reset"), True),
        (TransportError("no token now"), True),
        (RetryError("Timeout of 600.0s exceeded", ServiceUnavailable("down")), True),
        (TYPO, False),
        (OVER_LIMIT, False),
        (failure("accessDenied", "Access Denied: Table p:d.counts"), False),
        (requests.exceptions.SSLError("certificate verify failed"), False),
        (RefreshError("invalid_grant"), False),
        (ValueError("due to concurrent update"), False),
    ],
)
def test_transient_failures_are_recognised(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


def test_only_conflicts_are_conflicts() -> None:
    assert [is_conflict(error) for error in (ABORTED, SERIALIZE, OUTSTANDING)] == [True] * 3
    assert not is_conflict(ServiceUnavailable("down"))
    assert not is_conflict(ValueError("due to concurrent update"))


def test_patience_grows_with_conflicts_up_to_a_bound() -> None:
    patience = Patience()
    assert patience.seconds(0) == 15 * 60
    # 32 tasks that take a minute each: the last one waits for 31 others.
    assert patience.seconds(2) > 31 * 60
    assert patience.seconds(3) > patience.seconds(2)
    assert patience.seconds(1000) == 2 * 3600
    assert Patience(base=0).seconds(5) == 0


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the clock."""

    def move(seconds: float) -> None:
        monkeypatch.setattr(retries.time, "monotonic", lambda: seconds)

    return move


def failed(error: Exception) -> Any:
    outcome = SimpleNamespace(exception=lambda: error)
    return SimpleNamespace(outcome=outcome, attempt_number=1, next_action=None)


def test_an_outage_is_retried_for_a_time_after_its_first_failure(
    at: Callable[[float], None],
) -> None:
    clock = RetryClock(Patience(base=900))
    down = failed(ServiceUnavailable("down"))
    # A job that ran for an hour before it failed has all its patience left.
    for seconds in (3600, 3700, 3600 + 899):
        at(seconds)
        assert not clock.has_ended(down)
    at(3600 + 900)
    assert clock.has_ended(down)


def test_each_conflict_extends_the_time(
    at: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    clock = RetryClock(Patience(base=900, most=3000))
    at(0)
    assert not clock.has_ended(failed(ABORTED))
    at(1700)
    assert not clock.has_ended(failed(ABORTED))
    at(2600)
    assert not clock.has_ended(failed(ServiceUnavailable("down")))
    with caplog.at_level(logging.WARNING):
        clock.log_retry(failed(ABORTED))
    assert "busy with another writer of the table" in caplog.text
    assert "at most 45 minutes after the first failure" in caplog.text
    at(3000)
    assert clock.has_ended(failed(ABORTED))


def waiting_minutes(writers: int, seconds: float, at: Callable[[float], None]) -> list[float]:
    """Run writers that all start at once, with the real pauses and the real patience.

    One transaction runs at a time; a writer that meets another one is aborted at once.

    :param writers: how many.
    :param seconds: how long a transaction takes.
    :returns: for each writer that finished, the minutes until its transaction began.
    """
    states = [
        SimpleNamespace(
            clock=RetryClock(Patience()),
            attempt_number=0,
            outcome=failed(ABORTED).outcome,
        )
        for _ in range(writers)
    ]
    attempts = [(0.0, number) for number in range(writers)]
    busy_until, finished = 0.0, []
    while attempts:
        now, number = heapq.heappop(attempts)
        at(now)
        state = states[number]
        state.attempt_number += 1
        if now >= busy_until:
            busy_until = now + seconds
            finished.append(now / 60)
        elif not state.clock.has_ended(state):
            heapq.heappush(attempts, (now + DEFAULT_WAIT(state), number))
    return finished


@pytest.mark.parametrize("seed", range(5))
def test_32_tasks_that_write_to_one_table_all_have_their_turn(
    at: Callable[[float], None], seed: int
) -> None:
    random.seed(seed)
    finished = waiting_minutes(32, 60, at)
    assert len(finished) == 32
    # Ten minutes were not enough for most of them.
    assert sum(minutes < 10 for minutes in finished) < 16
    # Little time is lost between one transaction and the next.
    assert max(finished) < 1.3 * 31
