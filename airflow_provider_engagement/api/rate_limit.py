"""Limits the rate of one app at one endpoint, across every task that shares a store.

The contract is the app's, so all tasks that use the app share its state in a store: the next free
slot, until when the service has blocked requests, and the limit that it reported. Slots are spaced
evenly, which fits any way of counting a minute. If no limit is known, one request goes ahead of
the others, and the number of concurrent requests halves on a refusal.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import RateLimitError
from airflow_provider_engagement.api.rate_stores.base import MAX_WAIT, RateReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_engagement.api.rate_stores.base import RateStore, Turn

__all__ = ["AdaptiveConcurrency", "RateLimiter", "requested_wait"]

log = logging.getLogger(__name__)

# A request that waits for its slot checks this often, in seconds, whether the slot is still valid.
_LONGEST_STEP: Final = 2.0

_MAX_REQUESTED_WAIT: Final = 900.0


class RateLimiter:
    """Assigns slots to requests, and learns from the responses.

    :param store: what is shared with other tasks.
    :param requests_per_minute: the contract's limit; None if it is unknown.
    :param max_concurrency: requests in flight at once.
    :param wait: waits some seconds, and raises if the pull is stopped.
    :param clock: returns Unix seconds.
    """

    def __init__(
        self,
        store: RateStore,
        *,
        requests_per_minute: float | None,
        max_concurrency: int,
        wait: Callable[[float], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._contract = requests_per_minute
        self._wait = wait
        self._clock = clock
        self._slot_lock = threading.Lock()
        self._concurrency = AdaptiveConcurrency(
            max_concurrency, starts_with_one=requests_per_minute is None
        )

    @contextlib.contextmanager
    def acquire(self) -> Iterator[None]:
        """Wait for a slot, and count as in flight until the block ends.

        :raises RateLimitError: if the service blocks requests for longer than :data:`MAX_WAIT`.
        """
        with self._concurrency:
            self._take_slot()
            yield

    def _take_slot(self) -> None:
        # One thread at a time, so that a process that is killed loses one slot at most.
        with self._slot_lock:
            while True:
                self._wait(0.0)
                turn = self._store.take(self._contract)
                if turn.blocked > MAX_WAIT:
                    raise _too_long(turn.blocked, self._clock() + turn.blocked)
                if self._wait_for(turn) and turn.is_granted:
                    return

    def _wait_for(self, turn: Turn) -> bool:
        """Wait for a slot; return False as soon as it cannot be used."""
        left = turn.wait
        while left > 0:
            step = min(left, _LONGEST_STEP)
            self._wait(step)
            left -= step
            status = self._store.status()
            if status.is_void or status.blocked > left:
                return False
        return True

    def reported_limit(self) -> float | None:
        """Return the requests per minute that the service reported last; None if it never did."""
        return self._store.status().limit

    def record_response(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Learn from a response's status and headers.

        :returns: the Unix second until which the service blocks requests; None if it does not.
        """
        now = self._clock()
        is_refused = status == HTTPStatus.TOO_MANY_REQUESTS
        wait = requested_wait(headers, now=now, refused=is_refused)
        limit = _limit(headers.get("x-per-minute-limit"))
        remaining = _number(headers.get("x-per-minute-remaining"))
        resets_at = _number(headers.get("x-per-minute-reset"))
        server_time = _unix(headers.get("date"))
        blocked = self._store.record(
            RateReport(is_refused, wait, limit, remaining, resets_at, server_time)
        )
        if is_refused:
            self._concurrency.shrink()
            log.warning("Rate limited: waiting %.0f s.", blocked)
        else:
            self._concurrency.grow(known=bool(limit))
        return now + blocked if is_refused or wait is not None else None

    def close(self) -> None:
        """Release what the store has opened."""
        self._store.close()


class AdaptiveConcurrency:
    """Limits how many requests are in flight.

    :param maximum: at most.
    :param starts_with_one: whether to start with one, because no limit is known.
    """

    def __init__(self, maximum: int, *, starts_with_one: bool) -> None:
        self._maximum = maximum
        self._allowed = 1.0 if starts_with_one else float(maximum)
        self._refused = False
        self._in_flight = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._in_flight < int(self._allowed))
            self._in_flight += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._in_flight -= 1
            self._changed.notify_all()

    def grow(self, *, known: bool) -> None:
        """Allow more requests after a success.

        The first response reports the limit, if any does. Unless it is a refusal, all requests may
        be in flight. After a refusal without a known limit, they are allowed one by one.
        """
        with self._changed:
            is_careful = self._refused and not known
            more = self._allowed + 1.0 / self._allowed if is_careful else self._maximum
            self._allowed = min(float(self._maximum), more)
            self._changed.notify_all()

    def shrink(self) -> None:
        """Allow half as many requests after a refusal."""
        with self._changed:
            self._refused = True
            self._allowed = max(1.0, self._allowed / 2)


def requested_wait(headers: Mapping[str, str], *, now: float, refused: bool) -> float | None:
    """Read for how many seconds the service blocks requests.

    A missing header means unknown, not zero.

    :param headers: names in lower case.
    :param now: Unix seconds.
    :param refused: whether the response was a 429.
    :returns: None if the service does not say.
    """
    waits: list[float] = []
    after = headers.get("retry-after")
    if refused and after is not None:
        seconds = _number(after)
        if seconds is None:
            moment = _unix(after)
            seconds = None if moment is None else moment - _server_now(headers, now)
        if seconds is not None:
            waits.append(seconds)
    for unit in ("minute", "second"):
        is_used_up = _number(headers.get(f"x-per-{unit}-remaining")) == 0
        reset = _number(headers.get(f"x-per-{unit}-reset"))
        if is_used_up and reset is not None:
            waits.append(reset - _server_now(headers, now))
    if not waits:
        return None
    # Clamp to 0-900 s; a reset outside that is ignored.
    return min(max(0.0, *waits), _MAX_REQUESTED_WAIT)


def _server_now(headers: Mapping[str, str], now: float) -> float:
    """Return the service's time, to which its resets refer. This machine's clock may differ."""
    return _unix(headers.get("date")) or now


def _unix(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except ValueError:
        return None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < 1e15 else None  # noqa: PLR2004 - and no nan, no infinity


def _limit(text: str | None) -> float | None:
    """Read the contract's limit. A contract has at least one request a minute."""
    limit = _number(text)
    return limit if limit is not None and limit >= 1 else None


def _too_long(seconds: float, until: float) -> RateLimitError:
    return RateLimitError(
        f"Rate limited for another {seconds:.0f} s.",
        retry_at=until,
        advice="The task will be retried, which frees the worker slot.",
    )
