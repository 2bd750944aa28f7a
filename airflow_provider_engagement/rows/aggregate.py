"""Sums over the requests of a pull, for counts of which one request has only a part."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.rows.schema import LONG_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.rows.flatten import RequestResult

__all__ = ["PartialSums", "sum_rows"]

_KEY: Final = [*LONG_KEY, "access", "tweet_created_at"]
_BEYOND_INT64: Final = 2**63


@dataclass(slots=True)
class PartialSums:
    """Gathers the parts of sums, and adds them up once every request is answered.

    :param parts: rows to be summed.
    :param missing: by type, the ids of which some response has no count; None for sums over all
        Tweets.
    :param left_out: how many sums have been left out because a part of them is missing.
    """

    parts: list[pa.Table] = field(default_factory=list)
    missing: dict[str, set[str | None]] = field(default_factory=dict)
    left_out: int = 0

    def add(self, result: RequestResult) -> None:
        """Take the parts that one request brought."""
        for tweet_id, types in result.missing.items():
            for name in types:
                self.missing.setdefault(name, set()).add(tweet_id)
        if result.partial_sums.num_rows:
            self.parts.append(result.partial_sums)

    def rows(self, *, incomplete_ids: Iterable[str], parts_of_total: int | None) -> pa.Table:
        """Return the sums that are whole.

        :param incomplete_ids: ids that some request has no counts of.
        :param parts_of_total: how many parts a sum over all Tweets needs; None for any number.
        """
        parts = pa.concat_tables(self.parts)
        of_tweets = parts.filter(parts["tweet_id"].is_valid())
        of_all = parts.filter(parts["tweet_id"].is_null())
        incomplete = pa.array(sorted(incomplete_ids), type=pa.string())
        answered = pc.invert(pc.is_in(of_tweets["tweet_id"], value_set=incomplete))
        tweet_sums = sum_rows(self._without_missing(of_tweets.filter(answered)))
        total = sum_rows(self._without_missing(of_all), parts=parts_of_total)
        if len(incomplete):
            total = total.slice(0, 0)
        whole = pa.concat_tables([tweet_sums, total])
        self.left_out = sum_rows(of_tweets).num_rows + sum_rows(of_all).num_rows - whole.num_rows
        return whole

    def _without_missing(self, rows: pa.Table) -> pa.Table:
        """Leave out counts that some response does not contain."""
        for name, tweet_ids in self.missing.items():
            listed = pc.is_in(rows["tweet_id"], value_set=pa.array(tweet_ids, type=pa.string()))
            of_type = pc.fill_null(pc.equal(rows["engagement_type"], name), fill_value=False)
            rows = rows.filter(pc.invert(pc.and_(listed, of_type)))
        return rows


def sum_rows(rows: pa.Table, *, parts: int | None = None) -> pa.Table:
    """Add up the values of rows with the same key.

    A sum is complete if all of its parts are, and as recent as the latest of them.

    :param rows: rows in the long layout.
    :param parts: how many rows a sum needs; sums of fewer are left out. None for any number.
    :raises InvalidResponseError: if a sum does not fit in 64 bits.
    """
    if rows.num_rows == 0:
        return rows
    if _overflows(rows):
        msg = "A sum of counts does not fit in 64 bits."
        raise InvalidResponseError(msg)
    aggregates = [("value", "sum"), ("complete", "all"), ("collected_at", "max")]
    grouped = rows.group_by(_KEY).aggregate([*aggregates, ([], "count_all")])
    if parts is not None:
        grouped = grouped.filter(pc.greater_equal(grouped["count_all"], parts))
    renamed = {f"{name}_{how}": name for name, how in aggregates}
    named = grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names])
    return named.select(rows.column_names).cast(rows.schema)


def _overflows(rows: pa.Table) -> bool:
    """Return whether a sum overflows. Arrow's grouped sum would wrap around silently."""
    lowest, highest = _extremes(rows["value"])
    if max(abs(lowest), abs(highest)) * rows.num_rows < _BEYOND_INT64:
        return False
    place = rows.column_names.index("value")
    exact = rows.set_column(place, "value", rows["value"].cast(pa.decimal128(38)))
    sums = exact.group_by(_KEY).aggregate([("value", "sum")])["value_sum"]
    lowest, highest = _extremes(sums)
    return lowest < -_BEYOND_INT64 or highest >= _BEYOND_INT64


def _extremes(values: pa.ChunkedArray) -> tuple[int, int]:
    extremes = pc.min_max(values)
    return int(extremes["min"].as_py()), int(extremes["max"].as_py())
