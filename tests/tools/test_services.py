"""Local services start in parallel, answer, and return their addresses."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

from tools.services import (
    airflow_environment,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
    simulator,
)


def answer(url: str) -> dict[str, object]:
    with urlopen(url, timeout=10) as reply:  # noqa: S310 - an emulator's own address
        found: dict[str, object] = json.load(reply)
        return found


def test_two_emulators_of_each_kind_run_at_once(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with (
        gcs_emulator(folders[0]) as gcs,
        gcs_emulator(folders[1]) as other_gcs,
        bigquery_emulator(folders[0]) as bigquery,
        bigquery_emulator(folders[1]) as other_bigquery,
    ):
        assert len({gcs.url, other_gcs.url, bigquery.url, other_bigquery.url}) == 4
        for part in (gcs, other_gcs):
            assert answer(f"{part.url}/storage/v1/b?project=test")["kind"] == "storage#buckets"
        for part in (bigquery, other_bigquery):
            found = answer(f"{part.url}/bigquery/v2/projects/test/datasets")
            assert found["kind"] == "bigquery#datasetList"


def test_simulator_returns_its_connections(tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    with simulator(tmp_path, "--account", "acme", "--tweets", "3", "--ids-file", ids) as api:
        assert api.connections["acme"]["host"] == api.url
        assert api.connections["acme"]["conn_type"] == "engagement"
        assert len(ids.read_text().split()) == 3


def test_environment_names_only_the_given_emulators() -> None:
    environment = google_environment(gcs="http://127.0.0.1:1")
    assert environment["STORAGE_EMULATOR_HOST"] == "http://127.0.0.1:1"
    assert "BIGQUERY_EMULATOR_HOST" not in environment


def test_each_airflow_server_has_its_own_port() -> None:
    settings = airflow_environment(Path("home"), Path("dags"), port=9000)
    ports = {value for name, value in settings.items() if name.endswith("PORT")}
    assert ports == {"9000", "9001", "9002"}
