"""Sums over the requests of a pull, for counts that one request gives but a part of."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import AnswerError
from airflow_provider_engagement.data.schema import LONG_KEY

__all__ = ["sum_rows"]

_KEY: Final = [*LONG_KEY, "access", "tweet_created_at"]


def sum_rows(rows: pa.Table, *, parts: int | None = None) -> pa.Table:
    """Add up the values of rows with the same key.

    A sum is complete if all of its parts are, and as recent as the last of them.

    :param rows: rows in the long layout.
    :param parts: how many rows a sum needs; one of fewer is left out. None for any number.
    :raises AnswerError: if a sum does not fit in 64 bits.
    """
    if rows.num_rows == 0:
        return rows
    if _too_large(rows):
        msg = "A sum of counts is beyond 64 bits."
        raise AnswerError(msg)
    wholes = [("value", "sum"), ("complete", "all"), ("collected_at", "max")]
    grouped = rows.group_by(_KEY).aggregate([*wholes, ([], "count_all")])
    if parts is not None:
        grouped = grouped.filter(pc.greater_equal(grouped["count_all"], parts))
    renamed = {f"{name}_{how}": name for name, how in wholes}
    named = grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names])
    return named.select(rows.column_names).cast(rows.schema)


def _too_large(rows: pa.Table) -> bool:
    """Tell whether any sum may overflow: Arrow's grouped sum would wrap round unseen."""
    largest = max(abs(value.as_py()) for value in pc.min_max(rows["value"]).values())
    return bool(largest * rows.num_rows >= 2**63)
