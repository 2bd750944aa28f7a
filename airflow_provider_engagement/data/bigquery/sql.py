"""Small pieces of SQL. Names come from our own column tables and from ``TableName``, both safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from airflow_provider_engagement.data.bigquery.names import TableName
    from airflow_provider_engagement.data.schema import Column

__all__ = [
    "SNAPSHOT",
    "between",
    "columns",
    "deduplicated",
    "differs",
    "quoted",
    "same_key",
]

SNAPSHOT: Final = "`granularity` IN ('lifetime', 'window')"
"""Counts to date. Each is taken once, and ``endpoint`` is in its key."""

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
    if column.name == "endpoint" and has_snapshots:
        # 28hr and historical share their hours.
        return f"(T.`endpoint` = S.`endpoint` OR NOT S.{SNAPSHOT})"
    if column.required:
        return f"T.`{column.name}` = S.`{column.name}`"
    stand_in = _FOR_NULL[column.type]
    return f"IFNULL(T.`{column.name}`, {stand_in}) = IFNULL(S.`{column.name}`, {stand_in})"


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
