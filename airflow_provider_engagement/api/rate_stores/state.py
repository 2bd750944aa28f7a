"""The state of the shared rate: how a slot is taken, and what a response changes.

The stores on servers do the same in Lua and in SQL.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.rate_stores.base import (
    FIRST_DEFAULT_WAIT,
    MAX_DEFAULT_WAIT,
    MAX_REFUSALS,
    MAX_WAIT,
    RateReport,
    Status,
    Turn,
)
from airflow_provider_engagement.api.rate_stores.minute import ServiceMinute

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryStore", "RateState"]


@dataclass(slots=True)
class RateState:
    """The state of one app at one endpoint. Times are Unix seconds; 0 means unknown.

    :param next_slot: when the next slot is.
    :param blocked_until: until when the service blocks requests.
    :param limit: the requests per minute that it reported last.
    :param refusals: how many refusals in a row came last.
    :param minute: what is known of others that use the contract.
    """

    next_slot: float = 0.0
    blocked_until: float = 0.0
    limit: float = 0.0
    refusals: float = 0.0
    minute: ServiceMinute = field(default_factory=ServiceMinute)

    def take(self, now: float, contract: float | None) -> Turn:
        """Take the next slot, unless the service blocks requests for too long."""
        blocked = max(0.0, self.blocked_until - now)
        if blocked > MAX_WAIT:
            return Turn(blocked, blocked, is_granted=False)
        slot = max(now, self.next_slot, self.blocked_until)
        rate = contract or self.limit
        self.next_slot = slot + (self.minute.spacing(now, rate) if rate else 0.0)
        return Turn(slot - now, blocked)

    def record(self, now: float, report: RateReport) -> float:
        """Change the state by what a response says; return the seconds that are blocked."""
        self.limit = report.limit or self.limit
        self.minute.record(now, report)
        # Requests in flight together are refused together. That is one refusal, not many.
        is_new = report.is_refused and self.blocked_until <= now
        wait = report.wait
        if is_new and wait is None:
            wait = min(FIRST_DEFAULT_WAIT * 2**self.refusals, MAX_DEFAULT_WAIT)
        if wait is not None:
            self.blocked_until = max(self.blocked_until, now + wait)
        if not report.is_refused:
            self.refusals = 0.0
        elif is_new:
            self.refusals = min(self.refusals + 1, MAX_REFUSALS)
        return max(0.0, self.blocked_until - now)

    def status(self, now: float) -> Status:
        """Return how long the service blocks requests, and the limit that it reported."""
        return Status(max(0.0, self.blocked_until - now), self.limit or None)


class MemoryStore:
    """The rate of one process.

    :param clock: returns Unix seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._state = RateState()

    def take(self, contract: float | None) -> Turn:
        """Take the next slot."""
        with self._lock:
            return self._state.take(self._clock(), contract)

    def keep_clear(self, seconds: float) -> None:
        """Assign no slot within some seconds from now."""
        with self._lock:
            self._state.next_slot = max(self._state.next_slot, self._clock() + seconds)

    def next_slot(self) -> float:
        """Return the seconds until the next slot."""
        return max(0.0, self._state.next_slot - self._clock())

    def record(self, report: RateReport) -> float:
        """Record what a response says."""
        with self._lock:
            return self._state.record(self._clock(), report)

    def status(self) -> Status:
        """Return what the store holds."""
        return self._state.status(self._clock())

    def close(self) -> None:
        """Do nothing."""
