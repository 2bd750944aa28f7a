"""How far a pull has come, and how long it may go on."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Progress", "PullLimits"]

log = logging.getLogger(__name__)

_EVERY: Final = 10.0


@dataclass(frozen=True, slots=True)
class PullLimits:
    """What surrounds a pull while it runs.

    :param end_by: the second of :func:`time.monotonic` at which it has to stop sending, so that
        a retry goes on from there; None for no such time.
    :param tell: is told how far it has come, every ten seconds and at the end, on the thread that
        pulls.
    """

    end_by: float | None = None
    tell: Callable[[dict[str, int | str]], None] | None = None


class Progress:
    """Counts the requests of a pull that are done with.

    :param total: requests to send.
    :param course: what surrounds the pull.
    """

    def __init__(self, total: int, course: PullLimits) -> None:
        self._total = total
        self._course = course
        self._done = 0
        self._began = self._said = time.monotonic()

    def step(self) -> None:
        """Count one, and say so if it is time."""
        self._done += 1
        now = time.monotonic()
        left = (now - self._began) / self._done * (self._total - self._done)
        is_time = now - self._said >= _EVERY
        if is_time:
            self._said = now
            log.info(
                "%d of %d requests answered, about %.0f s left.", self._done, self._total, left
            )
        if self._course.tell is not None and (is_time or self._done == self._total):
            self._course.tell(
                {
                    "requests_answered": self._done,
                    "requests_planned": self._total,
                    "seconds_left": round(left),
                    "as_of": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )

    def time_left(self) -> float | None:
        """Give the seconds, at least 0, until the pull has to stop; None for no such time.

        :raises DeadlineExceededError: if there is none left.
        """
        if self._course.end_by is None:
            return None
        left = self._course.end_by - time.monotonic()
        if left > 0:
            return left
        msg = f"The task's execution_timeout is near: {self._done} of {self._total} requests done."
        raise DeadlineExceededError(
            msg,
            advice="The next try sends only the others. A longer execution_timeout saves it.",
        )
