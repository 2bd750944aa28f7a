"""When to poll next, and how long to wait out a fault."""

from __future__ import annotations

import hashlib
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Patience", "PollSchedule"]

# Waits double, so that this many doublings of any interval exceed every timeout.
_MAX_DOUBLINGS: Final = 60

# Seconds before the timeout, so that the last poll is over by then.
_LAST_POLL: Final = 30.0


@dataclass(frozen=True, slots=True)
class PollSchedule:
    """The waits between polls: as those of Airflow's ``BaseSensorOperator`` in ``mode="poke"``.

    :param interval: seconds between two polls.
    :param exponential_backoff: double the wait with each poll, and add a jitter of up to as much.
    :param max_wait: the longest wait with ``exponential_backoff``, seconds.
    :param jitter_seed: text from which the jitter is derived, such as the task's id.
    :param timeout: seconds after which the caller stops polling. With ``exponential_backoff`` the
        last poll comes shortly before.
    """

    interval: float
    exponential_backoff: bool = False
    max_wait: float | None = None
    jitter_seed: str = ""
    timeout: float | None = None

    def wait(self, polls: int, elapsed: float = 0.0) -> float:
        """Return the seconds to wait for the next poll.

        :param polls: how many polls there have been, from 1.
        :param elapsed: seconds since polling began.
        """
        if not self.exponential_backoff:
            return self.interval
        shortest = max(int(self.interval * 2 ** (min(polls, _MAX_DOUBLINGS) - 2)), 1)
        text = f"{self.jitter_seed}#{polls}".encode()
        jitter = int(hashlib.sha1(text, usedforsecurity=False).hexdigest(), 16) % shortest
        wait = min(float(shortest + jitter), self.max_wait or math.inf)
        remaining = (self.timeout or math.inf) - _LAST_POLL - elapsed
        return min(wait, remaining) if remaining > 0 else wait


@dataclass(slots=True)
class Patience:
    """How long a fault is waited out that may pass by itself, or may need a change.

    Wrong keys fail the first poll. Once a poll has succeeded, the same error is more likely a
    passing fault of the service or of a secrets backend.

    :param has_succeeded: whether a poll, or what stands for one, has succeeded.
    :param seconds: how long such a fault is waited out.
    :param clock: seconds, from any start.
    """

    has_succeeded: bool = False
    seconds: float = 300.0
    clock: Callable[[], float] = time.monotonic
    _failing_since: float | None = field(default=None, init=False)

    def succeed(self) -> None:
        """Note that a poll has succeeded."""
        self.has_succeeded = True
        self._failing_since = None

    def lasts(self) -> bool:
        """Note a failure, and return whether to try again."""
        now = self.clock()
        if self._failing_since is None:
            self._failing_since = now
        return self.has_succeeded and now - self._failing_since < self.seconds
