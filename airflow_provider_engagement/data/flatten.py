"""From the nested counts of an answer to the columns of the long layout.

The innermost level of an answer is read whole, keys and values at a time, and the levels above it
become runs of indices: no Python statement runs once a count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import AnswerError
from airflow_provider_engagement.api.spec import Access, EndpointName, GroupBy
from airflow_provider_engagement.api.tweet_id import (
    FIRST_SNOWFLAKE_MS,
    LAST_SEQUENTIAL_ID,
    TIMESTAMP_SHIFT,
)
from airflow_provider_engagement.data.schema import LONG, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from airflow_provider_engagement.api.answer import Answer
    from airflow_provider_engagement.api.query import Grouping

__all__ = ["Flattened", "Origin", "created_at_column", "flatten", "read_counts"]

_SCHEMA: Final = arrow_schema(LONG)
_LIFETIME: Final = "lifetime"


@dataclass(frozen=True, slots=True)
class Origin:
    """What all rows of an answer have in common.

    :param account: the owner whose connection asked.
    :param access: with whose eyes.
    :param endpoint: which endpoint.
    :param snapshot_at: the moment that counts to date stand for.
    """

    account: str
    access: Access
    endpoint: EndpointName
    snapshot_at: datetime


@dataclass(slots=True)
class Flattened:
    """The rows of one answer, and what was set aside on the way.

    :param table: the rows, in the long layout.
    :param seen: ids that have at least one row, where a grouping tells Tweets apart.
    :param strangers: counts of ids or types that were never asked for.
    """

    table: pa.Table
    seen: set[str] = field(default_factory=set)
    strangers: int = 0


def flatten(
    answer: Answer,
    *,
    groupings: tuple[Grouping, ...],
    tweet_ids: Collection[str],
    engagement_types: Collection[str],
    origin: Origin,
) -> Flattened:
    """Turn an answer into rows.

    What was not asked for is set aside, and so is what the service lists as unsupported or
    unavailable, though it may send a ``"0"`` for it.

    :param answer: what came.
    :param groupings: how it was asked to be grouped.
    :param tweet_ids: ids that it may speak of.
    :param engagement_types: types that it may speak of.
    :param origin: what all of its rows share.
    :raises AnswerError: if a count is no whole number of 64 bits, or stands at the wrong level.
    """
    tables: list[pa.Table] = []
    seen: set[str] = set()
    strangers = 0
    for grouping in groupings:
        counts = read_counts(answer.groupings.get(grouping.name, {}), grouping)
        kept = _asked_for(counts, tweet_ids=tweet_ids, engagement_types=engagement_types)
        strangers += counts.num_rows - kept.num_rows
        kept = _supported(kept, answer)
        if GroupBy.TWEET_ID in grouping.group_by:
            seen.update(pc.unique(kept[GroupBy.TWEET_ID]).to_pylist())
        tables.append(_rows(kept, grouping, answer, origin))
    return Flattened(table=pa.concat_tables(tables), seen=seen, strangers=strangers)


def read_counts(nested: object, grouping: Grouping) -> pa.Table:
    """Read one grouping's nested objects into a column a level and a column ``value``.

    :param nested: the objects, as parsed from JSON.
    :param grouping: its levels.
    :raises AnswerError: if it is not of that shape.
    """
    depth = len(grouping.group_by)
    leaves = list(_leaves(nested, depth, ()))
    lengths = np.fromiter((len(leaf) for _, leaf in leaves), dtype=np.int64, count=len(leaves))
    columns: dict[str, pa.Array] = {}
    for level, name in enumerate(grouping.group_by[:-1]):
        keys = pa.array([path[level] for path, _ in leaves], type=pa.string())
        columns[name] = keys.take(pa.array(np.repeat(np.arange(len(leaves)), lengths)))
    innermost = chain.from_iterable(leaf.keys() for _, leaf in leaves)
    columns[grouping.group_by[-1]] = pa.array(list(innermost), type=pa.string())
    values = list(chain.from_iterable(leaf.values() for _, leaf in leaves))
    columns["value"] = _counts(values)
    return pa.table(columns)


def _leaves(
    nested: object, depth: int, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(nested, dict):
        msg = (
            f"An answer has {type(nested).__name__} where an object of counts was expected, "
            f"{len(path)} levels deep."
        )
        raise AnswerError(msg)
    if depth == 1:
        yield path, nested
        return
    for key, inner in nested.items():
        yield from _leaves(inner, depth - 1, (*path, key))


def _counts(values: list[Any]) -> pa.Array:
    """Read counts: text of decimal digits by the documentation, bare numbers in one sample."""
    try:
        texts = pa.array(values, type=pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        texts = pa.array([_as_text(value) for value in values], type=pa.string())
    # Arrow's own reading would take "0x1f" and null too.
    plain = pc.fill_null(pc.ascii_is_decimal(texts), fill_value=False)
    if not pc.all(plain, min_count=0).as_py():
        signed = pc.fill_null(pc.match_substring_regex(texts, r"\A-?[0-9]+\z"), fill_value=False)
        if not pc.all(signed, min_count=0).as_py():
            msg = "An answer has a count that is no whole number."
            raise AnswerError(msg)
    try:
        return texts.cast(pa.int64())
    except pa.ArrowInvalid:
        msg = "An answer has a count beyond 64 bits."
        raise AnswerError(msg) from None


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def _asked_for(
    counts: pa.Table, *, tweet_ids: Collection[str], engagement_types: Collection[str]
) -> pa.Table:
    for name, allowed in (
        (GroupBy.TWEET_ID, tweet_ids),
        (GroupBy.ENGAGEMENT_TYPE, engagement_types),
    ):
        if name in counts.column_names:
            known = pa.array(list(allowed), type=pa.string())
            counts = counts.filter(pc.is_in(counts[name], value_set=known))
    return counts


def _supported(counts: pa.Table, answer: Answer) -> pa.Table:
    if GroupBy.TWEET_ID not in counts.column_names:
        return counts
    ids = counts[GroupBy.TWEET_ID]
    gone = answer.unavailable | answer.forbidden
    if gone:
        counts = counts.filter(pc.invert(pc.is_in(ids, value_set=pa.array(sorted(gone)))))
    if answer.unsupported and GroupBy.ENGAGEMENT_TYPE in counts.column_names:
        pairs = pc.binary_join_element_wise(
            counts[GroupBy.TWEET_ID], counts[GroupBy.ENGAGEMENT_TYPE], " "
        )
        listed = [f"{item} {name}" for item, names in answer.unsupported.items() for name in names]
        counts = counts.filter(pc.invert(pc.is_in(pairs, value_set=pa.array(listed))))
    return counts


def _rows(counts: pa.Table, grouping: Grouping, answer: Answer, origin: Origin) -> pa.Table:
    rows = counts.num_rows
    ids = counts[GroupBy.TWEET_ID] if GroupBy.TWEET_ID in grouping.group_by else None
    types = (
        counts[GroupBy.ENGAGEMENT_TYPE] if GroupBy.ENGAGEMENT_TYPE in grouping.group_by else None
    )
    known: dict[str, Any] = {
        "account": origin.account,
        "access": str(origin.access),
        "endpoint": str(origin.endpoint),
        "grouping": grouping.canonical,
        "granularity": _LIFETIME,
        "date": origin.snapshot_at.date(),
        "snapshot_at": origin.snapshot_at,
        "complete": True,
        "collected_at": answer.received_at,
    }
    columns: dict[str, Any] = {
        "tweet_id": ids,
        "engagement_type": types,
        "value": counts["value"],
        "tweet_created_at": None if ids is None else created_at_column(ids),
    }
    arrays = [
        columns[field.name]
        if columns.get(field.name) is not None
        else pa.repeat(pa.scalar(known.get(field.name), type=field.type), rows)
        for field in _SCHEMA
    ]
    return pa.table(arrays, schema=_SCHEMA)


def created_at_column(tweet_ids: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Tell when each Tweet was made, from its id; null for ids from before Snowflake."""
    ids = tweet_ids.cast(pa.int64()).to_numpy()
    milliseconds = (ids >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS
    return pa.array(milliseconds * 1000, type=pa.int64(), mask=ids <= LAST_SEQUENTIAL_ID).cast(
        _SCHEMA.field("tweet_created_at").type
    )
