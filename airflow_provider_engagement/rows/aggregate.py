"""Sums over the requests of a pull, for counts that one request gives but a part of."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.rows.schema import LONG_KEY

__all__ = ["sum_rows"]

_KEY: Final = [*LONG_KEY, "access", "tweet_created_at"]
_BEYOND: Final = 2**63


def sum_rows(rows: pa.Table, *, parts: int | None = None) -> pa.Table:
    """Add up the values of rows with the same key.

    A sum is complete if all of its parts are, and as recent as the last of them.

    :param rows: rows in the long layout.
    :param parts: how many rows a sum needs; one of fewer is left out. None for any number.
    :raises InvalidResponseError: if a sum does not fit in 64 bits.
    """
    if rows.num_rows == 0:
        return rows
    if _too_large(rows):
        msg = "A sum of counts is beyond 64 bits."
        raise InvalidResponseError(msg)
    wholes = [("value", "sum"), ("complete", "all"), ("collected_at", "max")]
    grouped = rows.group_by(_KEY).aggregate([*wholes, ([], "count_all")])
    if parts is not None:
        grouped = grouped.filter(pc.greater_equal(grouped["count_all"], parts))
    renamed = {f"{name}_{how}": name for name, how in wholes}
    named = grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names])
    return named.select(rows.column_names).cast(rows.schema)


def _too_large(rows: pa.Table) -> bool:
    """Tell whether any sum overflows: Arrow's grouped sum would wrap round unseen."""
    least, most = _ends(rows["value"])
    if max(abs(least), abs(most)) * rows.num_rows < _BEYOND:
        return False
    place = rows.column_names.index("value")
    exact = rows.set_column(place, "value", rows["value"].cast(pa.decimal128(38)))
    least, most = _ends(exact.group_by(_KEY).aggregate([("value", "sum")])["value_sum"])
    return least < -_BEYOND or most >= _BEYOND


def _ends(values: pa.ChunkedArray) -> tuple[int, int]:
    ends = pc.min_max(values)
    return int(ends["min"].as_py()), int(ends["max"].as_py())
