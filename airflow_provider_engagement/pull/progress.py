"""Counts the requests of a pull that are finished, and reports its progress."""

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

_REPORT_SECONDS: Final = 10.0


class Progress:
    """Counts the requests of a pull that are finished.

    :param total: requests to send.
    :param limits: the limits of the pull.
    """

    def __init__(self, total: int, limits: PullLimits) -> None:
        self._total = total
        self._limits = limits
        self._done = 0
        self._began = self._reported = time.monotonic()

    def step(self) -> None:
        """Count one request, and report the progress every ten seconds and at the end."""
        self._done += 1
        now = time.monotonic()
        left = (now - self._began) / self._done * (self._total - self._done)
        is_time = now - self._reported >= _REPORT_SECONDS
        if is_time:
            self._reported = now
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
        """Return the seconds until the pull has to stop; None if it does not.

        :raises DeadlineExceededError: if there are none left.
        """
        if self._limits.end_by is None:
            return None
        left = self._limits.end_by - time.monotonic()
        if left > 0:
            return left
        msg = f"The task's execution_timeout is near: {self._done} of {self._total} requests done."
        raise DeadlineExceededError(
            msg,
            advice="The next try sends only the others. A longer execution_timeout avoids it.",
        )
