"""Builds the rows of one grouping of a response, column by column."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from airflow_provider_engagement.api.spec import FALSE_ZEROS_BEFORE, EndpointName, GroupBy
from airflow_provider_engagement.api.tweet_id import (
    FIRST_SNOWFLAKE_MS,
    LAST_SEQUENTIAL_ID,
    TIMESTAMP_SHIFT,
)
from airflow_provider_engagement.rows.schema import LONG, arrow_schema
from airflow_provider_engagement.rows.time_buckets import (
    DAY_US,
    HOUR_US,
    bucket_starts,
    hours_of_day,
    microseconds,
)

if TYPE_CHECKING:
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.api.query import Grouping, PlannedRequest, Query
    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.rows.decode import Counts

__all__ = ["RowBuilder", "created_at", "granularity_of"]

_SCHEMA: Final = arrow_schema(LONG)
_NEVER: Final = np.iinfo(np.int64).min


class RowBuilder:
    """Builds the rows of one grouping.

    :param counts: the counts to write.
    :param grouping: their grouping.
    :param response: the response that they are from.
    :param query: the endpoint.
    :param request: the request's access and window.
    :param account: the owner.
    :param period: what the pull is about.
    """

    before_creation: int = 0
    """How many counts, zeros aside, are from before their Tweet was created."""

    def __init__(  # noqa: PLR0917 - the column groups' sources, each used once
        self,
        counts: Counts,
        grouping: Grouping,
        response: EngagementResponse,
        query: Query,
        request: PlannedRequest,
        account: str,
        period: ReportingPeriod,
    ) -> None:
        self._counts = counts
        self._grouping = grouping
        self._response = response
        self._window = request.window
        self._snapshot_at = period.snapshot_at
        self._period = period.period
        self._endpoint = query.endpoint.name
        self._granularity = granularity_of(grouping, self._endpoint)
        self._constants: dict[str, Any] = {
            "account": account,
            "access": str(request.access),
            "endpoint": str(self._endpoint),
            "grouping": grouping.canonical,
            "granularity": self._granularity,
            "collected_at": response.received_at,
            "complete": True,
        }
        self._columns: dict[str, pa.Array] = {}

    def build(self) -> pa.Table:
        """Return the rows."""
        if self._granularity in {"day", "hour"}:
            self._add_buckets(HOUR_US if self._granularity == "hour" else DAY_US)
        elif self._granularity == "lifetime":
            self._add_snapshot()
        else:
            self._add_whole_period()
        self._columns["value"] = self._counts.values
        self._add_tweets()
        return self._table()

    def _add_snapshot(self) -> None:
        self._constants |= {"snapshot_at": self._snapshot_at, "date": self._snapshot_at.date()}

    def _add_whole_period(self) -> None:
        """Date counts of the whole period, or of its hours of the day."""
        response = self._response
        if self._period is not None:
            start, end = self._period.start, self._period.end
        else:
            start = response.start or self._snapshot_at
            end = response.end or self._snapshot_at
        self._constants |= {"period_start": start, "period_end": end, "date": start.date()}
        self._constants["complete"] = end <= response.received_at and self._covers_window()
        self._without_false_zeros(np.full(len(self._counts), microseconds(start)))
        if self._granularity == "hour_of_day":
            self._columns["hour_of_day"] = pa.array(hours_of_day(self._counts), type=pa.int64())
        elif self._period is None:
            self._add_snapshot()

    def _covers_window(self) -> bool:
        """Return whether the response covers all of the request's window."""
        window, response = self._window, self._response
        return window is None or (
            (response.start is None or response.start <= window.start)
            and (response.end is None or response.end >= window.end)
        )

    def _add_buckets(self, length: int) -> None:
        """Date counts of days or hours, and leave out those from before the Tweet's creation."""
        starts = bucket_starts(self._counts)
        exists = starts + length > self._creation_times()
        if not exists.all():
            self.before_creation = int(np.count_nonzero(self._counts.keep(~exists).values))
            self._counts = self._counts.keep(exists)
            starts = starts[exists]
        starts = self._without_false_zeros(starts)
        ends = starts + length
        self._columns["period_start"] = pa.array(starts).cast(_type("period_start"))
        self._columns["period_end"] = pa.array(ends).cast(_type("period_end"))
        days = (starts // DAY_US).astype(np.int32)
        self._columns["date"] = pa.array(days, type=pa.int32()).cast(_type("date"))
        self._columns["complete"] = pa.array(self._is_complete(starts, ends))

    def _without_false_zeros(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Leave out counts from before the day since which the service counts their type.

        :param starts: when each count's period begins.
        :returns: the starts of the counts that remain.
        """
        types = self._counts.levels.get(GroupBy.ENGAGEMENT_TYPE)
        if types is None or self._endpoint is not EndpointName.HISTORICAL:
            return starts
        since = [_since_us(name) for name in types.keys]
        if not len(starts) or max(since) <= starts.min():
            return starts
        remain = starts >= np.array(since, dtype=np.int64)[types.codes]
        self._counts = self._counts.keep(remain)
        return starts[remain]

    def _is_complete(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which buckets had ended, and were wholly covered, when the service answered."""
        response, window = self._response, self._window
        complete: NDArray[np.bool_] = ends <= microseconds(response.received_at)
        for first, last in ((response.start, response.end), _bounds(window)):
            if first is not None:
                complete &= starts >= microseconds(first)
            if last is not None:
                complete &= ends <= microseconds(last)
        if window is None and len(starts):
            # The 28 hours are counted back from the moment of the call. So the first of the 29
            # buckets is only a part of its hour.
            first_us = starts.min() if response.start is None else microseconds(response.start)
            complete &= starts > first_us
        return complete

    def _creation_times(self) -> NDArray[np.int64]:
        """Return when each count's Tweet was created, in Unix microseconds."""
        level = self._counts.levels.get(GroupBy.TWEET_ID)
        if level is None:
            return np.full(len(self._counts), _NEVER)
        created, is_known = _creation_us(level.keys)
        return np.where(is_known, created, _NEVER)[level.codes]

    def _add_tweets(self) -> None:
        levels = self._counts.levels
        if GroupBy.ENGAGEMENT_TYPE in levels:
            self._columns["engagement_type"] = levels[GroupBy.ENGAGEMENT_TYPE].strings()
        if GroupBy.TWEET_ID in levels:
            level = levels[GroupBy.TWEET_ID]
            self._columns["tweet_id"] = level.strings()
            self._columns["tweet_created_at"] = created_at(level.keys).take(pa.array(level.codes))

    def _table(self) -> pa.Table:
        rows = len(self._counts)
        arrays = [
            self._columns[column.name]
            if column.name in self._columns
            else _repeated(self._constants.get(column.name), column.type, rows)
            for column in _SCHEMA
        ]
        return pa.table(arrays, schema=_SCHEMA)


def granularity_of(grouping: Grouping, endpoint: EndpointName) -> str:
    """Return what rows of a grouping hold in the column ``granularity``."""
    levels = grouping.group_by
    if GroupBy.HOUR in levels:
        return "hour" if GroupBy.DAY in levels else "hour_of_day"
    if GroupBy.DAY in levels:
        return "day"
    return "lifetime" if endpoint is EndpointName.TOTALS else "window"


def _since_us(engagement_type: str) -> int:
    """Return since when the service counts a type, in Unix microseconds."""
    since = FALSE_ZEROS_BEFORE.get(engagement_type)
    return _NEVER if since is None else microseconds(since)


def _bounds(window: Any) -> tuple[datetime | None, datetime | None]:
    return (window.start, window.end) if window is not None else (None, None)


def _repeated(value: Any, type_: pa.DataType, rows: int) -> pa.Array:
    if isinstance(value, str) or value is None:
        return _cached_repeat(value, type_, rows)
    return pa.repeat(pa.scalar(value, type=type_), rows)


@lru_cache(maxsize=32)
def _cached_repeat(value: str | None, type_: pa.DataType, rows: int) -> pa.Array:
    """Repeat a value. Responses of the same size share the array."""
    return pa.repeat(pa.scalar(value, type=type_), rows)


def created_at(tweet_ids: list[str]) -> pa.Array:
    """Return when each Tweet was created, from its id; null for ids from before Snowflake."""
    created, is_known = _creation_us(tweet_ids)
    return pa.array(created, mask=~is_known).cast(_type("tweet_created_at"))


def _creation_us(tweet_ids: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    ids = np.array([int(item) for item in tweet_ids], dtype=np.int64)
    created = ((ids >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS) * 1000
    return created, ids > LAST_SEQUENTIAL_ID


def _type(name: str) -> pa.DataType:
    return _SCHEMA.field(name).type
