"""Learns how much of the service's minute other machines use, from the requests that are left.

Machines without a common store do not know of each other. The service's count of the requests that
are left falls faster than this machine sends. The difference is what the others use, and this
machine leaves it to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.rate_stores.base import spacing

if TYPE_CHECKING:
    from airflow_provider_engagement.api.rate_stores.base import RateReport

__all__ = ["ServiceMinute"]

# The share of the last minute weighs as much as this many requests of the current one.
_WEIGHT: Final = 4.0

# Up to this many requests that seem to be of others may be this machine's own, because responses
# get lost or overtake each other.
_TOLERANCE: Final = 2.0

# A machine counts on this share of the next minute at least, so that a machine that joins gets one.
_LEAST_SHARE: Final = 0.1

# Seconds by which the end of one minute may differ between responses.
_ROUNDING: Final = 2.0


@dataclass(slots=True)
class ServiceMinute:
    """The minute by which the service counts, as far as its responses say.

    :param resets_at: when it ends, in Unix seconds of the service's clock; 0 if unknown.
    :param offset: the seconds that the service's clock is ahead of this machine's, at least.
    :param allowed: how many requests the minute has; 0 if the service's minute has no fixed end.
    :param used: how many of them are used.
    :param own: how many of these are this machine's.
    :param last_share: this machine's part of the minute before.
    """

    resets_at: float = 0.0
    offset: float = 0.0
    allowed: float = 0.0
    used: float = 0.0
    own: float = 0.0
    last_share: float = 1.0

    def record(self, now: float, report: RateReport) -> None:
        """Learn from a response that says what is left of the minute."""
        if report.limit is None or report.remaining is None or report.resets_at is None:
            return
        if report.server_time is not None:
            self._set_clock(report.server_time - now)
        if report.resets_at > self.resets_at + _ROUNDING:
            self._begin(now, report)
        if self.allowed and abs(report.resets_at - self.resets_at) <= _ROUNDING:
            self.used = max(self.used, report.limit - report.remaining)
            self.own += not report.is_refused

    def spacing(self, now: float, limit: float) -> float:
        """Return the seconds between two slots of this machine.

        :param now: Unix seconds.
        :param limit: the contract's requests per minute.
        """
        alone = spacing(limit)
        if not self.allowed:
            return alone
        left = self.resets_at - self.offset - now
        if left <= 0:
            return alone / self._share_of_next()
        share = self._share()
        if share == 1:
            return alone
        # At this pace all machines together use up what is left when the minute ends. One request
        # each is left out, so that they do not race for the last ones.
        mine = (self.allowed - self.used) * share - 1
        return max(alone, left / mine if mine > 1 else left)

    def _set_clock(self, ahead: float) -> None:
        """Note how far the service's clock is ahead. Responses give its time in whole seconds."""
        is_stepped = ahead + 1 < self.offset
        self.offset = ahead if is_stepped else max(self.offset, ahead)

    def _begin(self, now: float, report: RateReport) -> None:
        """Begin a minute.

        If it begins before the last one ends, the service's minute has no fixed end, and nothing
        can be learned from it.
        """
        is_rolling = now + self.offset < self.resets_at - _ROUNDING
        self.last_share = 1.0 if is_rolling else self._share_of_next()
        self.allowed = 0.0 if is_rolling else report.limit or 0.0
        self.resets_at = report.resets_at or 0.0
        self.used = self.own = 0.0

    def _share(self) -> float:
        """Return this machine's part of what all use in this minute."""
        if self.used - self.own <= _TOLERANCE and self.last_share == 1:
            return 1.0
        return (self.own + _WEIGHT * self.last_share) / (self.used + _WEIGHT)

    def _share_of_next(self) -> float:
        if self.used - self.own <= _TOLERANCE:
            return 1.0 if self.used else self.last_share
        return max(_LEAST_SHARE, self._share())
