"""Small pieces of SQL. Names come from our own column tables and from ``TableName``, both safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from airflow_provider_engagement.rows.schema import Column
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = [
    "PERIOD",
    "SNAPSHOT",
    "TAKEN_ONCE",
    "between",
    "columns",
    "deduplicated",
    "differs",
    "quoted",
    "same_key",
]

SNAPSHOT: Final = "`granularity` IN ('lifetime', 'window')"
"""Counts whose key holds the ``endpoint``. 28hr and historical share their days and hours."""

TAKEN_ONCE: Final = "`snapshot_at` IS NOT NULL"
"""Counts as of a moment: the first answer stands, whichever hours of its own it covers."""

PERIOD: Final = ("period_start", "period_end")

# What stands for null in a comparison of keys: nothing that a row can hold. `IFNULL(a, x) =
# IFNULL(b, x)` is an equality to BigQuery's planner, hence a hash join; `IS NOT DISTINCT FROM` and
# the long form with OR need not be, and a join on what is left would be quadratic.
_FOR_NULL: Final = {
    "STRING": "''",
    "INT64": "-1",
    "TIMESTAMP": "TIMESTAMP '0001-01-01 00:00:00+00:00'",
}


def quoted(table: TableName) -> str:
    """Write a table's full name."""
    return f"`{table}`"


def columns(names: Iterable[str], prefix: str = "") -> str:
    """List columns, all of them quoted: ``grouping`` is a reserved word."""
    return ", ".join(f"{prefix}`{name}`" for name in names)


def differs(name: str) -> str:
    """Write that a column's value is another, nulls being equal to nulls."""
    return f"T.`{name}` IS DISTINCT FROM S.`{name}`"


def between(dates: tuple[date, date]) -> str:
    """Bound the target by date, in literals: only then are the other partitions left alone."""
    first, last = dates
    return f"T.`date` BETWEEN DATE '{first.isoformat()}' AND DATE '{last.isoformat()}'"


def same_key(table: Sequence[Column], key: Sequence[str]) -> list[str]:
    """Write the equality of keys, column by column, nulls being equal to nulls."""
    kinds = {column.name: column for column in table}
    has_snapshots = "granularity" in kinds
    return [_same(kinds[name], has_snapshots=has_snapshots) for name in key]


def _same(column: Column, *, has_snapshots: bool) -> str:
    theirs, ours = (_key_of(column, side, has_snapshots=has_snapshots) for side in ("T.", "S."))
    return f"{theirs} = {ours}"


def _key_of(column: Column, side: str, *, has_snapshots: bool) -> str:
    value = f"{side}`{column.name}`"
    if has_snapshots and column.name == "endpoint":
        return f"IF({side}{SNAPSHOT}, {value}, '')"
    if column.required:
        return value
    stand_in = _FOR_NULL[column.type]
    if has_snapshots and column.name in PERIOD:
        return f"IF({side}{TAKEN_ONCE}, {stand_in}, IFNULL({value}, {stand_in}))"
    return f"IFNULL({value}, {stand_in})"


def deduplicated(
    table: TableName,
    names: Sequence[str],
    *,
    where: str,
    key: Sequence[str],
    best_first: Sequence[str],
) -> str:
    """Select one row a key, the best: BigQuery refuses to merge two."""
    return (
        f"  SELECT {columns(names)}\n"  # noqa: S608 - see the module's docstring
        f"  FROM {quoted(table)}\n"
        f"  WHERE {where}\n"
        "  QUALIFY ROW_NUMBER() OVER (\n"
        f"    PARTITION BY {', '.join(key)}\n"
        f"    ORDER BY {', '.join(best_first)}\n"
        "  ) = 1"
    )
