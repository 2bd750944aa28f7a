"""Landing rows in BigQuery."""

from airflow_provider_engagement.sinks.bigquery.sink import WRITE_MODES, BigQuerySink

__all__ = ["WRITE_MODES", "BigQuerySink"]
