"""The pace of one app at one endpoint, kept together by every task on the machine.

The contract is the app's, so all tasks that use the app take their turns from one small file, a
*slot book*: the next free moment, until when the service has us wait, and the limit that it told.
Turns are spaced evenly, which fits any way of counting a minute. Where no limit is known, one
request goes ahead of the others, and their number halves on a refusal.
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

# A longer wait is left to Airflow, which can give the worker's slot to another task meanwhile.
MAX_WAIT: Final = 300.0

# Turns are this much further apart than the contract asks for, so that the jitter of the network
# does not bring one more into the service's minute.
_SLACK: Final = 1.005

# Where the service does not say how long to wait: seconds after the first refusal, doubled with
# each one that follows it, and at most a minute, which is what the limit is counted by.
_FIRST_UNTOLD_WAIT: Final = 1.0
_LONGEST_UNTOLD_WAIT: Final = 60.0

_LONGEST_TOLD: Final = 900.0


@dataclass(slots=True)
class _Page:
    """What the slot book says, in Unix seconds; 0 for what is not known."""

    next_slot: float = 0.0
    blocked_until: float = 0.0
    limit: float = 0.0
    refusals: float = 0.0

    FORMAT = struct.Struct("<4d")


class SharedRateState:
    """The shared file of one app at one endpoint.

    :param key: what the pace belongs to; it is hashed, so that no key stands in a file's name.
    :param directory: where the books lie; None for a folder of this user's in the system's
        temporary folder.
    """

    def __init__(self, key: str, directory: Path | None = None) -> None:
        folder = directory or Path(tempfile.gettempdir()) / f"airflow-engagement-{os.getuid()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / hashlib.sha256(key.encode()).hexdigest()[:32]

    @contextlib.contextmanager
    def open(self) -> Iterator[_Page]:
        """Give the page, alone; what is changed in it is kept."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            raw = os.pread(descriptor, _Page.FORMAT.size, 0)
            whole = len(raw) == _Page.FORMAT.size
            page = _Page(*_Page.FORMAT.unpack(raw)) if whole else _Page()
            yield page
            packed = _Page.FORMAT.pack(
                page.next_slot, page.blocked_until, page.limit, page.refusals
            )
            os.pwrite(descriptor, packed, 0)
        finally:
            os.close(descriptor)


class RateLimiter:
    """Gives turns to send, and hears what came of them.

    :param book: what is shared with the other tasks of the machine.
    :param requests_per_minute: the contract's limit; None where it is not known.
    :param max_concurrency: requests in flight at once.
    :param wait: waits some seconds, and raises if the pull is to stop.
    :param clock: tells Unix seconds.
    """

    def __init__(
        self,
        book: SharedRateState,
        *,
        requests_per_minute: float | None,
        max_concurrency: int,
        wait: Callable[[float], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._contract = requests_per_minute
        self._wait = wait
        self._clock = clock
        self._gate = AdaptiveConcurrency(max_concurrency, feeling=requests_per_minute is None)

    @contextlib.contextmanager
    def acquire(self) -> Iterator[None]:
        """Wait for a turn, and hold it while the request is in flight.

        :raises RateLimitError: if the service has us wait longer than :data:`MAX_WAIT`.
        """
        with self._gate:
            self._take_slot()
            yield

    def _take_slot(self) -> None:
        while True:
            with self._book.open() as page:
                now = self._clock()
                if page.blocked_until - now > MAX_WAIT:
                    raise _too_long(page.blocked_until - now, page.blocked_until)
                slot = max(now, page.next_slot, page.blocked_until)
                page.next_slot = slot + self._spacing(page)
            if slot > now:
                self._wait(slot - now)
            with self._book.open() as page:
                if page.blocked_until <= self._clock():
                    return

    def reported_limit(self) -> float | None:
        """Give the requests per minute that the service told last; None if it never did."""
        with self._book.open() as page:
            return page.limit or None

    def _spacing(self, page: _Page) -> float:
        limit = self._contract or page.limit
        return 60.0 / limit * _SLACK if limit else 0.0

    def record_response(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Learn from a reply's status and headers.

        :returns: the Unix second until which the service has us wait, None if it does not.
        """
        now = self._clock()
        refused = status == HTTPStatus.TOO_MANY_REQUESTS
        told = requested_wait(headers, now=now, refused=refused)
        limit = _limit(headers.get("x-per-minute-limit"))
        with self._book.open() as page:
            page.limit = limit or page.limit
            # Requests in flight together are refused together: that is one refusal, not many.
            news = refused and page.blocked_until <= now
            if refused and told is None:
                untold = min(_FIRST_UNTOLD_WAIT * 2**page.refusals, _LONGEST_UNTOLD_WAIT)
                told = now + untold if news else page.blocked_until
            page.blocked_until = max(page.blocked_until, told or 0.0)
            if not refused:
                page.refusals = 0.0
            elif news:
                page.refusals = min(page.refusals + 1, 10)
            if refused:
                # Slots given out for the time of the block are taken anew after it.
                page.next_slot = page.blocked_until
        if refused:
            self._gate.shrink()
            log.warning("The service asks us to slow down: waiting %.0f s.", (told or now) - now)
        else:
            self._gate.grow(known=bool(limit))
        return told


class AdaptiveConcurrency:
    """How many requests may be in flight.

    :param most: at most.
    :param feeling: start with one, since no limit is known.
    """

    def __init__(self, most: int, *, feeling: bool) -> None:
        self._most = most
        self._allowed = 1.0 if feeling else float(most)
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
        """Let more in after a success.

        The first answer tells the limit if any does. Unless it is a refusal, all may come in;
        once there was a refusal and no limit is known, they come in one by one.
        """
        with self._changed:
            careful = self._refused and not known
            more = self._allowed + 1.0 / self._allowed if careful else self._most
            self._allowed = min(float(self._most), more)
            self._changed.notify_all()

    def shrink(self) -> None:
        """Let half as many in after a refusal."""
        with self._changed:
            self._refused = True
            self._allowed = max(1.0, self._allowed / 2)


def requested_wait(headers: Mapping[str, str], *, now: float, refused: bool) -> float | None:
    """Read until when the service has us wait, in Unix seconds of this machine's clock.

    A header that is not there says nothing: it is not a zero.

    :param headers: names in lower case.
    :param now: Unix seconds.
    :param refused: whether the reply was a 429.
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
    for period in ("minute", "second"):
        used_up = _number(headers.get(f"x-per-{period}-remaining")) == 0
        reset = _number(headers.get(f"x-per-{period}-reset"))
        if used_up and reset is not None:
            waits.append(reset - _server_now(headers, now))
    if not waits:
        return None
    # What is past is over, and nothing believable lies further off than the bound.
    return now + min(max(0.0, *waits), _LONGEST_TOLD)


def _server_now(headers: Mapping[str, str], now: float) -> float:
    """Tell the service's time, by which it names moments; our clock may differ."""
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
    """Read the contract's limit. No contract is of less than one request a minute."""
    limit = _number(text)
    return limit if limit is not None and limit >= 1 else None


def _too_long(seconds: float, until: float) -> RateLimitError:
    return RateLimitError(
        f"The service has us wait another {seconds:.0f} s.",
        retry_at=until,
        advice="Retry the task later; its slot is better used meanwhile.",
    )
