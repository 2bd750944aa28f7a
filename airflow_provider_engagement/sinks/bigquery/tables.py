"""The tables that rows are written to: created if missing, extended if narrow, refused if unfit."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from google.api_core.exceptions import Forbidden, NotFound, PreconditionFailed
from google.cloud import bigquery

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_engagement.rows.schema import Column
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["COVERAGE_CLUSTER", "TableSpec", "ensure_table", "table_schema"]

log = logging.getLogger(__name__)

COVERAGE_CLUSTER: Final = ("account", "tweet_id")

# The API returns type names of legacy SQL.
_STANDARD: Final = {"INTEGER": "INT64", "BOOLEAN": "BOOL", "FLOAT": "FLOAT64"}

# How often other tasks may change a table between reading and extending it.
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class TableSpec:
    """What a table must be.

    :param columns: the columns that are written.
    :param description: the description of a new table.
    :param cluster: the clustering of a new table. With it, a new table that has a column ``date``
        is partitioned by it.
    :param other_layouts: columns that only a table of another layout has.
    :param filled: optional columns that no row of this pull leaves null.
    """

    columns: Sequence[Column]
    description: str
    cluster: Sequence[str] = ()
    other_layouts: frozenset[str] = frozenset()
    filled: frozenset[str] = frozenset()


def table_schema(columns: Iterable[Column]) -> list[bigquery.SchemaField]:
    """Return columns as BigQuery describes them."""
    return [
        bigquery.SchemaField(
            column.name,
            column.type,
            mode=_mode(column),
            description=column.description,
        )
        for column in columns
    ]


def _mode(column: Column) -> str:
    if column.repeated:
        return "REPEATED"
    return "REQUIRED" if column.required else "NULLABLE"


def ensure_table(client: bigquery.Client, name: TableName, spec: TableSpec) -> bigquery.Table:
    """Create a table if it is missing, and add the columns that it lacks.

    An existing table keeps its partitioning, its clustering and its descriptions.

    :param client: the BigQuery client.
    :param name: the table.
    :param spec: what it must be.
    :returns: the table as BigQuery describes it.
    :raises InvalidArgumentError: if it is not a table, or a column cannot take what is written.
    :raises PermissionDeniedError: if the credentials may not create or change it.
    """
    try:
        table = _existing(client, name) or _create(client, name, spec)
        _check_kind(table, name)
        _check_layout(table, name, spec)
        _add_missing(client, table, name, spec)
    except Forbidden as error:
        message = f"The Google credentials may not create or change table {name}."
        advice = "Grant their account roles/bigquery.dataEditor on the dataset."
        raise PermissionDeniedError(message, advice=advice) from error
    return table


def _existing(client: bigquery.Client, name: TableName) -> bigquery.Table | None:
    try:
        return client.get_table(str(name))
    except NotFound:
        return None


def _create(client: bigquery.Client, name: TableName, spec: TableSpec) -> bigquery.Table:
    table = bigquery.Table(str(name), schema=table_schema(spec.columns))
    table.description = spec.description
    if spec.cluster:
        table.clustering_fields = list(spec.cluster)
        if any(column.name == "date" for column in spec.columns):
            table.time_partitioning = bigquery.TimePartitioning(field="date")
    # If another task has created it meanwhile, it has created the same table.
    return client.create_table(table, exists_ok=True)


def _check_kind(table: bigquery.Table, name: TableName) -> None:
    # The service need not return the type of a table that was just created.
    kind = table.table_type or "TABLE"
    if kind != "TABLE":
        message = f"destination_table: {name} is a {kind}."
        raise InvalidArgumentError(message, advice="Use a native table.")


def _check_layout(table: bigquery.Table, name: TableName, spec: TableSpec) -> None:
    """Refuse a table of another layout, which would otherwise get the columns of both."""
    existing = {field.name for field in table.schema}
    required = {column.name for column in spec.columns if column.required} - {"value"}
    others = sorted(existing & spec.other_layouts)
    missing = sorted({column.name for column in spec.columns} - existing)
    if others and missing and required <= existing:
        message = (
            f"layout: table {name} has another layout: it has the columns {', '.join(others[:3])} "
            f"and not {', '.join(missing[:3])}."
        )
        advice = "Use the layout that the table was created with, or another table."
        raise InvalidArgumentError(message, advice=advice)


def _add_missing(
    client: bigquery.Client, table: bigquery.Table, name: TableName, spec: TableSpec
) -> None:
    """Add all missing columns at once.

    The update carries the table's version. Of two tasks that add columns at the same time, the
    service refuses one, which reads the table again and finds fewer columns to add, or none.
    """
    for _ in range(_TRIES):
        missing = _missing(table, name, spec)
        if not missing:
            return
        # BigQuery adds no required column to a table with rows.
        optional = [replace(column, required=False) for column in missing]
        table.schema = [*table.schema, *table_schema(optional)]
        try:
            client.update_table(table, ["schema"])
        except PreconditionFailed:
            table = client.get_table(str(name))
        else:
            log.info("Added to %s: %s", name, ", ".join(column.name for column in missing))
            return
    message = f"destination_table: columns could not be added to {name}, because it keeps changing."
    raise InvalidArgumentError(message, advice="Run the task again when no other one changes it.")


def _missing(table: bigquery.Table, name: TableName, spec: TableSpec) -> list[Column]:
    """Return the columns that a table lacks, and refuse one with an unfit column."""
    # Column names in BigQuery are not case-sensitive.
    existing = {field.name.lower(): field for field in table.schema}
    missing = []
    for column in spec.columns:
        field = existing.pop(column.name, None)
        if field is None:
            missing.append(column)
        else:
            _check_type(field, column, name)
            _check_mode(field, column, name, spec)
    for field in existing.values():
        _check_unknown(field, name)
    return missing


def _check_type(field: bigquery.SchemaField, column: Column, name: TableName) -> None:
    kind = _STANDARD.get(field.field_type, field.field_type)
    found = _full_type(kind, is_repeated=field.mode == "REPEATED")
    expected = _full_type(column.type, is_repeated=column.repeated)
    if found == expected:
        return
    message = (
        f"destination_table: column {column.name} of {name} is {found}, and must be {expected}."
    )
    advice = "Change or rename that column, or write to another table."
    raise InvalidArgumentError(message, advice=advice)


def _full_type(kind: str, *, is_repeated: bool) -> str:
    return f"ARRAY<{kind}>" if is_repeated else kind


def _check_mode(
    field: bigquery.SchemaField, column: Column, name: TableName, spec: TableSpec
) -> None:
    if field.mode != "REQUIRED" or column.required or column.name in spec.filled:
        return
    message = (
        f"destination_table: column {column.name} of {name} is REQUIRED, "
        "and the rows can leave it null."
    )
    advice = (
        f"Make it nullable: ALTER TABLE `{name}` ALTER COLUMN `{column.name}` DROP NOT NULL. "
        "Or write to another table."
    )
    raise InvalidArgumentError(message, advice=advice)


def _check_unknown(field: bigquery.SchemaField, name: TableName) -> None:
    if field.mode != "REQUIRED" or field.default_value_expression is not None:
        return
    message = (
        f"destination_table: column {field.name} of {name} is REQUIRED, "
        "and no row has a value for it."
    )
    advice = "Make it nullable, set a default value, or write to another table."
    raise InvalidArgumentError(message, advice=advice)
