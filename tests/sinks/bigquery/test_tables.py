from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import Forbidden, PreconditionFailed
from google.cloud.bigquery import Dataset, SchemaField, Table

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.rows.schema import LONG, Column
from airflow_provider_engagement.sinks.bigquery.names import TableName
from airflow_provider_engagement.sinks.bigquery.tables import ensure_table, location_of, schema_of

if TYPE_CHECKING:
    from tools.clients import BigQuery


class Refusing:
    """A client that fails at one call, and does all else."""

    def __init__(self, client: Any, **errors: list[Exception]) -> None:
        self._client = client
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        if self._errors.get(name):
            error = self._errors[name].pop(0)

            def fail(*_: Any, **__: Any) -> None:
                raise error

            return fail
        return getattr(self._client, name)


def named(dataset: str, table: str = "counts") -> TableName:
    return TableName("test", dataset, table)


def ensure(client: Any, name: TableName, columns: tuple[Column, ...] = LONG) -> None:
    ensure_table(client, name, columns, description="Counts.", cluster=("account", "tweet_id"))


def test_a_missing_table_is_made(bigquery: BigQuery, dataset: str) -> None:
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


def test_an_existing_table_keeps_what_it_is(bigquery: BigQuery, dataset: str) -> None:
    own = Table(f"test.{dataset}.counts", schema=[*schema_of(LONG), SchemaField("note", "STRING")])
    own.description = "Ours."
    bigquery.client.create_table(own)
    ensure(bigquery.client, named(dataset))
    table = bigquery.client.get_table(f"{dataset}.counts")
    assert table.time_partitioning is None
    assert table.description == "Ours."
    assert "note" in [field.name for field in table.schema]


def test_missing_columns_are_added_and_may_be_null(bigquery: BigQuery, dataset: str) -> None:
    narrow = tuple(column for column in LONG if column.name not in {"access", "hour_of_day"})
    ensure(bigquery.client, named(dataset), narrow)
    ensure(bigquery.client, named(dataset))
    table = bigquery.client.get_table(f"{dataset}.counts")
    added = {field.name: field for field in table.schema[len(narrow) :]}
    assert set(added) == {"access", "hour_of_day"}
    assert {field.mode for field in added.values()} == {"NULLABLE"}
    # The emulator keeps whichever of the two names it is given.
    assert added["hour_of_day"].field_type in {"INTEGER", "INT64"}


def test_two_tasks_may_add_columns_at_once(bigquery: BigQuery, dataset: str) -> None:
    # The emulator does not look at a table's version; BigQuery answers 412.
    ensure(bigquery.client, named(dataset), LONG[:5])
    changed = PreconditionFailed("Precondition Failed")
    ensure(Refusing(bigquery.client, update_table=[changed]), named(dataset))
    assert len(bigquery.client.get_table(f"{dataset}.counts").schema) == len(LONG)

    ensure(bigquery.client, named(dataset, "busy"), LONG[:5])
    with pytest.raises(InvalidArgumentError, match="it keeps changing"):
        ensure(Refusing(bigquery.client, update_table=[changed] * 9), named(dataset, "busy"))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (SchemaField("value", "STRING"), "column value of .* is STRING, and has to be INT64"),
        (SchemaField("VALUE", "FLOAT"), "column value of .* is FLOAT64, and has to be INT64"),
        (
            SchemaField("value", "INTEGER", mode="REPEATED"),
            "column value of .* is ARRAY<INT64>, and has to be INT64",
        ),
        (SchemaField("date", "TIMESTAMP"), "column date of .* is TIMESTAMP, and has to be DATE"),
        (
            SchemaField("loaded_by", "STRING", mode="REQUIRED"),
            "column loaded_by of .* is required, and is not one that we fill",
        ),
    ],
)
def test_an_unfit_column_is_named(
    bigquery: BigQuery, dataset: str, field: SchemaField, words: str
) -> None:
    others = [own for own in schema_of(LONG) if own.name != field.name.lower()]
    bigquery.client.create_table(Table(f"test.{dataset}.counts", schema=[*others, field]))
    with pytest.raises(InvalidArgumentError, match=f"destination_table: {words}"):
        ensure(bigquery.client, named(dataset))


def test_a_view_is_refused(bigquery: BigQuery, dataset: str) -> None:
    bigquery.client.query_and_wait(f"CREATE VIEW {dataset}.counts AS SELECT 1 AS one")
    with pytest.raises(InvalidArgumentError, match="counts is a VIEW"):
        ensure(bigquery.client, named(dataset))


def test_a_missing_dataset_is_named_with_the_command_to_make_it(bigquery: BigQuery) -> None:
    with pytest.raises(InvalidArgumentError, match=r"there is no dataset test\.nowhere") as refused:
        location_of(bigquery.client, named("nowhere"), "EU")
    assert "bq --location=EU mk --dataset test:nowhere" in str(refused.value)


def test_the_location_is_looked_up(bigquery: BigQuery, dataset: str) -> None:
    assert location_of(bigquery.client, named(dataset), None) == "US"
    assert location_of(bigquery.client, named(dataset), "us") == "US"


def test_another_location_is_refused(bigquery: BigQuery) -> None:
    there = Dataset("test.in_europe")
    there.location = "EU"
    bigquery.client.create_dataset(there, exists_ok=True)
    with pytest.raises(
        InvalidArgumentError, match=r"location is 'US', but dataset test\.in_europe is in EU"
    ):
        location_of(bigquery.client, named("in_europe"), "US")


@pytest.mark.parametrize("call", ["get_table", "create_table"])
def test_a_missing_permission_is_told(bigquery: BigQuery, dataset: str, call: str) -> None:
    refusing = Refusing(bigquery.client, **{call: [Forbidden("Access Denied")]})
    with pytest.raises(PermissionDeniedError, match=r"may not make or change table .*dataEditor"):
        ensure(refusing, named(dataset))
    looking = Refusing(bigquery.client, get_dataset=[Forbidden("Access Denied")])
    with pytest.raises(PermissionDeniedError, match="may not look at dataset"):
        location_of(looking, named(dataset), None)
