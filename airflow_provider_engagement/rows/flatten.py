"""From the counts of an answer to rows of the long layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import Access, EndpointName, GroupBy
from airflow_provider_engagement.api.tweet_id import (
    FIRST_SNOWFLAKE_MS,
    LAST_SEQUENTIAL_ID,
    TIMESTAMP_SHIFT,
)
from airflow_provider_engagement.rows.decode import Counts, read_counts
from airflow_provider_engagement.rows.schema import LONG, arrow_schema
from airflow_provider_engagement.rows.time_buckets import (
    DAY_US,
    HOUR_US,
    check_28_hours,
    hours_of,
    in_time,
    microseconds,
    starts_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.query import Grouping
    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.api.window import Window

__all__ = ["Flattened", "Origin", "created_at", "flatten"]

_SCHEMA: Final = arrow_schema(LONG)
_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Origin:
    """What all rows of an answer have in common.

    :param account: the owner whose connection asked.
    :param access: with whose eyes.
    :param endpoint: which endpoint.
    :param snapshot_at: the moment that counts to date stand for.
    :param span: the whole range that is pulled, which counts over it all are marked with; None
        where the endpoint takes no window.
    :param asked: the part of it that this answer is about.
    """

    account: str
    access: Access
    endpoint: EndpointName
    snapshot_at: datetime
    period: Window | None = None
    asked: Window | None = None


@dataclass(slots=True)
class Flattened:
    """The rows of one answer, and what was set aside on the way.

    :param tables: the rows of each grouping, in the long layout.
    :param seen: ids that have at least one count, where a grouping tells Tweets apart.
    :param strangers: counts of ids, types or times that were never asked for.
    :param lacking: by id, the types that were asked for and that the answer does not speak of;
        under None those of sums over all Tweets.
    """

    tables: list[pa.Table] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    strangers: int = 0
    lacking: dict[str | None, frozenset[str]] = field(default_factory=dict)

    @property
    def table(self) -> pa.Table:
        """All rows."""
        return pa.concat_tables(self.tables)


def flatten(
    answer: EngagementResponse,
    *,
    groupings: tuple[Grouping, ...],
    tweet_ids: Collection[str],
    engagement_types: Collection[str],
    origin: Origin,
) -> Flattened:
    """Turn an answer into rows.

    What was not asked for is set aside, and so is what the service lists as unsupported or
    unavailable, though it may send a ``"0"`` for it, and the zeros from before a Tweet was made.

    :param answer: what came.
    :param groupings: how it was asked to be grouped.
    :param tweet_ids: ids that it may speak of.
    :param engagement_types: types that it may speak of.
    :param origin: what all of its rows share.
    :raises InvalidResponseError: if a count is no whole number of 64 bits, or stands at the wrong
        level, or the same count stands there twice.
    """
    flat = Flattened()
    if origin.endpoint is EndpointName.LAST_28_HOURS:
        check_28_hours(answer)
    members = 0
    for grouping in groupings:
        counts = _read(answer, grouping)
        members += counts.members
        asked = _asked_for(counts, tweet_ids=tweet_ids, engagement_types=engagement_types)
        timely = in_time(asked, answer, origin.asked)
        served = _served(timely, answer)
        if GroupBy.TWEET_ID in served.levels:
            flat.seen.update(served.levels[GroupBy.TWEET_ID].used())
        for whom, types in _lacking(served, answer, tweet_ids, engagement_types).items():
            flat.lacking[whom] = flat.lacking.get(whom, frozenset()) | types
        rows, unborn = _Rows(served, grouping, answer, origin).table()
        flat.strangers += len(counts) - len(timely) + unborn
        flat.tables.append(rows)
    if not answer.stands_once(members):
        msg = "An answer has names that stand in it twice."
        raise InvalidResponseError(msg)
    return flat


def _read(answer: EngagementResponse, grouping: Grouping) -> Counts:
    """Read a grouping's counts. An answer has none at all where all Tweets are gone."""
    if answer.groupings and grouping.name not in answer.groupings:
        msg = f"An answer lacks {grouping.name!r}, one of the groupings asked for."
        raise InvalidResponseError(msg)
    return read_counts(answer.groupings.get(grouping.name, {}), grouping)


def _asked_for(
    counts: Counts, *, tweet_ids: Collection[str], engagement_types: Collection[str]
) -> Counts:
    for name, allowed in (
        (GroupBy.TWEET_ID, tweet_ids),
        (GroupBy.ENGAGEMENT_TYPE, engagement_types),
    ):
        if name in counts.levels:
            known = frozenset(allowed)
            counts = counts.where(name, known.__contains__)
    return counts


def _served(counts: Counts, answer: EngagementResponse) -> Counts:
    """Leave out what the service says that it does not serve."""
    if GroupBy.TWEET_ID not in counts.levels:
        return counts
    gone = answer.unavailable | answer.forbidden
    if gone:
        counts = counts.where(GroupBy.TWEET_ID, lambda key: key not in gone)
    if answer.unsupported and GroupBy.ENGAGEMENT_TYPE in counts.levels:
        ids, types = counts.levels[GroupBy.TWEET_ID], counts.levels[GroupBy.ENGAGEMENT_TYPE]
        listed = np.array(
            [
                [name in answer.unsupported.get(item, ()) for name in types.keys]
                for item in ids.keys
            ],
            dtype=np.bool_,
        ).reshape(len(ids.keys), len(types.keys))
        counts = counts.keep(~listed[ids.codes, types.codes])
    return counts


def _lacking(
    counts: Counts,
    answer: EngagementResponse,
    tweet_ids: Collection[str],
    engagement_types: Collection[str],
) -> dict[str | None, frozenset[str]]:
    """Tell which types the answer does not speak of, though they were asked for."""
    types = counts.levels.get(GroupBy.ENGAGEMENT_TYPE)
    if types is None:
        return {}
    wanted = frozenset(engagement_types)
    ids = counts.levels.get(GroupBy.TWEET_ID)
    if ids is None:
        lacking = wanted.difference(types.keys)
        return {None: lacking} if lacking else {}
    there = np.zeros((len(ids.keys), len(types.keys)), dtype=np.bool_)
    there[ids.codes, types.codes] = True
    found: dict[str | None, frozenset[str]] = {}
    places = {item: place for place, item in enumerate(ids.keys)}
    for tweet_id in tweet_ids:
        if tweet_id in answer.unavailable or tweet_id in answer.forbidden:
            continue
        row = there[places[tweet_id]] if tweet_id in places else ()
        if len(row) == len(wanted) and np.all(row):
            continue
        known = {name for name, is_there in zip(types.keys, row, strict=False) if is_there}
        lacking = wanted - known - answer.unsupported.get(tweet_id, frozenset())
        if lacking:
            found[tweet_id] = lacking
    return found


class _Rows:
    """Builds the rows of one grouping.

    :param counts: its counts.
    :param grouping: what was asked.
    :param answer: where they are from.
    :param origin: what all rows share.
    """

    def __init__(
        self, counts: Counts, grouping: Grouping, answer: EngagementResponse, origin: Origin
    ) -> None:
        self._counts = counts
        self._grouping = grouping
        self._answer = answer
        self._origin = origin

    def table(self) -> tuple[pa.Table, int]:
        """Give the rows, and how many counts, zeros aside, are of a time before their Tweet."""
        origin = self._origin
        granularity = self._granularity()
        self._known: dict[str, Any] = {
            "account": origin.account,
            "access": str(origin.access),
            "endpoint": str(origin.endpoint),
            "grouping": self._grouping.canonical,
            "granularity": granularity,
            "collected_at": self._answer.received_at,
            "complete": True,
        }
        self._columns: dict[str, pa.Array] = {"value": self._counts.values}
        unborn = 0
        if granularity in {"day", "hour"}:
            unborn = self._add_buckets(HOUR_US if granularity == "hour" else DAY_US)
        else:
            self._add_whole(granularity)
        self._add_tweets()
        return self._assembled(), unborn

    def _granularity(self) -> str:
        levels = self._grouping.group_by
        if GroupBy.HOUR in levels:
            return "hour" if GroupBy.DAY in levels else "hour_of_day"
        if GroupBy.DAY in levels:
            return "day"
        return "lifetime" if self._origin.endpoint is EndpointName.TOTALS else "window"

    def _add_whole(self, granularity: str) -> None:
        """Date counts over all of the time: to date, over the range, or over its days."""
        origin, answer = self._origin, self._answer
        if granularity == "lifetime":
            self._known |= {"snapshot_at": origin.snapshot_at, "date": origin.snapshot_at.date()}
            return
        if origin.period is not None:
            start, end = origin.period.start, origin.period.end
        else:
            start, end = answer.start or origin.snapshot_at, answer.end or origin.snapshot_at
        self._known |= {"period_start": start, "period_end": end, "date": start.date()}
        self._known["complete"] = end <= answer.received_at and self._is_covered()
        if granularity == "hour_of_day":
            self._columns["hour_of_day"] = pa.array(hours_of(self._counts), type=pa.int64())
        elif origin.period is None:
            self._known |= {"snapshot_at": origin.snapshot_at, "date": origin.snapshot_at.date()}

    def _is_covered(self) -> bool:
        """Tell whether the answer speaks of all of the time that it was asked for."""
        asked, answer = self._origin.asked, self._answer
        return asked is None or (
            (answer.start is None or answer.start <= asked.start)
            and (answer.end is None or answer.end >= asked.end)
        )

    def _add_buckets(self, length: int) -> int:
        """Date counts of days or hours, and leave out those of a time when there was no Tweet."""
        starts = starts_of(self._counts)
        alive = starts + length > self._made()
        unborn = 0
        if not alive.all():
            unborn = int(np.count_nonzero(self._counts.keep(~alive).values))
        self._counts = self._counts.keep(alive)
        self._columns["value"] = self._counts.values
        starts = starts[alive]
        ends = starts + length
        self._columns["period_start"] = pa.array(starts).cast(_type("period_start"))
        self._columns["period_end"] = pa.array(ends).cast(_type("period_end"))
        days = (starts // DAY_US).astype(np.int32)
        self._columns["date"] = pa.array(days, type=pa.int32()).cast(_type("date"))
        self._columns["complete"] = pa.array(self._whole(starts, ends))
        return unborn

    def _whole(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell which buckets had ended, and were wholly covered, when the service answered."""
        answer, asked = self._answer, self._origin.asked
        whole = ends <= microseconds(answer.received_at)
        covered = [(answer.start, answer.end)]
        if asked is not None:
            covered.append((asked.start, asked.end))
        for start, end in covered:
            if start is not None:
                whole &= starts >= microseconds(start)
            if end is not None:
                whole &= ends <= microseconds(end)
        if asked is None and len(starts):
            # The 28 hours are counted back from the moment of the call, so that the first of the
            # 29 buckets is a part, whatever its name says.
            first = starts.min() if answer.start is None else microseconds(answer.start)
            whole &= starts > first
        return whole

    def _made(self) -> NDArray[np.int64]:
        """Tell when each count's Tweet was made, in microseconds."""
        level = self._counts.levels.get(GroupBy.TWEET_ID)
        if level is None:
            return np.full(len(self._counts), _NEVER)
        made, known = _made_at(level.keys)
        return np.where(known, made, _NEVER)[level.codes]

    def _add_tweets(self) -> None:
        levels = self._counts.levels
        if GroupBy.ENGAGEMENT_TYPE in levels:
            self._columns["engagement_type"] = levels[GroupBy.ENGAGEMENT_TYPE].strings()
        if GroupBy.TWEET_ID in levels:
            level = levels[GroupBy.TWEET_ID]
            self._columns["tweet_id"] = level.strings()
            self._columns["tweet_created_at"] = created_at(level.keys).take(pa.array(level.codes))

    def _assembled(self) -> pa.Table:
        rows = len(self._counts)
        arrays = [
            self._columns[column.name]
            if column.name in self._columns
            else _repeated(self._known.get(column.name), column.type, rows)
            for column in _SCHEMA
        ]
        return pa.table(arrays, schema=_SCHEMA)


def _repeated(value: Any, type_: pa.DataType, rows: int) -> pa.Array:
    if isinstance(value, str) or value is None:
        return _alike(value, type_, rows)
    return pa.repeat(pa.scalar(value, type=type_), rows)


@lru_cache(maxsize=32)
def _alike(value: str | None, type_: pa.DataType, rows: int) -> pa.Array:
    """Repeat a value; answers of the same size share the array."""
    return pa.repeat(pa.scalar(value, type=type_), rows)


def created_at(tweet_ids: list[str]) -> pa.Array:
    """Tell when each Tweet was made, from its id; null for ids from before Snowflake."""
    made, known = _made_at(tweet_ids)
    return pa.array(made, mask=~known).cast(_type("tweet_created_at"))


def _made_at(tweet_ids: list[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    ids = np.array([int(item) for item in tweet_ids], dtype=np.int64)
    made = ((ids >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS) * 1000
    return made, ids > LAST_SEQUENTIAL_ID


def _type(name: str) -> pa.DataType:
    return _SCHEMA.field(name).type
