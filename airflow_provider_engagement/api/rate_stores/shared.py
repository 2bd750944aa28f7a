"""A store on a server, with a share of the contract for the time that the server is away.

While the store answers, it grants each worker slots and a share of the contract. The shares add up
to the contract at most. When the store stops answering, each worker spaces its own slots so that
they stay within its share. When the store answers again, it assigns no slots until every worker has
had the time to notice, so that shares and slots are never used at once.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import RateStoreError
from airflow_provider_engagement.api.rate_stores.base import (
    LEASE,
    RateReport,
    Status,
    Turn,
    spacing,
)
from airflow_provider_engagement.api.rate_stores.state import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_engagement.api.rate_stores.base import Grant, RemoteStore

__all__ = ["SharedStore"]

log = logging.getLogger(__name__)

# Seconds between two attempts to reach a store that is away. The first interval is doubled each
# time, up to the longest. An attempt may take that long itself; the two together must be less than
# RECOVERY.
_FIRST_INTERVAL: Final = 0.1
_MAX_INTERVAL: Final = 2.0


class SharedStore:
    """The rate of one worker that shares it through a server.

    :param remote: the store on the server.
    :param clock: returns Unix seconds.
    """

    def __init__(self, remote: RemoteStore, clock: Callable[[], float] = time.time) -> None:
        self._remote = remote
        self._clock = clock
        self._local = MemoryStore(clock)
        self._lock = threading.Lock()
        self._share = 0.0
        self._share_ends_at = 0.0
        self._limit = 0.0
        self._was_refused = False
        self._is_away = False
        # When to ask the store again: for an answer while it is away, else for a slot.
        self._ask_at = 0.0
        # Until when no slot of the store is taken, because one of this worker's own is too near.
        self._clear_at = 0.0
        self._interval = _FIRST_INTERVAL
        self._period = 0.0
        self._own_slot_at = 0.0

    def take(self, contract: float | None) -> Turn:
        """Take a slot from the store, or one of this worker's share while the store is away.

        :raises RateStoreError: if the store is away and has granted this worker no share.
        """
        with self._lock:
            self._return_if_possible()
            turn = self._take_remotely(contract) if self._is_in_use() else None
            return turn or self._take_locally(contract)

    def record(self, report: RateReport) -> float:
        """Record what a response says, also for the time that the store may be away."""
        with self._lock:
            blocked = self._local.record(report)
            self._was_refused = self._was_refused or report.is_refused
            is_new_limit = report.limit not in {None, self._limit}
            is_news = self._was_refused or report.wait is not None or is_new_limit
            if self._is_away or not is_news:
                return blocked
            try:
                blocked = self._remote.record(report)
            except RateStoreError as error:
                self._leave(error)
            else:
                self._limit = report.limit or self._limit
                self._was_refused = report.is_refused
            return blocked

    def status(self) -> Status:
        """Return what the store holds, or what this worker knows while it is away.

        :raises RateStoreError: if the store is away and has granted this worker no share.
        """
        with self._lock:
            self._return_if_possible()
            if self._gives_up_slot():
                return replace(self._local.status(), is_void=True)
            if self._is_in_use():
                try:
                    return self._remote.status()
                except RateStoreError as error:
                    self._leave(error)
            self._check_share()
            return self._local.status()

    def close(self) -> None:
        """Close the connection to the server."""
        self._remote.close()

    def _is_in_use(self) -> bool:
        """Return whether slots are taken from the store, as far as this worker knows."""
        return not self._is_away and self._clock() >= self._ask_at

    def _gives_up_slot(self) -> bool:
        """Give up this worker's own slot if the store assigns slots before it; return whether."""
        if self._is_away or self._own_slot_at <= max(self._ask_at, self._clock()):
            return False
        self._clear_at = self._own_slot_at
        self._own_slot_at = 0.0
        return True

    def _return_if_possible(self) -> None:
        if not self._is_away or self._clock() < self._ask_at:
            return
        try:
            recovering = self._rejoin()
            blocked = self._local.status().blocked
            if blocked:
                self._remote.record(RateReport(is_refused=True, wait=blocked))
        except RateStoreError:
            self._interval = min(self._interval * 2, _MAX_INTERVAL)
            self._ask_at = self._clock() + self._interval
            return
        log.info("%s answers again. In %.0f s it is used again.", self._remote.name, recovering)
        self._is_away = False
        self._ask_at = self._clock() + recovering

    def _rejoin(self) -> float:
        if self._share:
            return self._remote.rejoin(self._share, self._period)
        self._remote.status()
        return 0.0

    def _take_remotely(self, contract: float | None) -> Turn | None:
        """Take a slot from the store; return None if the store does not assign one now."""
        clear_in = self._clear_at - self._clock()
        if clear_in > 0:
            return Turn(clear_in, is_granted=False)
        try:
            grant = self._remote.take(contract or 0.0, self._share)
        except RateStoreError as error:
            self._leave(error)
            return None
        self._note(grant)
        if grant.recovering:
            return None
        if grant.wait is None:
            return Turn(grant.blocked, grant.blocked, is_granted=False)
        # If the store goes away now, this worker skips its first own slot, because workers that
        # have not noticed yet may still take slots from the store.
        self._period = self._own_spacing(contract)
        self._local.keep_clear(grant.wait + 2 * self._period)
        return Turn(grant.wait, grant.blocked)

    def _note(self, grant: Grant) -> None:
        now = self._clock()
        self._share = grant.share
        self._share_ends_at = now + (grant.wait or 0.0) + LEASE
        self._limit = grant.limit
        self._was_refused = grant.refusals > 0
        self._ask_at = now + grant.recovering

    def _leave(self, error: RateStoreError) -> None:
        """Go on without the store. Give up a share that has ended: others may have it now."""
        now = self._clock()
        if now > self._share_ends_at:
            self._share = 0.0
        self._is_away = True
        self._interval = _FIRST_INTERVAL
        self._ask_at = now + self._interval
        share = f"at {self._share:.0%} of the contract" if self._share else "when it answers"
        log.warning("%s This worker goes on %s.", error, share)

    def _take_locally(self, contract: float | None) -> Turn:
        self._check_share()
        recovers_in = max(0.0, self._ask_at - self._clock())
        if not self._is_away and (not self._share or self._local.next_slot() > recovers_in):
            return Turn(recovers_in, is_granted=False)
        rate = self._rate(contract)
        turn = self._local.take(self._own_rate(rate) if rate else None)
        # The first slot from the store must be as far from this one as the next own slot would be.
        self._own_slot_at = self._clock() + turn.wait
        self._clear_at = self._clock() + self._local.next_slot()
        return turn

    def _check_share(self) -> None:
        """Refuse a slot to a worker without a share, because it could exceed the contract."""
        if self._is_away and not self._share:
            raise RateStoreError(
                f"{self._remote.name} does not answer, and this worker does not know how many "
                "share the contract.",
                advice="The request is repeated. Check the store if this lasts.",
            )

    def _rate(self, contract: float | None) -> float:
        return contract or self._limit

    def _own_spacing(self, contract: float | None) -> float:
        rate = self._rate(contract)
        return spacing(self._own_rate(rate)) if rate and self._share else 0.0

    def _own_rate(self, rate: float) -> float:
        """Return this worker's requests per minute: with both ends of a minute, its share."""
        own = rate * self._share
        return max(own - 1, own / 2)
