"""Lineage: what plugins read from Airflow's collector, and what OpenLineage reports.

OpenLineage itself is run where its provider is installed: ``tests/with_google``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import NOW, connect

from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.usefixtures("airflow_home")

# Airflow collects nothing unless a plugin reads it.
PLUGIN = """
from airflow.providers.common.compat.sdk import AirflowPlugin
try:
    from airflow.sdk.lineage import HookLineageReader
except ImportError:
    from airflow.lineage.hook import HookLineageReader

class Reader(AirflowPlugin):
    name = "reader"
    hook_lineage_readers = [HookLineageReader]
"""

# Runs an operator, and prints what the collector then holds.
RUN = """
import json, sys
sys.path[:0] = [sys.argv[1] + "/tests"]
from run_operator import CONN_ID, run
from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)

name, given = sys.argv[2], json.loads(sys.argv[3])
access = {} if "Tweets" in name else {"engagement_conn_id": CONN_ID}
run(globals()[name](task_id="pull", **access, **given))
held = get_hook_lineage_collector().collected_assets
uris = {side: [info.asset.uri for info in getattr(held, side)] for side in ("inputs", "outputs")}
context = type(held.inputs[0].context).__name__
print("HELD", json.dumps(uris | {"context": context}))
"""


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(World(seed=5, accounts=("acme",), now=NOW)) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture
def ids(simulator: Simulator) -> list[str]:
    return simulator.world.tweets("acme", 5, since=NOW - timedelta(days=9), until=NOW)


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    folder = tmp_path / "plugins"
    folder.mkdir()
    (folder / "reader.py").write_text(PLUGIN)
    return folder


def collected(operator: str, given: dict[str, Any], plugins: Path) -> dict[str, Any]:
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", RUN, str(ROOT), operator, json.dumps(given)],
        env={**os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    held = next(line for line in ran.stdout.splitlines() if line.startswith("HELD "))
    found: dict[str, Any] = json.loads(held.removeprefix("HELD "))
    return found


def test_a_table_and_its_coverage_come_from_the_endpoint(
    simulator: Simulator, ids: list[str], bigquery: BigQuery, dataset: str, *, plugins: Path
) -> None:
    table = f"{bigquery.client.project}.{dataset}.totals"
    given = {"tweet_ids": ids, "destination_table": table}
    path = table.replace(".", "/")
    assert collected("EngagementToBigQueryOperator", given, plugins) == {
        "inputs": [f"{simulator.url}/insights/engagement/totals"],
        "outputs": [f"bigquery://{path}", f"bigquery://{path}_coverage"],
        "context": "EngagementHook",
    }


def test_tables_of_tweets_come_from_the_files(
    bigquery: BigQuery, dataset: str, tmp_path: Path, plugins: Path
) -> None:
    (tmp_path / "ids.txt").write_text("1260294888811347969\n")
    uri = f"file://{tmp_path}/ids.txt"
    table = f"{bigquery.client.project}.{dataset}.tweets"
    given = {"tweet_ids": uri, "destination_table": table}
    path = table.replace(".", "/")
    assert collected("EngagementTweetsToBigQueryOperator", given, plugins) == {
        "inputs": [uri],
        "outputs": [f"bigquery://{path}", f"bigquery://{path}_labels"],
        "context": "EngagementTweetsToBigQueryOperator",
    }


def test_objects_come_from_the_endpoint(
    simulator: Simulator, ids: list[str], gcs: Gcs, plugins: Path
) -> None:
    bucket = gcs.make_bucket()
    held = collected("EngagementToGCSOperator", {"tweet_ids": ids, "bucket": bucket.name}, plugins)
    stored = {f"gs://{bucket.name}/{blob.name}" for blob in bucket.list_blobs()}
    assert held["inputs"] == [f"{simulator.url}/insights/engagement/totals"]
    assert {*held["outputs"]} == {uri for uri in stored if not uri.endswith("manifest.json")}


def test_a_file_comes_from_the_endpoint(
    simulator: Simulator, ids: list[str], tmp_path: Path, plugins: Path
) -> None:
    uri = f"file://{tmp_path}/counts.jsonl"
    held = collected("EngagementTotalsOperator", {"tweet_ids": ids, "output_path": uri}, plugins)
    assert held["inputs"] == [f"{simulator.url}/insights/engagement/totals"]
    assert held["outputs"][0] == uri
    assert len(held["outputs"]) == 2
