"""The SQL that lands staged rows, as text and nothing else.

Rows and coverage are staged in one table, so that a small pull is one load job: a staged row has
a ``status`` if it is coverage, and none if it is a count. Both land in one transaction.

BigQuery runs MERGE statements that only insert side by side, so two first writers of the same
keys would both insert them. A transaction that mutates a table does conflict with another that
mutates it, so ours first touches a row of a small lock table: the second writer is aborted, and
tries again on what the first one wrote.

Which answer wins is an order, so that answers may land in any order: complete before incomplete,
then newer before older. The one exception is the price of not rewriting unchanged rows: where a
newer answer repeats the stored value, the row keeps its older ``collected_at``, and a straggler
from between the two, with another value, is taken for news until the next pull.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.data.schema import COVERAGE, COVERAGE_KEY, LONG, LONG_KEY, Column

if TYPE_CHECKING:
    from datetime import date

    from airflow_provider_engagement.data.bigquery.names import TableName

__all__ = [
    "LONG_LAYOUT",
    "SNAPSHOTS",
    "Batch",
    "Layout",
    "append_script",
    "staging_columns",
    "truncate_script",
    "upsert_script",
]

SNAPSHOTS: Final = ("lifetime", "window")
"""The granularities taken once: their first answer stands, and `endpoint` is in their key."""

# What stands for null in a comparison of keys: nothing that a row can hold. `IFNULL(a, x) =
# IFNULL(b, x)` is an equality to BigQuery's planner, hence a hash join; `IS NOT DISTINCT FROM` and
# the long form with OR need not be, and a join on what is left would be quadratic.
_FOR_NULL: Final = {
    "STRING": "''",
    "INT64": "-1",
    "TIMESTAMP": "TIMESTAMP '0001-01-01 00:00:00+00:00'",
}


# A part of a bucket never replaces the whole; of two alike, the newer answer counts.
_BETTER: Final = (
    "(S.`complete` AND NOT T.`complete`"
    " OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`)"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are shaped.

    :param name: ``long`` or ``wide``.
    :param columns: every column.
    :param key: what makes two rows the same count.
    :param values: the columns that hold counts.
    :param cluster: the columns that a new table is clustered by.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    values: tuple[str, ...]
    cluster: tuple[str, ...]


LONG_LAYOUT: Final = Layout(
    name="long",
    columns=LONG,
    key=LONG_KEY,
    values=("value",),
    cluster=("account", "tweet_id", "engagement_type"),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be landed.

    :param target: the table of the rows.
    :param staging: where rows and coverage were loaded.
    :param layout: the rows' shape.
    :param row_dates: first and last date of the rows; None where there are no rows.
    :param coverage_dates: the same of the coverage.
    """

    target: TableName
    staging: TableName
    layout: Layout
    row_dates: tuple[date, date] | None
    coverage_dates: tuple[date, date] | None


def staging_columns(layout: Layout) -> tuple[Column, ...]:
    """List the columns of the staging table: the rows', then those that only coverage has."""
    own = {column.name for column in layout.columns}
    merged = (*layout.columns, *(column for column in COVERAGE if column.name not in own))
    return tuple(
        Column(column.name, column.type, required=False, description=column.description)
        for column in merged
    )


def upsert_script(batch: Batch) -> str:
    """Write the script that merges rows and coverage, or neither."""
    merges = []
    if batch.row_dates is not None:
        merges.append(_merge_rows(batch, batch.row_dates))
    if batch.coverage_dates is not None:
        merges.append(_merge_coverage(batch, batch.coverage_dates))
    return _locked(batch, merges)


def append_script(batch: Batch) -> str:
    """Write the script that adds rows and coverage to what is there.

    Inserts do not conflict, so appending tasks neither lock nor wait.
    """
    return _transaction([_insert_rows(batch), _insert_coverage(batch)])


def truncate_script(batch: Batch) -> str:
    """Write the script that puts rows and coverage in the place of all that is there.

    In a transaction TRUNCATE TABLE is as atomic as the inserts after it. CREATE OR REPLACE TABLE
    would lose the table's options, policies and descriptions, and DELETE is refused on a table
    that requires a partition filter.
    """
    return _locked(
        batch,
        [
            f"TRUNCATE TABLE {_quoted(batch.target)};",
            _insert_rows(batch),
            f"TRUNCATE TABLE {_quoted(batch.target.coverage)};",
            _insert_coverage(batch),
        ],
    )


def _locked(batch: Batch, statements: list[str]) -> str:
    """Let only one writer of the table through at a time."""
    locks, name = _quoted(batch.target.locks), batch.target.table
    # Two writers may both add the row: both then touch both, which does no harm.
    ensure = (
        f"INSERT INTO {locks} (`table_name`, `locked_at`)\n"  # noqa: S608 - names are checked
        f"SELECT '{name}', CURRENT_TIMESTAMP() FROM (SELECT 1)\n"
        f"WHERE NOT EXISTS (SELECT 1 FROM {locks} WHERE `table_name` = '{name}');\n"
    )
    lock = (
        f"UPDATE {locks} SET `locked_at` = CURRENT_TIMESTAMP()\n"  # noqa: S608 - names are checked
        f"WHERE `table_name` = '{name}';"
    )
    return ensure + _transaction([lock, *statements])


def _transaction(statements: list[str]) -> str:
    return "\n".join(["BEGIN TRANSACTION;", *statements, "COMMIT TRANSACTION;", ""])


def _merge_rows(batch: Batch, dates: tuple[date, date]) -> str:
    layout = batch.layout
    # An update says who gave the new count as well: `endpoint` is no key of shared hours.
    settable = [c.name for c in layout.columns if c.name not in layout.key or c.name == "endpoint"]
    watched = (*layout.values, "complete")
    return _merge(
        target=batch.target,
        source=_rows(batch),
        on=[_between(dates), *_same_key(layout.columns, layout.key)],
        update_if=[
            f"S.`granularity` NOT IN ({_listed(SNAPSHOTS)})",
            _BETTER,
            f"({' OR '.join(_differs(name) for name in watched)})",
        ],
        settable=settable,
        columns=layout.columns,
    )


def _merge_coverage(batch: Batch, dates: tuple[date, date]) -> str:
    watched = ("status", "access", "reason", "missing_types")
    return _merge(
        target=batch.target.coverage,
        source=_coverage(batch),
        on=[_between(dates), *_same_key(COVERAGE, COVERAGE_KEY)],
        update_if=[
            # What was once answered stays so: its rows are in the table.
            "(T.`status` <> 'answered' OR S.`status` = 'answered')",
            f"({' OR '.join(_differs(name) for name in watched)})",
        ],
        settable=[*watched, "collected_at"],
        columns=COVERAGE,
    )


def _merge(
    *,
    target: TableName,
    source: str,
    on: list[str],
    update_if: list[str],
    settable: list[str],
    columns: tuple[Column, ...],
) -> str:
    names = [column.name for column in columns]
    joined = "\n  AND ".join(on)
    wanted = "\n  AND ".join(update_if)
    assignments = ",\n  ".join(f"`{name}` = S.`{name}`" for name in settable)
    return (
        f"MERGE {_quoted(target)} T\n"
        f"USING (\n{source}\n) S\n"
        f"ON {joined}\n"
        f"WHEN MATCHED\n  AND {wanted}\nTHEN UPDATE SET\n  {assignments}\n"
        f"WHEN NOT MATCHED THEN INSERT ({_columns(names)})\n"
        f"VALUES ({_columns(names, 'S.')});"
    )


def _insert_rows(batch: Batch) -> str:
    names = _columns([column.name for column in batch.layout.columns])
    return f"INSERT INTO {_quoted(batch.target)} ({names})\n{_rows(batch)};"


def _insert_coverage(batch: Batch) -> str:
    names = _columns([column.name for column in COVERAGE])
    return f"INSERT INTO {_quoted(batch.target.coverage)} ({names})\n{_coverage(batch)};"


def _rows(batch: Batch) -> str:
    """Select the staged rows, one a key: BigQuery refuses to merge two."""
    layout = batch.layout
    key = [
        f"IF(`granularity` IN ({_listed(SNAPSHOTS)}), `endpoint`, NULL)"
        if name == "endpoint"
        else f"`{name}`"
        for name in layout.key
    ]
    best = ["`complete` DESC", "`collected_at` DESC", *(f"`{name}`" for name in layout.values)]
    names = [column.name for column in layout.columns]
    return _deduplicated(batch.staging, names, "`status` IS NULL", key, best)


def _coverage(batch: Batch) -> str:
    names = [column.name for column in COVERAGE]
    key = [f"`{name}`" for name in COVERAGE_KEY]
    best = ["`status` = 'answered' DESC", "`collected_at` DESC", "`status`"]
    return _deduplicated(batch.staging, names, "`status` IS NOT NULL", key, best)


def _deduplicated(
    staging: TableName, names: list[str], which: str, key: list[str], best: list[str]
) -> str:
    return (
        f"  SELECT {_columns(names)}\n"  # noqa: S608 - names are checked
        f"  FROM {_quoted(staging)}\n"
        f"  WHERE {which}\n"
        "  QUALIFY ROW_NUMBER() OVER (\n"
        f"    PARTITION BY {', '.join(key)}\n"
        f"    ORDER BY {', '.join(best)}\n"
        "  ) = 1"
    )


def _same_key(columns: tuple[Column, ...], key: tuple[str, ...]) -> list[str]:
    kinds = {column.name: column for column in columns}
    return [_same(kinds[name], snapshots_only="granularity" in kinds) for name in key]


def _same(column: Column, *, snapshots_only: bool) -> str:
    ours, theirs = f"S.`{column.name}`", f"T.`{column.name}`"
    if column.name == "endpoint" and snapshots_only:
        return f"({theirs} = {ours} OR S.`granularity` NOT IN ({_listed(SNAPSHOTS)}))"
    if column.required:
        return f"{theirs} = {ours}"
    stand_in = _FOR_NULL[column.type]
    return f"IFNULL({theirs}, {stand_in}) = IFNULL({ours}, {stand_in})"


def _between(dates: tuple[date, date]) -> str:
    # Literal, since only then does BigQuery leave the other partitions alone.
    first, last = dates
    return f"T.`date` BETWEEN DATE '{first.isoformat()}' AND DATE '{last.isoformat()}'"


def _differs(name: str) -> str:
    return f"T.`{name}` IS DISTINCT FROM S.`{name}`"


def _columns(names: list[str], prefix: str = "") -> str:
    # Quoted, all of them: `grouping` is a reserved word.
    return ", ".join(f"{prefix}`{name}`" for name in names)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _quoted(table: TableName) -> str:
    return f"`{table}`"
