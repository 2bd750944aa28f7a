"""The days and hours of a response's counts: when they begin, and whether they were requested."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR, GroupBy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.api.window import Window
    from airflow_provider_engagement.rows.decode import Counts

__all__ = [
    "DAY_US",
    "HOUR_US",
    "bucket_starts",
    "check_28_hours",
    "hours_of_day",
    "microseconds",
    "within_parts",
    "within_window",
]

HOUR_US: Final = 3_600_000_000
"""An hour in microseconds."""

DAY_US: Final = 24 * HOUR_US
"""A day in microseconds."""

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_HOUR: Final = re.compile(r"[01]?\d|2[0-3]", re.ASCII)
_UNIX_DAY: Final = date(1970, 1, 1).toordinal()

# The documented responses of 28hr cover 28 to 29 hours.
_MAX_28_HOURS: Final = timedelta(hours=30)
_MAX_28_HOURS_US: Final = 30 * HOUR_US

# 28hr takes no window, so only the response says which hours it covers. The service's clock may
# differ from ours, and a simulated one by months, but not by more than this.
_MAX_CLOCK_DIFFERENCE: Final = timedelta(days=366)


def bucket_starts(counts: Counts) -> NDArray[np.int64]:
    """Return when each count's day or hour begins, in Unix microseconds.

    :param counts: counts by day, or by day and hour.
    :raises InvalidResponseError: if a key is not a date or hour, or two keys mean the same hour.
    """
    starts = _read(counts, GroupBy.DAY, _day)
    if GroupBy.HOUR in counts.levels:
        starts = starts + hours_of_day(counts) * HOUR_US
    return starts


def hours_of_day(counts: Counts) -> NDArray[np.int64]:
    """Return the hour of the day, 0 to 23, of each count.

    :raises InvalidResponseError: if a key is not an hour, or two keys mean the same hour.
    """
    return _read(counts, GroupBy.HOUR, _hour)


def within_window(counts: Counts, response: EngagementResponse, window: Window | None) -> Counts:
    """Return the counts of days and hours that were requested.

    :param counts: the counts of one grouping.
    :param response: the response that they are from.
    :param window: the window of the request; None for the last 28 hours.
    :raises InvalidResponseError: if a key is not a date or hour, or there are more than 28 hours.
    """
    if GroupBy.DAY not in counts.levels:
        return counts
    if window is None:
        first, end = _bounds_of_28_hours(response)
    else:
        first, end = microseconds(window.start), microseconds(window.end)
    by_hour = GroupBy.HOUR in counts.levels
    if not by_hour:
        # A day of which only a part was requested is still one bucket.
        first = first // DAY_US * DAY_US
    days = [_day(key) for key in counts.levels[GroupBy.DAY].keys]
    if window is not None and all(first <= day <= end - DAY_US for day in days):
        return counts
    starts = bucket_starts(counts)
    within = counts.keep((starts >= first) & (starts < end))
    if window is None and response.start is None and len(within):
        starts = bucket_starts(within)
        if starts.max() - starts.min() >= (_MAX_28_HOURS_US if by_hour else 3 * DAY_US):
            msg = "A response of 28hr has counts of more than 28 hours."
            raise InvalidResponseError(msg)
    return within


def within_parts(counts: Counts, parts: Mapping[str, Window]) -> Counts:
    """Return the counts of each Tweet's part of the window.

    :param counts: counts by Tweet and by day, with or without hours.
    :param parts: by id, the part of the request's window that is wanted, in whole buckets.
    :raises InvalidResponseError: if a key is not a date or hour.
    """
    if not len(counts):
        return counts
    tweets = counts.levels[GroupBy.TWEET_ID]
    own = [parts[key] for key in tweets.keys]
    first = np.array([microseconds(part.start) for part in own], dtype=np.int64)[tweets.codes]
    end = np.array([microseconds(part.end) for part in own], dtype=np.int64)[tweets.codes]
    starts = bucket_starts(counts)
    return counts.keep((starts >= first) & (starts < end))


def check_28_hours(response: EngagementResponse) -> None:
    """Refuse a response of 28hr whose ``start`` and ``end`` cannot be right.

    :param response: a response of 28hr. The request has no window, so only it says which hours.
    :raises InvalidResponseError: if it covers more than 28 hours, or a time that cannot be.
    """
    if response.start is None and response.end is None:
        return
    if response.start is None or response.end is None:
        msg = "A response of 28hr has only one of start and end."
        raise InvalidResponseError(msg)
    latest = response.received_at + _MAX_CLOCK_DIFFERENCE
    is_plausible = HISTORICAL_FLOOR <= response.start < response.end <= latest
    if not is_plausible or response.end - response.start > _MAX_28_HOURS:
        msg = (
            f"A response of 28hr covers {response.start} to {response.end}, which is not 28 hours."
        )
        raise InvalidResponseError(msg)


def microseconds(moment: datetime) -> int:
    """Return a UTC datetime as Unix microseconds."""
    return int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))


def _bounds_of_28_hours(response: EngagementResponse) -> tuple[int, int]:
    """Return the period, in Unix microseconds, that a response of 28hr may have counts of."""
    start, end = response.start or HISTORICAL_FLOOR, response.end or response.received_at
    if response.end is None:
        end += _MAX_CLOCK_DIFFERENCE
    return microseconds(start) // HOUR_US * HOUR_US, microseconds(end)


def _read(counts: Counts, name: GroupBy, read: Callable[[str], int]) -> NDArray[np.int64]:
    level: Any = counts.levels[name]
    numbers = np.fromiter(map(read, level.keys), dtype=np.int64, count=len(level.keys))
    if len(set(numbers.tolist())) < len(level.keys):
        msg = "A response has the same hour under two names."
        raise InvalidResponseError(msg)
    result: NDArray[np.int64] = numbers[level.codes]
    return result


def _day(key: str) -> int:
    if _DATE.fullmatch(key):
        try:
            return (date.fromisoformat(key).toordinal() - _UNIX_DAY) * DAY_US
        except ValueError:
            pass
    msg = "A response has a key that is not a date where days were requested."
    raise InvalidResponseError(msg)


def _hour(key: str) -> int:
    if _HOUR.fullmatch(key):
        return int(key)
    msg = "A response has a key that is not an hour where hours were requested."
    raise InvalidResponseError(msg)
