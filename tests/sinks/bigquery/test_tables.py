from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import Refusing
from google.api_core.exceptions import Forbidden, PreconditionFailed
from google.cloud.bigquery import SchemaField, Table

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.rows.schema import LONG, Column
from airflow_provider_engagement.sinks.bigquery.names import TableName
from airflow_provider_engagement.sinks.bigquery.tables import (
    TableSpec,
    ensure_table,
    table_schema,
)

if TYPE_CHECKING:
    from tools.clients import BigQuery


def named(dataset: str, table: str = "counts") -> TableName:
    return TableName("test", dataset, table)


def ensure(
    client: Any,
    name: TableName,
    columns: tuple[Column, ...] = LONG,
    filled: frozenset[str] = frozenset(),
) -> None:
    spec = TableSpec(columns, "Counts.", ("account", "tweet_id"), filled=filled)
    ensure_table(client, name, spec)


def test_a_missing_table_is_created(bigquery: BigQuery, dataset: str) -> None:
    ensure(bigquery.client, named(dataset))
    table = bigquery.client.get_table(f"{dataset}.counts")
    assert table.time_partitioning.type_ == "DAY"
    assert table.time_partitioning.field == "date"
    assert table.clustering_fields == ["account", "tweet_id"]
    assert table.description == "Counts."
    found = {field.name: (field.mode, field.description) for field in table.schema}
    assert found == {
        column.name: ("REQUIRED" if column.required else "NULLABLE", column.description)
        for column in LONG
    }


def test_an_existing_table_keeps_its_options(bigquery: BigQuery, dataset: str) -> None:
    own = Table(
        f"test.{dataset}.counts", schema=[*table_schema(LONG), SchemaField("note", "STRING")]
    )
    own.description = "Ours."
    bigquery.client.create_table(own)
    ensure(bigquery.client, named(dataset))
    table = bigquery.client.get_table(f"{dataset}.counts")
    assert table.time_partitioning is None
    assert table.description == "Ours."
    assert "note" in [field.name for field in table.schema]


def test_missing_columns_are_added_as_nullable(bigquery: BigQuery, dataset: str) -> None:
    narrow = tuple(column for column in LONG if column.name not in {"access", "hour_of_day"})
    ensure(bigquery.client, named(dataset), narrow)
    ensure(bigquery.client, named(dataset))
    table = bigquery.client.get_table(f"{dataset}.counts")
    added = {field.name: field for field in table.schema[len(narrow) :]}
    assert set(added) == {"access", "hour_of_day"}
    assert {field.mode for field in added.values()} == {"NULLABLE"}
    # The emulator stores the name that it is given.
    assert added["hour_of_day"].field_type in {"INTEGER", "INT64"}


def test_two_tasks_can_add_columns_at_once(bigquery: BigQuery, dataset: str) -> None:
    # The emulator ignores a table's version; BigQuery responds with 412.
    ensure(bigquery.client, named(dataset), LONG[:5])
    changed = PreconditionFailed("Precondition Failed")
    ensure(Refusing(bigquery.client, update_table=[changed]), named(dataset))
    assert len(bigquery.client.get_table(f"{dataset}.counts").schema) == len(LONG)

    ensure(bigquery.client, named(dataset, "busy"), LONG[:5])
    with pytest.raises(InvalidArgumentError, match="because it keeps changing"):
        ensure(Refusing(bigquery.client, update_table=[changed] * 9), named(dataset, "busy"))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (SchemaField("value", "STRING"), "column value of .* is STRING, and must be INT64"),
        (SchemaField("VALUE", "FLOAT"), "column value of .* is FLOAT64, and must be INT64"),
        (
            SchemaField("value", "INTEGER", mode="REPEATED"),
            "column value of .* is ARRAY<INT64>, and must be INT64",
        ),
        (SchemaField("date", "TIMESTAMP"), "column date of .* is TIMESTAMP, and must be DATE"),
        (
            SchemaField("loaded_by", "STRING", mode="REQUIRED"),
            "column loaded_by of .* is REQUIRED, and no row has a value for it",
        ),
    ],
)
def test_an_unfit_column_is_refused_by_name(
    bigquery: BigQuery, dataset: str, field: SchemaField, message: str
) -> None:
    others = [own for own in table_schema(LONG) if own.name != field.name.lower()]
    bigquery.client.create_table(Table(f"test.{dataset}.counts", schema=[*others, field]))
    with pytest.raises(InvalidArgumentError, match=f"destination_table: {message}"):
        ensure(bigquery.client, named(dataset))


def test_a_view_is_refused(bigquery: BigQuery, dataset: str) -> None:
    bigquery.client.query_and_wait(f"CREATE VIEW {dataset}.counts AS SELECT 1 AS one")
    with pytest.raises(InvalidArgumentError, match="counts is a VIEW"):
        ensure(bigquery.client, named(dataset))


@pytest.mark.parametrize(
    "name", ["tweet_id", "engagement_type", "hour_of_day", "snapshot_at", "tweet_created_at"]
)
def test_a_required_column_that_rows_leave_null_is_refused(
    bigquery: BigQuery, dataset: str, name: str
) -> None:
    columns = [replace(column, required=column.required or column.name == name) for column in LONG]
    table = Table(f"test.{dataset}.counts", schema=table_schema(columns))
    bigquery.client.create_table(table)
    with pytest.raises(
        InvalidArgumentError,
        match=rf"column {name} of test\.{dataset}\.counts is REQUIRED, and the rows can leave it "
        rf"null\. .*ALTER COLUMN `{name}` DROP NOT NULL",
    ):
        ensure(bigquery.client, named(dataset))
    ensure(bigquery.client, named(dataset), filled=frozenset({name}))


def test_a_required_column_with_a_default_value_is_accepted() -> None:
    # The emulator does not store default values.
    loaded_at = SchemaField(
        "loaded_at",
        "TIMESTAMP",
        mode="REQUIRED",
        default_value_expression="CURRENT_TIMESTAMP()",
    )
    table = Table("test.d.counts", schema=[*table_schema(LONG), loaded_at])
    ensure(SimpleNamespace(get_table=lambda _: table), named("d"))


@pytest.mark.parametrize("call", ["get_table", "create_table"])
def test_a_missing_permission_names_the_role(bigquery: BigQuery, dataset: str, call: str) -> None:
    refusing = Refusing(bigquery.client, **{call: [Forbidden("Access Denied")]})
    with pytest.raises(PermissionDeniedError, match=r"may not create or change table .*dataEditor"):
        ensure(refusing, named(dataset))
