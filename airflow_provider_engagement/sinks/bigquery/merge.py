"""The SQL that lands staged rows, as text and nothing else.

Rows and coverage are staged in one table, so that a small pull is one load job: a staged row has
a ``status`` if it is coverage, and none if it is a count. Both land in one transaction.

BigQuery runs MERGE statements that only insert side by side, so two first writers of the same
keys would both insert them. A transaction that mutates a table does conflict with another that
mutates it, so ours first touches a row of a small lock table: the second writer is aborted, and
tries again on what the first one wrote.
https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.schema import COVERAGE, COVERAGE_KEY, LONG, Column
from airflow_provider_engagement.sinks.bigquery import rows
from airflow_provider_engagement.sinks.bigquery.sql import (
    between,
    columns,
    deduplicated,
    differs,
    quoted,
    same_key,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from airflow_provider_engagement.rows.layout import Layout
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["STAGING", "Batch", "append_script", "truncate_script", "upsert_script"]

_LONG_NAMES: Final = {column.name for column in LONG}

STAGING: Final = tuple(
    Column(column.name, column.type, False, column.description)
    for column in (*LONG, *(column for column in COVERAGE if column.name not in _LONG_NAMES))
)
"""The columns of a staging table: those of long rows, then those that only coverage has."""

# What was once answered stays so: its rows are in the table.
_BETTER_COVERAGE: Final = (
    "(S.`status` = 'answered' AND T.`status` <> 'answered'"
    " OR (S.`status` = 'answered') = (T.`status` = 'answered')"
    " AND S.`collected_at` > T.`collected_at`)"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be landed.

    :param target: the table of the rows.
    :param staging: where long rows and coverage were loaded.
    :param layout: the shape that the target has.
    :param row_dates: first and last date of the rows; None where there are no rows.
    :param coverage_dates: the same of the coverage.
    """

    target: TableName
    staging: TableName
    layout: Layout
    row_dates: tuple[date, date] | None
    coverage_dates: tuple[date, date] | None


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
    is not allowed in one, and would lose the table's options and policies; DELETE is refused on a
    table that requires a partition filter. The emulator does not take a truncation back when a
    later statement fails; BigQuery does.
    """
    return _locked(
        batch,
        [
            f"TRUNCATE TABLE {quoted(batch.target)};",
            _insert_rows(batch),
            f"TRUNCATE TABLE {quoted(batch.target.coverage)};",
            _insert_coverage(batch),
        ],
    )


def _locked(batch: Batch, statements: Sequence[str]) -> str:
    """Let only one writer of the table through at a time."""
    locks, name = quoted(batch.target.locks), batch.target.table
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


def _transaction(statements: Sequence[str]) -> str:
    return "\n".join(["BEGIN TRANSACTION;", *statements, "COMMIT TRANSACTION;", ""])


def _merge_rows(batch: Batch, dates: tuple[date, date]) -> str:
    layout = batch.layout
    return _merge(
        target=batch.target,
        source=rows.source(layout, batch.staging),
        on=[between(dates), *same_key(layout.columns, layout.key)],
        update_if=rows.update_if(layout),
        assignments=rows.assignments(layout),
        inserted=layout.columns,
    )


def _merge_coverage(batch: Batch, dates: tuple[date, date]) -> str:
    told = ("status", "access", "reason", "missing_types")
    return _merge(
        target=batch.target.coverage,
        source=_coverage(batch),
        on=[between(dates), *same_key(COVERAGE, COVERAGE_KEY)],
        update_if=[
            _BETTER_COVERAGE,
            f"({' OR '.join(map(differs, told))})",
        ],
        assignments={name: f"S.`{name}`" for name in (*told, "collected_at")},
        inserted=COVERAGE,
    )


def _merge(
    *,
    target: TableName,
    source: str,
    on: Sequence[str],
    update_if: Sequence[str],
    assignments: Mapping[str, str],
    inserted: Sequence[Column],
) -> str:
    names = [column.name for column in inserted]
    conditions, wanted = "\n  AND ".join(on), "\n  AND ".join(update_if)
    settings = ",\n  ".join(f"`{name}` = {value}" for name, value in assignments.items())
    return (
        f"MERGE {quoted(target)} T\n"
        f"USING (\n{source}\n) S\n"
        f"ON {conditions}\n"
        f"WHEN MATCHED\n  AND {wanted}\nTHEN UPDATE SET\n  {settings}\n"
        f"WHEN NOT MATCHED THEN INSERT ({columns(names)})\n"
        f"VALUES ({columns(names, 'S.')});"
    )


def _insert_rows(batch: Batch) -> str:
    names = columns(column.name for column in batch.layout.columns)
    source = rows.source(batch.layout, batch.staging)
    return f"INSERT INTO {quoted(batch.target)} ({names})\n{source};"


def _insert_coverage(batch: Batch) -> str:
    names = columns(column.name for column in COVERAGE)
    return f"INSERT INTO {quoted(batch.target.coverage)} ({names})\n{_coverage(batch)};"


def _coverage(batch: Batch) -> str:
    return deduplicated(
        batch.staging,
        [column.name for column in COVERAGE],
        where="`status` IS NOT NULL",
        key=[f"`{name}`" for name in COVERAGE_KEY],
        best_first=["`status` = 'answered' DESC", "`collected_at` DESC", "`status`"],
    )
