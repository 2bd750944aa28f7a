"""Sums over the requests of a pull, for groupings that do not tell Tweets apart."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import AnswerError
from airflow_provider_engagement.data.schema import LONG_KEY

__all__ = ["sum_rows"]

_KEY: Final = [*LONG_KEY, "access", "tweet_created_at"]


def sum_rows(rows: pa.Table) -> pa.Table:
    """Add up the values of rows with the same key.

    A sum is complete if all of its parts are, and as recent as the last of them.

    :param rows: rows in the long layout.
    :raises AnswerError: if a sum does not fit in 64 bits.
    """
    wholes = [("value", "sum"), ("complete", "all"), ("collected_at", "max")]
    if rows.num_rows and _too_large(rows):
        msg = "A sum of counts is beyond 64 bits."
        raise AnswerError(msg)
    grouped = rows.group_by(_KEY).aggregate(wholes)
    renamed = {f"{name}_{how}": name for name, how in wholes}
    named = grouped.rename_columns([renamed.get(name, name) for name in grouped.column_names])
    return named.select(rows.column_names).cast(rows.schema)


def _too_large(rows: pa.Table) -> bool:
    """Tell whether any sum may overflow: Arrow's grouped sum would wrap round unseen."""
    largest = max(abs(value.as_py()) for value in pc.min_max(rows["value"]).values())
    return bool(largest * rows.num_rows >= 2**63)
