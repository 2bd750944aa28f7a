"""A second, slow reader of responses: what a pull of one request may make of the bytes."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES, HISTORICAL_FLOOR, GroupBy
from airflow_provider_engagement.api.tweet_id import created_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.api.window import Window

# A count: the grouping, the Tweet, the type, the day or hour, the hour of the day.
Cell = tuple[str, str | None, str | None, datetime | None, int | None]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DIGITS = re.compile(r"-?[0-9]+", re.ASCII)


class RefusedError(Exception):
    """There is no right way to read_response the answer: the pull has to fail."""


@dataclass(frozen=True)
class OracleRequest:
    """What one request asks for.

    :param query: what.
    :param ids: of which Tweets.
    :param window: of when; None where the endpoint takes no range.
    """

    query: Query
    ids: Sequence[str]
    period: Window | None

    @property
    def is_28hr(self) -> bool:
        return str(self.query.endpoint.name) == "28hr"


@dataclass
class Reading:
    """What may come of an answer.

    :param cells: every count that has to be there, and none that has not.
    :param unrequested: how many counts were not request for.
    :param may_fail: whether an error would do as well.
    """

    cells: Counter[Cell] = field(default_factory=Counter)
    unrequested: int = 0
    may_fail: bool = False


class Members(list[tuple[str, Any]]):
    """An object, with each name as often as it stands there."""


class Whole(str):
    """A whole number's text, unread."""

    __slots__ = ()


class Broken(str):
    """A value that is not a valid count."""

    __slots__ = ()


def read_response(body: bytes, request: OracleRequest, received: datetime) -> Reading:
    """Read an answer with status 200.

    :raises RefusedError: if there is no right way to.
    """
    document = _parse(body)
    names = [grouping.name for grouping in request.query.groupings]
    if any(name not in document for name in names):
        raise RefusedError
    first, last = _bounds(document, request, received)
    reader = _Reader(request, document, first, last)
    reading = Reading()
    for grouping in request.query.groupings:
        reader.read_grouping(grouping, document[grouping.name], reading)
    reader.complete(reading)
    return reading


def _parse(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(
            body,
            object_pairs_hook=Members,
            parse_int=Whole,
            parse_float=Broken,
            parse_constant=Broken,
        )
    except (ValueError, RecursionError):
        raise RefusedError from None
    if not isinstance(found, Members) or any(map(_is_bad, _nodes(found))):
        raise RefusedError
    return dict(found)


def _nodes(node: Any) -> Iterator[Any]:
    waiting = [node]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, Members):
            waiting += [value for _, value in one]
        elif isinstance(one, list):
            waiting += one


def _is_bad(node: Any) -> bool:
    if isinstance(node, Members):
        return len({name for name, _ in node}) < len(node)
    return isinstance(node, Whole) and len(node) > 4300  # what Python reads


def _bounds(
    document: dict[str, Any], request: OracleRequest, received: datetime
) -> tuple[datetime, datetime]:
    """Return the first and last time that the counts can have."""
    if request.period is not None:
        return request.period.start, request.period.end
    start, end = (_moment(document.get(name)) for name in ("start", "end"))
    latest = received + timedelta(days=366)
    if not request.is_28hr or start is end is None:
        return HISTORICAL_FLOOR, latest
    if start is None or end is None or not HISTORICAL_FLOOR <= start < end <= latest:
        raise RefusedError
    if end - start > 30 * HOUR:
        raise RefusedError
    return start.replace(minute=0, second=0, microsecond=0), end


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str) or isinstance(value, (Whole, Broken)):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


@dataclass(frozen=True)
class _Leaf:
    """A count, and where it stands."""

    tweet: str | None
    kind: str | None
    start: datetime | None
    hour: int | None
    value: int


class _Reader:
    def __init__(
        self, request: OracleRequest, document: dict[str, Any], first: datetime, last: datetime
    ) -> None:
        self.request, self.first, self.last = request, first, last
        self.has_range = request.period is not None or _moment(document.get("start")) is not None
        self.absent = set(_ids(document.get("unavailable_tweet_ids")))
        self.absent |= _forbidden(document.get("errors"))
        self.unsupported = _unsupported(document)
        self.seen: set[str] = set()
        self.missing: dict[str, set[str]] = {}

    def read_grouping(self, grouping: Any, nested: Any, reading: Reading) -> None:
        levels = list(grouping.group_by)
        if GroupBy.DAY not in levels and GroupBy.HOUR in levels and _is_dated(nested, levels):
            levels.insert(levels.index(GroupBy.HOUR), GroupBy.DAY)
        inside = list(self._inside(nested, levels, reading))
        if self.request.is_28hr and not self.has_range:
            _check_length([leaf.start for leaf in inside if leaf.start], levels)
        served = [leaf for leaf in inside if self._is_served(leaf.tweet, leaf.kind)]
        self.seen |= {leaf.tweet for leaf in served if leaf.tweet is not None}
        self._note_lacking(levels, {(leaf.tweet, leaf.kind) for leaf in served})
        for leaf in served:
            self._add(leaf, grouping, GroupBy.HOUR in levels, reading)

    def _inside(self, nested: Any, levels: list[GroupBy], reading: Reading) -> Iterator[_Leaf]:
        """Give the counts of Tweets, types and times that were request for."""
        hours: dict[int, set[str]] = {}
        for path, found in list(_leaves(nested, len(levels))):
            value = _number(found)
            under = dict(zip(levels, path, strict=True))
            tweet, kind = under.get(GroupBy.TWEET_ID), under.get(GroupBy.ENGAGEMENT_TYPE)
            if not self._is_requested(tweet, kind):
                reading.unrequested += 1
                continue
            try:
                start = _start(under)
                hour = _hour(under[GroupBy.HOUR]) if GroupBy.HOUR in under else None
            except RefusedError:
                if self._is_served(tweet, kind):
                    raise
                reading.may_fail = True
                continue
            if hour is not None:
                hours.setdefault(hour, set()).add(under[GroupBy.HOUR])
            if start is None or self._is_in_time(start, GroupBy.HOUR in levels):
                yield _Leaf(tweet, kind, start, hour, value)
            else:
                reading.unrequested += 1
        reading.may_fail |= any(len(names) > 1 for names in hours.values())

    def _is_requested(self, tweet: str | None, kind: str | None) -> bool:
        return (tweet is None or tweet in self.request.ids) and (
            kind is None or kind in self.request.query.engagement_types
        )

    def _is_in_time(self, start: datetime, by_hour: bool) -> bool:
        first = self.first if by_hour else self.first.replace(hour=0, minute=0)
        return first <= start < self.last

    def _is_served(self, tweet: str | None, kind: str | None) -> bool:
        return tweet is None or (
            tweet not in self.absent and kind not in self.unsupported.get(tweet, ())
        )

    def _add(self, leaf: _Leaf, grouping: Any, by_hour: bool, reading: Reading) -> None:
        is_dated = GroupBy.DAY in grouping.group_by
        if is_dated and leaf.start and _is_unborn(leaf, by_hour):
            reading.unrequested += leaf.value != 0
            return
        bucket = (leaf.start, None) if is_dated else (None, leaf.hour)
        cell: Cell = (grouping.canonical, leaf.tweet, leaf.kind, *bucket)
        if cell in reading.cells and not (leaf.start and not is_dated):
            raise RefusedError  # two numbers for one count
        reading.cells[cell] += leaf.value

    def _note_lacking(
        self, levels: list[GroupBy], there: set[tuple[str | None, str | None]]
    ) -> None:
        if not {GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE} <= set(levels):
            return
        for tweet in set(self.request.ids) - self.absent:
            wanted = set(self.request.query.engagement_types)
            known = {kind for item, kind in there if item == tweet}
            missing = wanted - known - self.unsupported.get(tweet, set())
            if missing:
                self.missing.setdefault(tweet, set()).update(missing)

    def complete(self, reading: Reading) -> None:
        """See what is to be left out for what is missing elsewhere."""
        groupings = self.request.query.groupings
        left = set(self.request.ids) - self.absent
        by_tweet = any(GroupBy.TWEET_ID in grouping.group_by for grouping in groupings)
        seen = self.seen if by_tweet else left
        if not seen:
            raise RefusedError  # none answered
        if any(not -(2**63) <= value < 2**63 for value in reading.cells.values()):
            raise RefusedError  # a sum of the hours of some days
        unsupported = self.unsupported.keys() - self.missing.keys()
        if left - seen - unsupported:
            for cell in [cell for cell in reading.cells if cell[1] is None]:
                del reading.cells[cell]


def _check_length(starts: list[datetime], levels: list[GroupBy]) -> None:
    longest = 30 * HOUR if GroupBy.HOUR in levels else 3 * DAY
    if starts and max(starts) - min(starts) >= longest:
        raise RefusedError


def _leaves(node: Any, depth: int, path: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    if depth == 0:
        yield path, node
        return
    if not isinstance(node, Members):
        raise RefusedError
    for name, inner in node:
        yield from _leaves(inner, depth - 1, (*path, name))


def _number(leaf: Any) -> int:
    text = str(leaf) if isinstance(leaf, str) and not isinstance(leaf, Broken) else ""
    if not DIGITS.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise RefusedError
    return int(text)


def _is_dated(nested: Any, levels: list[GroupBy]) -> bool:
    depth = levels.index(GroupBy.HOUR)
    above = [inner for _, inner in _leaves(nested, depth)]
    if any(not isinstance(inner, Members) for inner in above):
        raise RefusedError
    first = next((name for inner in above for name, _ in inner), "")
    return bool(re.fullmatch(r"\d{4}-\d{2}-\d{2}", first, re.ASCII))


def _start(under: dict[GroupBy, str]) -> datetime | None:
    if GroupBy.DAY not in under:
        return None
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", under[GroupBy.DAY], re.ASCII):
        raise RefusedError
    try:
        day = date.fromisoformat(under[GroupBy.DAY])
    except ValueError:
        raise RefusedError from None
    hour = _hour(under[GroupBy.HOUR]) if GroupBy.HOUR in under else 0
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def _hour(name: str) -> int:
    if not re.fullmatch(r"\d{1,2}", name, re.ASCII) or int(name) > 23:
        raise RefusedError
    return int(name)


def _is_unborn(leaf: _Leaf, by_hour: bool) -> bool:
    made = created_at(leaf.tweet) if leaf.tweet is not None else None
    length = HOUR if by_hour else DAY
    return made is not None and leaf.start is not None and leaf.start + length <= made


def _ids(value: Any) -> Iterator[str]:
    for one in value if isinstance(value, list) and not isinstance(value, Members) else ():
        is_text = isinstance(one, str) and not isinstance(one, Broken)
        if is_text and re.fullmatch("[0-9]{1,19}", one, re.ASCII):
            yield one


def _forbidden(errors: Any) -> set[str]:
    found: set[str] = set()
    for entry in errors if isinstance(errors, list) and not isinstance(errors, Members) else ():
        text = dict(entry).get("message") if isinstance(entry, Members) else entry
        if not isinstance(text, str) or isinstance(text, (Whole, Broken)):
            continue
        if text.lower().startswith("forbidden to access tweets") and ":" in text:
            parts = [part.strip() for part in text.split(":")[-1].split(",")]
            found |= {part for part in parts if re.fullmatch("[0-9]{1,19}", part, re.ASCII)}
    return found


def _unsupported(document: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for name, value in document.items():
        match = re.fullmatch(r"unsupported_for_(.*)_tweet_ids", name, re.DOTALL)
        if match:
            types = {kind for kind in ENGAGEMENT_TYPES if f"_{kind}_" in f"_{match[1]}_"}
            for tweet in _ids(value):
                found.setdefault(tweet, set()).update(types or ENGAGEMENT_TYPES)
    return found
