"""The example DAG runs unchanged where Airflow's Google provider is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from run_operator import NOW, connect, counts, expected_counts

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from pathlib import Path

    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.google

# Ten minutes ahead, so that the day cannot end while the run does.
DATE = NOW + timedelta(minutes=10)
SNAPSHOT = DATE.replace(hour=0, minute=0, second=0)

# The plain clients refuse client_id, so only the provider's hooks can read this connection.
CONNECTION = {
    "conn_type": "google_cloud_platform",
    "extra": {"is_anonymous": True, "project": "test", "client_id": "unused"},
}


def test_the_example_dag_writes_its_counts(
    airflow_home: Path,
    bigquery: BigQuery,
    dataset: str,
    gcs: Gcs,
    *,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert airflow_home.exists()
    world = World(seed=9, accounts=("acme",), now=NOW)
    ids = world.tweets("acme", 20, since=SNAPSHOT - timedelta(days=80), until=SNAPSHOT)
    bucket = gcs.make_bucket()
    bucket.blob("ids.txt").upload_from_string("\n".join(ids))
    connect(monkeypatch, CONNECTION, "google_cloud_default")
    variables = {
        "AIRFLOW_VAR_ENGAGEMENT_BUCKET": bucket.name,
        "AIRFLOW_VAR_ENGAGEMENT_TABLE": f"{dataset}.totals",
        "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/ids.txt",
    }
    events = tmp_path / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    lineage = {
        "AIRFLOW__OPENLINEAGE__DISABLED": "False",
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        # Airflow loads the plugin when a process starts, so the setting must be in its environment.
        "AIRFLOW__OPENLINEAGE__NAMESPACE": "tests",
    }
    with Simulator(world) as service:
        url = service.url
        connect(monkeypatch, service.connection("acme"), "engagement_default")
        ran = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "airflow", "dags", "test", "engagement_daily", DATE.isoformat()],
            env={**os.environ, **variables, **lineage},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-6000:]
    rows = bigquery.rows(f"SELECT * FROM {dataset}.totals WHERE snapshot_at IS NOT NULL")  # noqa: S608 - a table of ours
    assert counts(rows) == expected_counts(world, ids, ENDPOINTS["totals"].engagement_types)
    written = {blob.name.rpartition("/")[2] for blob in bucket.list_blobs(prefix="engagement/")}
    assert "manifest.json" in written
    check_lineage(events, url, f"{bigquery.client.project}.{dataset}.totals", rows=len(rows))


def check_lineage(path: Path, url: str, table: str, *, rows: int) -> None:
    """Check that OpenLineage has what the task read and wrote, and how many rows."""
    events = [json.loads(line) for line in path.read_text().splitlines()]
    of_task = [
        event
        for event in events
        if event["eventType"] == "COMPLETE" and event["job"]["name"].endswith("totals_to_bigquery")
    ]
    assert len(of_task) == 1, [(event["eventType"], event["job"]["name"]) for event in events]
    (event,) = of_task
    read = [(dataset["namespace"], dataset["name"]) for dataset in event["inputs"]]
    assert read == [(url, "/insights/engagement/totals")]
    written = {dataset["name"]: dataset for dataset in event["outputs"]}
    assert {*written} == {table, f"{table}_coverage"}
    assert written[table]["namespace"] == "bigquery"
    assert written[table]["outputFacets"]["outputStatistics"]["rowCount"] == rows
