"""Long rows into wide ones: a Tweet's types side by side, on this machine's disk.

A warehouse pivots by itself; files have to be pivoted before they are written. The counts of one
Tweet may come in any number of tables, so long rows are first dealt into piles by Tweet, each
small enough to be pivoted in memory.
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

__all__ = ["HashPartitions", "pivoted", "refuse_nameless"]

# About 50 MB of long rows.
_PILE_ROWS: Final = 250_000
_MOST_PILES: Final = 256

# Spreads ids that differ in a few bits only: 2**64 divided by the golden ratio.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_HIGH_BITS: Final = np.uint64(40)

# How what many long rows say becomes what one wide row says.
_WHOLE: Final = {
    **dict.fromkeys(ENGAGEMENT_TYPES, "max"),
    "access": "any",
    "complete": "all",
    "tweet_created_at": "max",
    "collected_at": "max",
}


class HashPartitions:
    """Long rows on disk, all of one Tweet in one pile.

    :param folder: an existing folder for the piles.
    :param expected_rows: rows that the plan foresees; 0 where it cannot tell.
    """

    def __init__(self, folder: Path, expected_rows: int) -> None:
        self._schema = arrow_schema(LONG)
        self._count = min(expected_rows // _PILE_ROWS + 1, _MOST_PILES)
        self._paths = [folder / f"pile-{number:03d}.arrow" for number in range(self._count)]
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        self._writers = [
            pa.ipc.new_stream(str(path), self._schema, options=options) for path in self._paths
        ]

    def write(self, table: pa.Table) -> None:
        """Deal out some rows.

        :raises InvalidArgumentError: if a row has no Tweet or no type.
        """
        refuse_nameless(table)
        piles = self._pile_of(table.column("tweet_id"))
        for number in np.unique(piles):
            self._writers[number].write_table(table.filter(pa.array(piles == number)))

    def close(self) -> None:
        """End all piles."""
        for writer in self._writers:
            writer.close()

    def wide(self) -> Iterator[pa.Table]:
        """Give the wide rows, pile by pile. Piles are ended by then."""
        for path in self._paths:
            with pa.ipc.open_stream(str(path)) as reader:
                table = reader.read_all()
            path.unlink()
            if table.num_rows:
                yield pivoted(table)

    def _pile_of(self, tweet_ids: pa.ChunkedArray) -> np.ndarray:
        numbers = pc.cast(tweet_ids, pa.uint64()).to_numpy()
        piles: np.ndarray = (numbers * _SPREAD >> _HIGH_BITS) % np.uint64(self._count)
        return piles


def refuse_nameless(table: pa.Table) -> None:
    """Refuse long rows that have no place in a wide table.

    :raises InvalidArgumentError: if a row has no Tweet or no type.
    """
    for name in ("tweet_id", "engagement_type"):
        if table.column(name).null_count:
            message = f"layout is 'wide', and there are counts without {name}."
            raise InvalidArgumentError(message, advice="Use layout='long'.")


def pivoted(table: pa.Table) -> pa.Table:
    """Give one row a Tweet and period, with a column for each of the types.

    :param table: long rows, every count once.
    :returns: wide rows. A type that was not given is null; a row is complete if all its counts
        are; it was collected when the last of them was.
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
        .aggregate(list(_WHOLE.items()))
    )
    result = {
        column.name: grouped.column(f"{column.name}_{_WHOLE[column.name]}")
        if column.name in _WHOLE
        else grouped.column(column.name)
        for column in WIDE
    }
    # A Tweet of which we saw some counts as its owner is the owner's.
    result["access"] = pc.if_else(result["access"], str(Access.OWNER), str(Access.PUBLIC))
    return pa.table(result).cast(arrow_schema(WIDE))
