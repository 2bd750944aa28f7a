"""The shared fixtures, and the markers that follow from them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import KINDS, kind_of

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


def test_environment_is_restored_after_a_test() -> None:
    assert "BIGQUERY_EMULATOR_HOST" not in os.environ
    assert "STORAGE_EMULATOR_HOST" not in os.environ


def test_airflow_has_a_home_of_its_own(airflow_home: Path) -> None:
    from airflow.configuration import AIRFLOW_HOME

    assert Path(AIRFLOW_HOME) == airflow_home
    assert (airflow_home / "airflow.db").exists()
    assert not airflow_home.is_relative_to(Path.home())


def kinds_of(request: pytest.FixtureRequest) -> list[str]:
    return [kind for kind in KINDS if request.node.get_closest_marker(kind)]


def test_test_without_real_parts_is_marked_unit(request: pytest.FixtureRequest) -> None:
    assert kinds_of(request) == ["unit"]


@pytest.mark.parametrize("fixture", ["airflow_home", "dataset", "gcs"])
def test_test_with_a_database_or_an_emulator_is_marked_integration(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    # Markers follow from the names that a test asks for, so ask for one as a test would.
    item = request.node
    names = item.session._fixturemanager.getfixtureclosure(  # noqa: SLF001 - pytest has no public way
        parentnode=item.parent, initialnames=(fixture,), ignore_args=()
    )[0]
    assert kind_of("tests/sinks/test_x.py::test_y", names) == "integration"


def test_test_of_a_browser_is_marked_e2e() -> None:
    assert kind_of("tests/ui/test_x.py::test_y", ()) == "e2e"
