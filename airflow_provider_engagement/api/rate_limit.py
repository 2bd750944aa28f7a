"""Limits the rate of one app at one endpoint, across every task on the machine.

The contract is the app's, so all tasks that use the app share its state in one small file: the
next free slot, until when the service has blocked requests, and the limit that it reported. Slots
are spaced evenly, which fits any way of counting a minute. If no limit is known, one request goes
ahead of the others, and the number of concurrent requests halves on a refusal.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import struct
import tempfile
import threading
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["MAX_WAIT", "AdaptiveConcurrency", "RateLimiter", "SharedRateState", "requested_wait"]

log = logging.getLogger(__name__)

# A longer wait ends the try, so that Airflow can give the worker slot to another task.
MAX_WAIT: Final = 300.0

# Slots are this much further apart than the contract requires, so that network jitter does not
# bring one more request into the service's minute.
_SLACK: Final = 1.005

# The wait after a refusal for which the service names none: seconds after the first, doubled with
# each that follows, and at most the minute that the limit is counted by.
_FIRST_DEFAULT_WAIT: Final = 1.0
_MAX_DEFAULT_WAIT: Final = 60.0

_MAX_REQUESTED_WAIT: Final = 900.0


@dataclass(slots=True)
class _State:
    """The shared state. Times are Unix seconds; 0 means unknown."""

    next_slot: float = 0.0
    blocked_until: float = 0.0
    limit: float = 0.0
    refusals: float = 0.0

    FORMAT = struct.Struct("<4d")


class SharedRateState:
    """The shared file of one app at one endpoint.

    :param key: whose state it is. The file's name is a hash of it, because it holds an API key.
    :param directory: where the files lie; None for this user's folder in the system's temporary
        folder.
    """

    def __init__(self, key: str, directory: Path | None = None) -> None:
        folder = directory or Path(tempfile.gettempdir()) / f"airflow-engagement-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / hashlib.sha256(key.encode()).hexdigest()[:32]

    @contextlib.contextmanager
    def open(self) -> Iterator[_State]:
        """Lock and yield the state. Changes to it are written."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            raw = os.pread(descriptor, _State.FORMAT.size, 0)
            whole = len(raw) == _State.FORMAT.size
            state = _State(*_State.FORMAT.unpack(raw)) if whole else _State()
            yield state
            packed = _State.FORMAT.pack(
                state.next_slot, state.blocked_until, state.limit, state.refusals
            )
            os.pwrite(descriptor, packed, 0)
        finally:
            os.close(descriptor)


class RateLimiter:
    """Assigns slots to requests, and learns from the responses.

    :param shared: the state that is shared with the machine's other tasks.
    :param requests_per_minute: the contract's limit; None if it is unknown.
    :param max_concurrency: requests in flight at once.
    :param wait: waits some seconds, and raises if the pull is stopped.
    :param clock: returns Unix seconds.
    """

    def __init__(
        self,
        shared: SharedRateState,
        *,
        requests_per_minute: float | None,
        max_concurrency: int,
        wait: Callable[[float], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._shared = shared
        self._contract = requests_per_minute
        self._wait = wait
        self._clock = clock
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
        while True:
            with self._shared.open() as state:
                now = self._clock()
                if state.blocked_until - now > MAX_WAIT:
                    raise _too_long(state.blocked_until - now, state.blocked_until)
                slot = max(now, state.next_slot, state.blocked_until)
                state.next_slot = slot + self._spacing(state)
            if slot > now:
                self._wait(slot - now)
            with self._shared.open() as state:
                if state.blocked_until <= self._clock():
                    return

    def reported_limit(self) -> float | None:
        """Return the requests per minute that the service reported last; None if it never did."""
        with self._shared.open() as state:
            return state.limit or None

    def _spacing(self, state: _State) -> float:
        limit = self._contract or state.limit
        return 60.0 / limit * _SLACK if limit else 0.0

    def record_response(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Learn from a response's status and headers.

        :returns: the Unix second until which the service blocks requests; None if it does not.
        """
        now = self._clock()
        refused = status == HTTPStatus.TOO_MANY_REQUESTS
        until = requested_wait(headers, now=now, refused=refused)
        limit = _limit(headers.get("x-per-minute-limit"))
        with self._shared.open() as state:
            state.limit = limit or state.limit
            # Requests in flight together are refused together. That is one refusal, not many.
            is_new = refused and state.blocked_until <= now
            if refused and until is None:
                default = min(_FIRST_DEFAULT_WAIT * 2**state.refusals, _MAX_DEFAULT_WAIT)
                until = now + default if is_new else state.blocked_until
            state.blocked_until = max(state.blocked_until, until or 0.0)
            if not refused:
                state.refusals = 0.0
            elif is_new:
                state.refusals = min(state.refusals + 1, 10)
            if refused:
                # Slots within the blocked time are assigned again after it.
                state.next_slot = state.blocked_until
        if refused:
            self._concurrency.shrink()
            log.warning("Rate limited: waiting %.0f s.", (until or now) - now)
        else:
            self._concurrency.grow(known=bool(limit))
        return until


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
    """Read until when the service blocks requests, in Unix seconds of this machine's clock.

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
    return now + min(max(0.0, *waits), _MAX_REQUESTED_WAIT)


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
