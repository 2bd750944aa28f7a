"""The lock of a table: a one-row table that each of its writers updates first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.api_core.exceptions import Forbidden

from airflow_provider_engagement.api.errors import PermissionDeniedError
from airflow_provider_engagement.rows.schema import Column
from airflow_provider_engagement.sinks.bigquery.sql import quoted, transaction
from airflow_provider_engagement.sinks.bigquery.tables import TableSpec, ensure_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["locked", "prepare_lock"]

_COLUMNS: Final = (
    Column("table_name", "STRING", True, "The table that is locked."),
    Column("locked_at", "TIMESTAMP", True, "When it was last locked."),
)


def locked(target: TableName, statements: Sequence[str]) -> str:
    """Return a script that conflicts with every other locked script of the target.

    :param target: the table whose lock is taken.
    :param statements: what the transaction does.
    """
    lock = (
        f"UPDATE {quoted(target.lock)} SET `locked_at` = CURRENT_TIMESTAMP()\n"  # noqa: S608 - names are checked
        f"WHERE `table_name` = '{target.table}';"
    )
    return _insert_row(target) + transaction([lock, *statements])


def prepare_lock(jobs: JobRunner, target: TableName) -> None:
    """Create the lock table and its row.

    The row's statement needs the same permissions as the statements that write the target.

    :param jobs: runs the statement.
    :param target: the table that is locked.
    :raises PermissionDeniedError: if the credentials may not write, or the project has no billing
        account.
    """
    spec = TableSpec(_COLUMNS, f"Each writer of {target.table} updates its row first.")
    ensure_table(jobs.client, target.lock, spec)
    try:
        jobs.query(_insert_row(target))
    except Forbidden as error:
        project = jobs.client.project
        message = f"BigQuery refused to change a row of {target.lock}: {error.message}"
        advice = (
            f"Enable billing for project {project}: without it, BigQuery runs no INSERT, "
            "UPDATE or MERGE."
            if "billing" in str(error).lower()
            else f"Grant the account roles/bigquery.jobUser on project {project} and "
            "roles/bigquery.dataEditor on the dataset."
        )
        raise PermissionDeniedError(message, advice=advice) from error


def _insert_row(target: TableName) -> str:
    """Return the statement that inserts the row of the lock table, unless it has one.

    Two writers can both insert one. Each then updates both rows, which is the same lock.
    """
    lock, name = quoted(target.lock), target.table
    return (
        f"INSERT INTO {lock} (`table_name`, `locked_at`)\n"  # noqa: S608 - names are checked
        f"SELECT '{name}', CURRENT_TIMESTAMP() FROM (SELECT 1)\n"
        f"WHERE NOT EXISTS (SELECT 1 FROM {lock} WHERE `table_name` = '{name}');\n"
    )
