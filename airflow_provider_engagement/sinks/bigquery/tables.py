"""The tables that rows land in: made if missing, widened if too narrow, refused if unfit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.cloud import bigquery

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.rows.schema import Column

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["COVERAGE_CLUSTER", "LOCK_COLUMNS", "ensure_table", "location_of", "schema_of"]

log = logging.getLogger(__name__)

COVERAGE_CLUSTER: Final = ("account", "tweet_id")

LOCK_COLUMNS: Final = (
    Column("table_name", "STRING", True, "The table that is being written."),
    Column("locked_at", "TIMESTAMP", True, "When it was last written."),
)

# The API still answers in the names of legacy SQL.
_STANDARD: Final = {"INTEGER": "INT64", "BOOLEAN": "BOOL", "FLOAT": "FLOAT64"}

# How often two tasks may add columns to one table at the same moment before we give up.
_TRIES: Final = 5


def schema_of(columns: Iterable[Column]) -> list[bigquery.SchemaField]:
    """Describe columns to BigQuery."""
    return [
        bigquery.SchemaField(
            column.name,
            column.type,
            mode="REQUIRED" if column.required else "NULLABLE",
            description=column.description,
        )
        for column in columns
    ]


def location_of(client: bigquery.Client, table: TableName, location: str | None) -> str | None:
    """Find out where the table's dataset lies: every job has to run there.

    :param client: the BigQuery client.
    :param table: the destination.
    :param location: where the user says it is, if they do.
    :raises InvalidArgumentError: if there is no such dataset, or it is somewhere else.
    :raises PermissionDeniedError: if we may not look.
    """
    name = f"{table.project}.{table.dataset}"
    try:
        found: str | None = client.get_dataset(name).location
    except NotFound as error:
        message = f"destination_table is {str(table)!r}, and there is no dataset {name}."
        where = location or "US"
        advice = f"Make it: bq --location={where} mk --dataset {table.project}:{table.dataset}"
        raise InvalidArgumentError(message, advice=advice) from error
    except Forbidden as error:
        raise _not_allowed(f"look at dataset {name}", "roles/bigquery.dataEditor") from error
    if location and found and location.lower() != found.lower():
        message = f"location is {location!r}, but dataset {name} is in {found}."
        raise InvalidArgumentError(message, advice=f"Leave location out, or set it to {found!r}.")
    return found or location


def ensure_table(
    client: bigquery.Client,
    name: TableName,
    columns: Sequence[Column],
    *,
    description: str,
    cluster: Sequence[str] = (),
    foreign: Collection[str] = (),
) -> None:
    """Make a table if it is missing, and see that it has room for every column.

    A table that exists keeps its partitioning, clustering and descriptions, whatever they are.

    :param client: the BigQuery client.
    :param name: the table.
    :param columns: the columns that we write.
    :param description: what a new table is said to be.
    :param cluster: what a new table is clustered by; where there is any, it is partitioned by
        ``date`` as well.
    :param foreign: columns that tell that a table which exists is of another layout.
    :raises InvalidArgumentError: if it is no table, or a column of it cannot take what we write.
    :raises PermissionDeniedError: if we may not make or change it.
    """
    try:
        existing = _existing(client, name)
        if existing is None:
            table = _new_table(name, columns, cluster)
            table.description = description
            # If another task made it meanwhile, then it made just this one.
            existing = client.create_table(table, exists_ok=True)
        _check_kind(existing, name)
        _check_layout(existing, name, columns, foreign)
        _add_missing(client, existing, name, columns)
    except Forbidden as error:
        raise _not_allowed(f"make or change table {name}", "roles/bigquery.dataEditor") from error


def _existing(client: bigquery.Client, name: TableName) -> bigquery.Table | None:
    try:
        return client.get_table(str(name))
    except NotFound:
        return None


def _new_table(
    name: TableName, columns: Sequence[Column], cluster: Sequence[str]
) -> bigquery.Table:
    table = bigquery.Table(str(name), schema=schema_of(columns))
    if cluster:
        table.time_partitioning = bigquery.TimePartitioning(field="date")
        table.clustering_fields = list(cluster)
    return table


def _check_kind(table: bigquery.Table, name: TableName) -> None:
    # A table that was just made need not say what it is.
    if (table.table_type or "TABLE") != "TABLE":
        message = f"destination_table: {name} is a {table.table_type}."
        raise InvalidArgumentError(message, advice="Only a native table can be written to.")


def _check_layout(
    table: bigquery.Table, name: TableName, columns: Sequence[Column], foreign: Collection[str]
) -> None:
    """Refuse to make two tables of one."""
    there = {field.name for field in table.schema}
    required = {column.name for column in columns if column.required} - {"value"}
    others = sorted(there.intersection(foreign))
    lacking = sorted({column.name for column in columns} - there)
    if others and lacking and required <= there:
        raise InvalidArgumentError(
            f"layout: table {name} has another layout: it has the columns {', '.join(others[:3])}, "
            f"and lacks {', '.join(lacking[:3])}.",
            advice="Use the layout that the table was made with, or another table.",
        )


def _add_missing(
    client: bigquery.Client, table: bigquery.Table, name: TableName, columns: Sequence[Column]
) -> None:
    """Add the columns that are missing, all at once.

    The update carries the table's version, so that of two tasks which add columns at the same
    moment one is refused, looks again, and finds less to do, or nothing.
    """
    for _ in range(_TRIES):
        missing = _missing(table, name, columns)
        if not missing:
            return
        # A table with rows takes no required column.
        optional = [Column(c.name, c.type, False, c.description) for c in missing]
        table.schema = [*table.schema, *schema_of(optional)]
        try:
            client.update_table(table, ["schema"])
        except PreconditionFailed:
            table = client.get_table(str(name))
        else:
            log.info("Added to %s: %s", name, ", ".join(column.name for column in missing))
            return
    message = f"destination_table: columns could not be added to {name}: it keeps changing."
    raise InvalidArgumentError(message, advice="Run the task again.")


def _missing(table: bigquery.Table, name: TableName, columns: Sequence[Column]) -> list[Column]:
    """List the columns that the table lacks, and refuse the table if one of its own is unfit."""
    # BigQuery tells columns apart without regard to case.
    there = {field.name.lower(): field for field in table.schema}
    missing = []
    for column in columns:
        field = there.pop(column.name, None)
        if field is None:
            missing.append(column)
            continue
        has = _STANDARD.get(field.field_type, field.field_type)
        if has != column.type or field.mode == "REPEATED":
            shown = f"ARRAY<{has}>" if field.mode == "REPEATED" else has
            message = (
                f"destination_table: column {column.name} of {name} is {shown}, "
                f"and has to be {column.type}."
            )
            advice = "Change or rename that column, or write to another table."
            raise InvalidArgumentError(message, advice=advice)
    _refuse_unfilled(there.values(), name)
    return missing


def _refuse_unfilled(others: Iterable[bigquery.SchemaField], name: TableName) -> None:
    for field in others:
        if field.mode == "REQUIRED" and field.default_value_expression is None:
            message = (
                f"destination_table: column {field.name} of {name} is required, "
                "and is not one that we fill."
            )
            advice = "Make it nullable, give it a default, or write to another table."
            raise InvalidArgumentError(message, advice=advice)


def _not_allowed(action: str, role: str) -> PermissionDeniedError:
    message = f"The Google credentials may not {action}."
    return PermissionDeniedError(message, advice=f"Grant their account {role} on the dataset.")
