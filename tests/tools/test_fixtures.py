"""What the shared fixtures promise."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.clients import BigQuery, Gcs


def test_bigquery_loads_what_gcs_holds(bigquery: BigQuery, dataset: str, gcs: Gcs) -> None:
    from google.cloud.bigquery import LoadJobConfig, SchemaField, SourceFormat

    bucket = gcs.make_bucket()
    bucket.blob("counts/part-0.jsonl").upload_from_string('{"value": 1}\n{"value": -2}\n')

    bigquery.client.load_table_from_uri(
        f"gs://{bucket.name}/counts/*.jsonl",
        f"{dataset}.counts",
        job_config=LoadJobConfig(
            source_format=SourceFormat.NEWLINE_DELIMITED_JSON,
            schema=[SchemaField("value", "INTEGER")],
        ),
    ).result()

    counts = bigquery.rows(f"SELECT value FROM {dataset}.counts ORDER BY value")  # noqa: S608 - a table of ours
    assert counts == [{"value": -2}, {"value": 1}]
    assert (gcs.folder / bucket.name / "counts" / "part-0.jsonl").exists()


def test_plain_clients_find_the_emulators(bigquery: BigQuery, dataset: str, gcs: Gcs) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery as google_bigquery
    from google.cloud import storage

    bucket = gcs.make_bucket()
    client = storage.Client(project="test", credentials=AnonymousCredentials())
    client.bucket(bucket.name).blob("a").upload_from_file(io.BytesIO(b"1"))
    assert [blob.name for blob in client.list_blobs(bucket.name)] == ["a"]

    other = google_bigquery.Client(project="test", credentials=AnonymousCredentials())
    assert dataset in [found.dataset_id for found in other.list_datasets()]
    assert bigquery.client.project == other.project


def test_the_environment_is_put_back() -> None:
    assert "BIGQUERY_EMULATOR_HOST" not in os.environ
    assert "STORAGE_EMULATOR_HOST" not in os.environ


def test_airflow_has_a_home_of_its_own(airflow_home: Path) -> None:
    from airflow.configuration import AIRFLOW_HOME

    assert Path(AIRFLOW_HOME) == airflow_home
    assert (airflow_home / "airflow.db").exists()
    assert not airflow_home.is_relative_to(Path.home())
