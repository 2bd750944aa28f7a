"""Views in BigQuery, and queries over them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from google.api_core.exceptions import Forbidden, NotFound
from google.cloud import bigquery

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.reports.engine import placeholders
from airflow_provider_engagement.reports.sources import SOURCE_QUERIES, rows_of
from airflow_provider_engagement.reports.views import VIEWS, View, filled, views
from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
from airflow_provider_engagement.sinks.bigquery.locations import dataset_location
from airflow_provider_engagement.sinks.bigquery.names import TableName, sanitize_labels
from airflow_provider_engagement.sinks.bigquery.partitions import check_no_partition_filter
from airflow_provider_engagement.sinks.bigquery.sql import literal, quoted
from airflow_provider_engagement.sinks.bigquery.tables import table_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.reports.engine import Parameter

__all__ = ["BigQueryEngine"]

log = logging.getLogger(__name__)

_PARAMETER_TYPES: Final = {
    "bool": "BOOL",
    "int": "INT64",
    "float": "FLOAT64",
    "str": "STRING",
    "date": "DATE",
    "datetime": "TIMESTAMP",
}


class BigQueryEngine:
    """Views beside a table, in its dataset.

    :param client: a BigQuery client; jobs run in its project.
    :param table: ``project.dataset.table`` or ``dataset.table``: the counts, in either layout.
    :param tweets_table: the table of the Tweets' attributes, which has the table of their labels
        beside it; None for counts alone.
    :param location: the location of the dataset; read from the dataset by default.
    :param labels: labels of every job; made valid for BigQuery.
    :param maximum_bytes_billed: the bytes that one query may bill; None for no limit.
    :raises InvalidArgumentError: if a parameter has a value that is not allowed.
    """

    def __init__(
        self,
        client: bigquery.Client,
        table: str,
        tweets_table: str | None = None,
        *,
        location: str | None = None,
        labels: Mapping[str, str] | None = None,
        maximum_bytes_billed: int | None = None,
    ) -> None:
        self.table = TableName.parse(table, client.project, name="table")
        self._tweets = TableName.parse_optional(tweets_table, client.project, name="tweets_table")
        self._jobs = JobRunner(client, location, sanitize_labels(labels), maximum_bytes_billed)
        self._placeholders: dict[str, str] = {}

    def create_views(self) -> list[str]:
        """Make or replace all views, with a description of each column.

        :returns: their full names.
        :raises InvalidArgumentError: if a table does not exist, or holds something else.
        :raises PermissionDeniedError: if the credentials may not create views.
        """
        self._prepare()
        try:
            for view in views():
                self._create(view)
        except Forbidden as error:
            message = f"The Google credentials may not create views beside {self.table}."
            advice = "Grant their account roles/bigquery.dataEditor on the dataset."
            raise PermissionDeniedError(message, advice=advice) from error
        return [str(self._name(name)) for name in VIEWS]

    def ensure_views(self) -> None:
        """Make the views, unless all exist: then credentials that can only read are enough."""
        self._prepare()
        if not all(self._exists(self._name(name)) for name in VIEWS):
            log.info("Table %s does not have all views, so they are made.", self.table)
            self.create_views()

    def query(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> pa.Table:
        """Run a query: see :class:`airflow_provider_engagement.reports.engine.Engine`.

        :raises RequestRejectedError: if it would bill more than ``maximum_bytes_billed``.
        """
        self._prepare()
        typed = [_typed(name, value) for name, value in (parameters or {}).items()]
        job = self._jobs.query(filled(sql, self._placeholders), typed)
        return job.to_arrow(create_bqstorage_client=False)

    def publish(self, put_file: Callable[[Path, str], None]) -> list[str]:  # noqa: ARG002 - Engine defines the parameter; only DuckDBEngine uses it
        """Return an empty list, because whoever can read the dataset can read the views."""
        return []

    def close(self) -> None:
        """Cancel the job that runs now."""
        self._jobs.cancel()

    def _prepare(self) -> None:
        """Look at the tables, once."""
        if self._placeholders:
            return
        jobs = self._jobs
        jobs.location = dataset_location(jobs.client, self.table, jobs.location)
        found = self._columns(self.table, parameter="table")
        coverage = self.table.coverage
        names = {
            "rows": rows_of(quoted(self.table), found, name=str(self.table)),
            "coverage": quoted(coverage) if self._exists(coverage) else SOURCE_QUERIES["coverage"],
            "tweets": SOURCE_QUERIES["tweets"],
            "labels": SOURCE_QUERIES["labels"],
            "source": literal(str(self.table)),
            **{name: quoted(self._name(name)) for name in VIEWS},
        }
        if self._tweets is not None:
            self._columns(self._tweets, parameter="tweets_table")
            names["tweets"] = quoted(self._tweets)
            if self._exists(self._tweets.labels):
                names["labels"] = quoted(self._tweets.labels)
        self._placeholders = placeholders(names)

    def _columns(self, table: TableName, *, parameter: str) -> set[str]:
        try:
            found = self._jobs.client.get_table(str(table))
        except NotFound:
            message = f"{parameter}: there is no table {table}."
            advice = "Run the task that writes it first."
            raise InvalidArgumentError(message, advice=advice) from None
        except Forbidden as error:
            message = f"The Google credentials may not read table {table}."
            advice = "Grant their account roles/bigquery.dataViewer on it."
            raise PermissionDeniedError(message, advice=advice) from error
        check_no_partition_filter(found, table, parameter=parameter)
        return {field.name.lower() for field in found.schema}

    def _exists(self, table: TableName) -> bool:
        try:
            self._jobs.client.get_table(str(table))
        except NotFound:
            return False
        return True

    def _name(self, view: str) -> TableName:
        return self.table.beside(f"{self.table.table}_{view}")

    def _create(self, view: View) -> None:
        name = self._name(view.name)
        query = filled(view.sql, self._placeholders)
        self._jobs.query(f"CREATE OR REPLACE VIEW {quoted(name)} AS\n{query}")
        table = bigquery.Table(str(name), schema=table_schema(view.columns))
        table.description = view.description
        self._jobs.client.update_table(table, ["description", "schema"])
        log.info("Made view %s.", name)


def _typed(name: str, value: Any) -> Any:
    kind = _PARAMETER_TYPES.get(type(value).__name__)
    if kind is not None:
        return bigquery.ScalarQueryParameter(name, kind, value)
    return bigquery.ArrayQueryParameter(name, "STRING", list(value))
