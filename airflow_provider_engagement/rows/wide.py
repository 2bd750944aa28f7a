"""Turns long rows into wide ones: one row a Tweet and period, with a column for each type.

BigQuery pivots in SQL. Rows for files are pivoted before they are written. The counts of one Tweet
may come in any number of tables, so long rows are first partitioned on disk by Tweet, each
partition small enough to be pivoted in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES, Access
from airflow_provider_engagement.rows.schema import LONG, WIDE, WIDE_KEY, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HashPartitions", "pivoted", "refuse_nameless", "unpivoted"]

# About 50 MB of long rows.
_PARTITION_ROWS: Final = 250_000
_MAX_PARTITIONS: Final = 256

# Spreads ids that differ in a few bits only: 2**64 divided by the golden ratio.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_HIGH_BITS: Final = np.uint64(40)

# How the values of many long rows become the value of one wide row.
_AGGREGATES: Final = {
    **dict.fromkeys(ENGAGEMENT_TYPES, "max"),
    "access": "any",
    "complete": "all",
    "tweet_created_at": "max",
    "collected_at": "max",
}


class HashPartitions:
    """Long rows on disk, all of one Tweet in one partition.

    :param folder: an existing folder for the partitions.
    :param expected_rows: how many rows the plan expects; 0 if it is unknown.
    """

    def __init__(self, folder: Path, expected_rows: int) -> None:
        self._schema = arrow_schema(LONG)
        self._count = min(expected_rows // _PARTITION_ROWS + 1, _MAX_PARTITIONS)
        self._paths = [folder / f"partition-{number:03d}.arrow" for number in range(self._count)]
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writers = [
            pa.ipc.new_stream(str(path), self._schema, options=options) for path in self._paths
        ]

    def write(self, table: pa.Table) -> None:
        """Write rows to their partitions.

        :raises InvalidArgumentError: if a row has no Tweet or no type.
        """
        refuse_nameless(table)
        numbers = self._partition_of(table.column("tweet_id"))
        for number in np.unique(numbers):
            self._writers[number].write_table(table.filter(pa.array(numbers == number)))

    def close(self) -> None:
        """Finish all partitions."""
        for writer in self._writers:
            writer.close()

    def wide(self) -> Iterator[pa.Table]:
        """Yield the wide rows, partition by partition, after :meth:`close`."""
        for path in self._paths:
            with pa.ipc.open_stream(str(path)) as reader:
                table = reader.read_all()
            path.unlink()
            if table.num_rows:
                yield pivoted(table)

    def _partition_of(self, tweet_ids: pa.ChunkedArray) -> np.ndarray:
        ids = pc.cast(tweet_ids, pa.uint64()).to_numpy()
        numbers: np.ndarray = (ids * _SPREAD >> _HIGH_BITS) % np.uint64(self._count)
        return numbers


def refuse_nameless(table: pa.Table) -> None:
    """Refuse long rows that a wide table cannot hold.

    :raises InvalidArgumentError: if a row has no Tweet or no type.
    """
    for name in ("tweet_id", "engagement_type"):
        if table.column(name).null_count:
            message = f"layout is 'wide', and there are counts without {name}."
            raise InvalidArgumentError(message, advice="Use layout='long'.")


def pivoted(table: pa.Table) -> pa.Table:
    """Return one row a Tweet and period, with a column for each type.

    :param table: long rows, every count once.
    :returns: wide rows. A type without a count is null. A row is complete if all of its counts
        are, and was collected when the last of them was.
    """
    kinds = table.column("engagement_type")
    columns = {
        name: pc.if_else(pc.equal(kinds, name), table.column("value"), None)
        for name in ENGAGEMENT_TYPES
    }
    columns["access"] = pc.equal(table.column("access"), str(Access.OWNER))
    for name in (*WIDE_KEY, "complete", "tweet_created_at", "collected_at"):
        columns[name] = table.column(name)
    grouped = (
        pa.table(columns)
        .group_by(list(WIDE_KEY), use_threads=False)
        .aggregate(list(_AGGREGATES.items()))
    )
    result = {
        column.name: grouped.column(f"{column.name}_{_AGGREGATES[column.name]}")
        if column.name in _AGGREGATES
        else grouped.column(column.name)
        for column in WIDE
    }
    # One count that was fetched with the owner's access makes the whole row the owner's.
    result["access"] = pc.if_else(result["access"], str(Access.OWNER), str(Access.PUBLIC))
    return pa.table(result).cast(arrow_schema(WIDE))


def unpivoted(table: pa.Table) -> pa.Table:
    """Return one row for each count of some wide rows: the reverse of :func:`pivoted`.

    Each count gets the other columns of its wide row, such as ``access`` and ``complete``.

    :param table: wide rows.
    """
    shared = {
        name: table.column(name) for name in table.column_names if name not in ENGAGEMENT_TYPES
    }
    tables = []
    for name in ENGAGEMENT_TYPES:
        values = table.column(name)
        types = pa.repeat(name, table.num_rows)
        columns = {**shared, "engagement_type": types, "value": values}
        counts = pa.table({column.name: columns[column.name] for column in LONG})
        tables.append(counts.filter(pc.is_valid(values)).cast(arrow_schema(LONG)))
    return pa.concat_tables(tables)
