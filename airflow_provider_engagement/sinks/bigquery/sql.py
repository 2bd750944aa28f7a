"""Fragments of SQL. Names come from the column tables and from ``TableName``; both are safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date

    from airflow_provider_engagement.rows.schema import Column
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = [
    "IS_SNAPSHOT",
    "PERIOD_COLUMNS",
    "account_is",
    "columns",
    "date_is_in",
    "deduplicated",
    "differs",
    "has_endpoint_in_key",
    "literal",
    "merge",
    "quoted",
    "same_key",
    "transaction",
]

IS_SNAPSHOT: Final = "`snapshot_at` IS NOT NULL"
"""Counts of a moment: the first answer stands, whichever period it covers."""

PERIOD_COLUMNS: Final = ("period_start", "period_end")

# The key of a snapshot contains the endpoint. 28hr and historical share their days and hours.
_ENDPOINT_IN_KEY: Final = "`granularity` IN ('lifetime', 'window')"

# Replaces null when keys are compared; no row holds these values. BigQuery plans `IFNULL(a, x) =
# IFNULL(b, x)` as an equality, hence as a hash join. `IS NOT DISTINCT FROM` and a disjunction need
# not be planned so, and the join on the other columns would be quadratic.
_INSTEAD_OF_NULL: Final = {
    "STRING": "''",
    "INT64": "-1",
    "TIMESTAMP": "TIMESTAMP '0001-01-01 00:00:00+00:00'",
}

# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#escape_sequences
_ESCAPES: Final = str.maketrans({"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r"})


def quoted(table: TableName) -> str:
    """Return a table's full name in backquotes."""
    return f"`{table}`"


def columns(names: Iterable[str], prefix: str = "") -> str:
    """Return a list of columns. All are quoted, because ``grouping`` is a reserved word."""
    return ", ".join(f"{prefix}`{name}`" for name in names)


def differs(name: str) -> str:
    """Return the condition that a column differs between target and source."""
    return f"T.`{name}` IS DISTINCT FROM S.`{name}`"


def date_is_in(dates: tuple[date, date], prefix: str = "") -> str:
    """Return the condition on ``date``. It has literals, because only they prune partitions."""
    first, last = dates
    return f"{prefix}`date` BETWEEN DATE '{first.isoformat()}' AND DATE '{last.isoformat()}'"


def account_is(accounts: Collection[str], prefix: str = "") -> str:
    """Return the condition on ``account``. It has literals, because only they prune clusters."""
    literals = [literal(account) for account in sorted(accounts)]
    if len(literals) == 1:
        return f"{prefix}`account` = {literals[0]}"
    return f"{prefix}`account` IN ({', '.join(literals)})"


def literal(text: str) -> str:
    """Return a text as a literal of GoogleSQL."""
    return f"'{text.translate(_ESCAPES)}'"


def has_endpoint_in_key(prefix: str = "") -> str:
    """Return the condition that a row's key contains its endpoint."""
    return f"{prefix}{_ENDPOINT_IN_KEY}"


def same_key(table: Sequence[Column], key: Sequence[str]) -> list[str]:
    """Return the conditions that two rows have the same key; null equals null."""
    by_name = {column.name: column for column in table}
    has_snapshots = "granularity" in by_name
    return [_same(by_name[name], has_snapshots=has_snapshots) for name in key]


def _same(column: Column, *, has_snapshots: bool) -> str:
    target, source = (
        _key_value(column, side, has_snapshots=has_snapshots) for side in ("T.", "S.")
    )
    return f"{target} = {source}"


def _key_value(column: Column, side: str, *, has_snapshots: bool) -> str:
    value = f"{side}`{column.name}`"
    if has_snapshots and column.name == "endpoint":
        return f"IF({has_endpoint_in_key(side)}, {value}, '')"
    if column.required:
        return value
    instead = _INSTEAD_OF_NULL[column.type]
    if has_snapshots and column.name in PERIOD_COLUMNS:
        return f"IF({side}{IS_SNAPSHOT}, {instead}, IFNULL({value}, {instead}))"
    return f"IFNULL({value}, {instead})"


def deduplicated(
    table: TableName,
    names: Sequence[str],
    *,
    where: Sequence[str],
    key: Sequence[str],
    best_first: Sequence[str],
) -> str:
    """Return a query for the best row of each key, because MERGE refuses a source with two.

    :param table: the table to read.
    :param names: the columns.
    :param where: conditions that all hold.
    :param key: expressions that identify a row.
    :param best_first: the order that puts the best row first.
    """
    conditions = "\n    AND ".join(where)
    return (
        f"  SELECT {columns(names)}\n"  # noqa: S608 - the module's docstring says why it is safe
        f"  FROM {quoted(table)}\n"
        f"  WHERE {conditions}\n"
        "  QUALIFY ROW_NUMBER() OVER (\n"
        f"    PARTITION BY {', '.join(key)}\n"
        f"    ORDER BY {', '.join(best_first)}\n"
        "  ) = 1"
    )


def transaction(statements: Sequence[str]) -> str:
    """Return a script that runs all statements, or none."""
    return "\n".join(["BEGIN TRANSACTION;", *statements, "COMMIT TRANSACTION;", ""])


def merge(
    *,
    target: TableName,
    source: str,
    on: Sequence[str],
    update_if: Sequence[str],
    assignments: Mapping[str, str],
    inserted: Mapping[str, str],
) -> str:
    """Return the statement that merges the rows ``S`` of a query into a table ``T``.

    :param target: the table.
    :param source: the query.
    :param on: conditions that all hold where two rows have the same key.
    :param update_if: conditions that all hold where a row is updated.
    :param assignments: the new value of each column of a row that is updated.
    :param inserted: the value of each column of a row that is inserted.
    """
    conditions, replaced = "\n  AND ".join(on), "\n  AND ".join(update_if)
    settings = ",\n  ".join(f"`{name}` = {value}" for name, value in assignments.items())
    return (
        f"MERGE {quoted(target)} T\n"
        f"USING (\n{source}\n) S\n"
        f"ON {conditions}\n"
        f"WHEN MATCHED\n  AND {replaced}\nTHEN UPDATE SET\n  {settings}\n"
        f"WHEN NOT MATCHED THEN INSERT ({columns(inserted)})\n"
        f"VALUES ({', '.join(inserted.values())});"
    )
