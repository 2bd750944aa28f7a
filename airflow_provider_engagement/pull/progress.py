"""How far a pull has come, and how long it may go on."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import DeadlineExceededError

if TYPE_CHECKING:
    from airflow_provider_engagement.pull.deadline import PullLimits

__all__ = ["Progress"]

log = logging.getLogger(__name__)

_EVERY: Final = 10.0


class Progress:
    """Counts the requests of a pull that are done with.

    :param total: requests to send.
    :param limits: the limits of the pull.
    """

    def __init__(self, total: int, limits: PullLimits) -> None:
        self._total = total
        self._limits = limits
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
        if self._limits.report is not None and (is_time or self._done == self._total):
            self._limits.report(
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
        if self._limits.end_by is None:
            return None
        left = self._limits.end_by - time.monotonic()
        if left > 0:
            return left
        msg = f"The task's execution_timeout is near: {self._done} of {self._total} requests done."
        raise DeadlineExceededError(
            msg,
            advice="The next try sends only the others. A longer execution_timeout saves it.",
        )
