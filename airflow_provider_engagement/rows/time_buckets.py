"""The days and hours that an answer's counts stand under: when they are, and whether asked for."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR, GroupBy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.api.window import Window
    from airflow_provider_engagement.rows.decode import Counts

__all__ = [
    "DAY_US",
    "HOUR_US",
    "check_28_hours",
    "hours_of",
    "in_time",
    "microseconds",
    "starts_of",
]

HOUR_US: Final = 3_600_000_000
"""An hour in microseconds."""

DAY_US: Final = 24 * HOUR_US
"""A day in microseconds."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR: Final = re.compile(r"[01]?\d|2[0-3]", re.ASCII)
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()

# The documented answers of 28hr cover 28 to 29 hours.
_LONGEST: Final = timedelta(hours=30)
_LONGEST_US: Final = 30 * HOUR_US

# 28hr takes no range, so that only the service says when its hours are. Its clock is not ours,
# and one that was set anew for a test may be far off, but not by more than this.
_FURTHEST_AHEAD: Final = timedelta(days=366)


def starts_of(counts: Counts) -> NDArray[np.int64]:
    """Tell when each count's bucket begins, in Unix microseconds.

    :param counts: counts by day, or by day and hour.
    :raises InvalidResponseError: if one stands under something else, or two names mean the same
        hour.
    """
    starts = _read(counts, GroupBy.DAY, _day)
    if GroupBy.HOUR in counts.levels:
        starts = starts + hours_of(counts) * HOUR_US
    return starts


def hours_of(counts: Counts) -> NDArray[np.int64]:
    """Tell the hour of the day, 0 to 23, of each count.

    :raises InvalidResponseError: if one stands under something else, or two names mean the same
        hour.
    """
    return _read(counts, GroupBy.HOUR, _hour)


def in_time(counts: Counts, answer: EngagementResponse, asked: Window | None) -> Counts:
    """Leave out counts of days or hours that were not asked for.

    :param counts: the counts of one grouping.
    :param answer: where they are from.
    :param asked: the range that was asked for; None for the last 28 hours.
    :raises InvalidResponseError: if one is of no time, or those of 28 hours are of more.
    """
    if GroupBy.DAY not in counts.levels:
        return counts
    first, end = _bounds(answer) if asked is None else map(microseconds, (asked.start, asked.end))
    by_hour = GroupBy.HOUR in counts.levels
    if not by_hour:
        # A day that has only begun is asked for by hours.
        first = first // DAY_US * DAY_US
    days = [_day(key) for key in counts.levels[GroupBy.DAY].keys]
    if asked is not None and all(first <= day <= end - DAY_US for day in days):
        return counts
    starts = starts_of(counts)
    timely = counts.keep((starts >= first) & (starts < end))
    if asked is None and answer.start is None and len(timely):
        starts = starts_of(timely)
        if starts.max() - starts.min() >= (_LONGEST_US if by_hour else 3 * DAY_US):
            msg = "An answer of 28hr has counts of more than 28 hours."
            raise InvalidResponseError(msg)
    return timely


def check_28_hours(answer: EngagementResponse) -> None:
    """Refuse an answer of 28hr that says to be of another time.

    :param answer: one of 28hr, which takes no range: only the answer says when its hours are.
    :raises InvalidResponseError: if it says to be of more than 28 hours, or of a time that cannot
        be.
    """
    if answer.start is None and answer.end is None:
        return
    if answer.start is None or answer.end is None:
        msg = "An answer of 28hr says only one of when its hours begin and end."
        raise InvalidResponseError(msg)
    latest = answer.received_at + _FURTHEST_AHEAD
    believable = HISTORICAL_FLOOR <= answer.start < answer.end <= latest
    if not believable or answer.end - answer.start > _LONGEST:
        msg = f"An answer of 28hr is of {answer.start} to {answer.end}, which are no 28 hours."
        raise InvalidResponseError(msg)


def microseconds(moment: datetime) -> int:
    """Give a UTC moment as Unix microseconds."""
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))


def _bounds(answer: EngagementResponse) -> tuple[int, int]:
    """Tell which stretch of time a good answer of 28hr may have counts of."""
    start, end = answer.start or HISTORICAL_FLOOR, answer.end or answer.received_at
    if answer.end is None:
        end += _FURTHEST_AHEAD
    return microseconds(start) // HOUR_US * HOUR_US, microseconds(end)


def _read(counts: Counts, name: GroupBy, read: Callable[[str], int]) -> NDArray[np.int64]:
    level: Any = counts.levels[name]
    numbers = np.fromiter(map(read, level.keys), dtype=np.int64, count=len(level.keys))
    if len(set(numbers.tolist())) < len(level.keys):
        msg = "An answer has the same hour under two names."
        raise InvalidResponseError(msg)
    result: NDArray[np.int64] = numbers[level.codes]
    return result


def _day(key: str) -> int:
    if _DATE.fullmatch(key):
        try:
            return (date.fromisoformat(key).toordinal() - _UNIX_DAY) * DAY_US
        except ValueError:
            pass
    msg = "An answer has something else than a date where days were asked for."
    raise InvalidResponseError(msg)


def _hour(key: str) -> int:
    if _HOUR.fullmatch(key):
        return int(key)
    msg = "An answer has something else than an hour where hours were asked for."
    raise InvalidResponseError(msg)
