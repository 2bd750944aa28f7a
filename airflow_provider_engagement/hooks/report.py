"""The engine of views and reports: BigQuery for a table, DuckDB for a folder of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.tweet_ids import is_uri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_engagement.reports.engine import Engine

__all__ = ["report_engine"]


def report_engine(
    table: str,
    tweets_table: str | None = None,
    *,
    gcp_conn_id: str,
    impersonation_chain: str | Sequence[str] | None = None,
    location: str | None = None,
    labels: Mapping[str, str] | None = None,
    maximum_bytes_billed: int | None = None,
) -> Engine:
    """Return the engine that runs the SQL of views and reports. Close it when done.

    :param table: the counts: a BigQuery table, or the URI of a folder of Parquet files.
    :param tweets_table: what is known of the Tweets: a table if ``table`` is one, else a URI.
    :param gcp_conn_id: the Google Cloud connection, for BigQuery and for ``gs://``.
    :param impersonation_chain: the service accounts to impersonate.
    :param location: where the dataset is; looked up where it is not given.
    :param labels: labels of every BigQuery job.
    :param maximum_bytes_billed: a query that would be billed for more bytes fails.
    :raises InvalidArgumentError: if one is a table and the other a URI.
    """
    if tweets_table is not None and is_uri(table) is not is_uri(tweets_table):
        message = f"table is {table!r} and tweets_table is {tweets_table!r}."
        advice = "Use two BigQuery tables, or two URIs: one engine reads both."
        raise InvalidArgumentError(message, advice=advice)
    if is_uri(table):
        from airflow_provider_engagement.hooks.storage import AirflowFiles
        from airflow_provider_engagement.reports.duckdb_engine import DuckDBEngine

        store = AirflowFiles(gcp_conn_id, impersonation_chain)
        return DuckDBEngine(table, tweets_table, store=store)
    from airflow_provider_engagement.hooks.google import bigquery_client
    from airflow_provider_engagement.reports.bigquery_engine import BigQueryEngine

    return BigQueryEngine(
        bigquery_client(gcp_conn_id, impersonation_chain, location),
        table,
        tweets_table,
        location=location,
        labels=labels,
        maximum_bytes_billed=maximum_bytes_billed,
    )
