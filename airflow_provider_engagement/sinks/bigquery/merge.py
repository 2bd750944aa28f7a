"""The scripts that move staged rows into the target table.

Rows and coverage are staged in one table, so that a small pull needs one load job. A staged row of
coverage has a ``status``; a staged count has none. Both are written in one transaction.

BigQuery runs MERGE statements that only insert at the same time, so two first writers of the same
keys would both insert them. Transactions that change rows of the same table conflict, and BigQuery
aborts the second one. Each script therefore first updates the row of ``<table>_lock``. An aborted
script is run again and sees the rows of the first one. Each target has a lock table of its own,
because conflicts are detected by table, not by row: a shared one would abort writers of other
tables. https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency

One statement can change a limited number of partitions, and one transaction 100,000. Rows of more
days are written by several statements of the same transaction.
https://cloud.google.com/bigquery/docs/transactions#limitations
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.schema import COVERAGE, COVERAGE_KEY, LONG, Column
from airflow_provider_engagement.sinks.bigquery import rows
from airflow_provider_engagement.sinks.bigquery.locks import locked
from airflow_provider_engagement.sinks.bigquery.partitions import MAX_PARTITIONS
from airflow_provider_engagement.sinks.bigquery.sql import (
    account_is,
    columns,
    date_is_in,
    deduplicated,
    differs,
    merge,
    quoted,
    same_key,
    transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import date

    from airflow_provider_engagement.rows.layout import Layout
    from airflow_provider_engagement.sinks.bigquery.names import TableName

    Dates = tuple[date, date]

__all__ = [
    "SCRIPTS",
    "STAGING",
    "Batch",
    "append_script",
    "truncate_script",
    "upsert_script",
]

_LONG_NAMES: Final = {column.name for column in LONG}

STAGING: Final = tuple(
    Column(column.name, column.type, False, column.description)
    for column in (*LONG, *(column for column in COVERAGE if column.name not in _LONG_NAMES))
)
"""The columns of a staging table: those of long rows, then those that only coverage has."""

# An id that was answered once stays answered, because its rows are in the table.
_BETTER_COVERAGE: Final = (
    "(S.`status` = 'answered' AND T.`status` <> 'answered'"
    " OR (S.`status` = 'answered') = (T.`status` = 'answered')"
    " AND S.`collected_at` > T.`collected_at`)"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The staged rows of one pull.

    :param target: the table of the rows.
    :param staging: the table with long rows and coverage.
    :param layout: the layout of the target.
    :param accounts: every account that the rows and the coverage have.
    :param row_dates: the first and the last date of the rows; None without rows.
    :param coverage_dates: the first and the last date of the coverage; None without coverage.
    :param max_days: the days whose rows one statement can write.
    """

    target: TableName
    staging: TableName
    layout: Layout
    accounts: Collection[str]
    row_dates: Dates | None
    coverage_dates: Dates | None
    max_days: int = MAX_PARTITIONS

    def row_chunks(self) -> Iterator[tuple[Dates, Dates | None]]:
        """Return date ranges that one statement can write, each with the filter on the source."""
        if self.row_dates is None:
            return
        first, last = self.row_dates
        is_split = (last - first).days >= self.max_days
        while first <= last:
            end = min(last, first + timedelta(days=self.max_days - 1))
            yield (first, end), (first, end) if is_split else None
            first = end + timedelta(days=1)


def upsert_script(batch: Batch) -> str:
    """Return the script that merges rows and coverage, or neither."""
    merges = [_merge_rows(batch, dates, read) for dates, read in batch.row_chunks()]
    if batch.coverage_dates is not None:
        merges.append(_merge_coverage(batch, batch.coverage_dates))
    return locked(batch.target, merges)


def append_script(batch: Batch) -> str:
    """Return the script that adds rows and coverage, or neither.

    It takes no lock, because inserts do not conflict.
    """
    return transaction([*_insert_rows(batch), _insert_coverage(batch)])


def truncate_script(batch: Batch) -> str:
    """Return the script that replaces all rows and all coverage, or neither.

    In a transaction TRUNCATE TABLE is as atomic as the inserts after it. CREATE OR REPLACE TABLE
    is not allowed in a transaction and would lose the table's options and policies. DELETE is
    refused on a table that requires a partition filter. The emulator does not undo a TRUNCATE when
    a later statement fails; BigQuery does.
    """
    return locked(
        batch.target,
        [
            f"TRUNCATE TABLE {quoted(batch.target)};",
            *_insert_rows(batch),
            f"TRUNCATE TABLE {quoted(batch.target.coverage)};",
            _insert_coverage(batch),
        ],
    )


SCRIPTS: Final[Mapping[str, Callable[[Batch], str]]] = {
    "upsert": upsert_script,
    "append": append_script,
    "truncate": truncate_script,
}
"""The script of each ``write_mode``."""


def _merge_rows(batch: Batch, dates: Dates, read: Dates | None) -> str:
    layout = batch.layout
    return merge(
        target=batch.target,
        source=rows.source(layout, batch.staging, read),
        on=[*_pruned(batch, dates), *same_key(layout.columns, layout.key)],
        update_if=rows.update_if(layout),
        assignments=rows.assignments(layout),
        inserted=_from_source(layout.columns),
    )


def _merge_coverage(batch: Batch, dates: Dates) -> str:
    outcome = ("status", "access", "reason", "missing_types")
    return merge(
        target=batch.target.coverage,
        source=_coverage(batch),
        on=[*_pruned(batch, dates), *same_key(COVERAGE, COVERAGE_KEY)],
        update_if=[_BETTER_COVERAGE, f"({' OR '.join(map(differs, outcome))})"],
        assignments={name: f"S.`{name}`" for name in (*outcome, "collected_at")},
        inserted=_from_source(COVERAGE),
    )


def _pruned(batch: Batch, dates: Dates) -> list[str]:
    """Return the conditions that keep a MERGE from reading other partitions and clusters."""
    return [date_is_in(dates, "T."), account_is(batch.accounts, "T.")]


def _from_source(table: Sequence[Column]) -> dict[str, str]:
    return {column.name: f"S.`{column.name}`" for column in table}


def _insert_rows(batch: Batch) -> Iterator[str]:
    names = columns(column.name for column in batch.layout.columns)
    for _, read in batch.row_chunks():
        source = rows.source(batch.layout, batch.staging, read)
        yield f"INSERT INTO {quoted(batch.target)} ({names})\n{source};"


def _insert_coverage(batch: Batch) -> str:
    names = columns(column.name for column in COVERAGE)
    return f"INSERT INTO {quoted(batch.target.coverage)} ({names})\n{_coverage(batch)};"


def _coverage(batch: Batch) -> str:
    return deduplicated(
        batch.staging,
        [column.name for column in COVERAGE],
        where=["`status` IS NOT NULL"],
        key=[f"`{name}`" for name in COVERAGE_KEY],
        best_first=["`status` = 'answered' DESC", "`collected_at` DESC", "`status`"],
    )
