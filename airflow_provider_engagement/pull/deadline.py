"""When a pull has to stop, and where it reports its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PullLimits", "end_before_timeout"]

# Seconds to clean up in, after the last request has ended; never more than a tenth of the timeout.
_CLEAN_UP: Final = 10.0
_LARGEST_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class PullLimits:
    """The limits that the caller sets for a pull.

    :param end_by: the value of :func:`time.monotonic` at which the pull stops sending, so that a
        retry can continue it; None for no limit.
    :param report: called with the pull's progress from time to time and at the end, on the thread
        that pulls; None for no report.
    :param report_seconds: seconds between two reports, at least.
    """

    end_by: float | None = None
    report: Callable[[dict[str, int | str]], None] | None = None
    report_seconds: float = 10.0


def end_before_timeout(*, began: float, timeout: float, request_timeout: float) -> float:
    """Return when to stop sending, so that the pull ends before its process is stopped.

    The time of one request in flight, and ten seconds to clean up, are left before the timeout.

    :param began: the value of :func:`time.monotonic` at which the process began.
    :param timeout: after how many seconds it will be stopped.
    :param request_timeout: how many seconds one request may take.
    :returns: a value of :func:`time.monotonic`.
    """
    return began + timeout - min(request_timeout + _CLEAN_UP, timeout * _LARGEST_SHARE)
