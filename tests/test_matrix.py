"""The wheel works on the versions of Airflow 3 between those that all tests run on."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from run_command import run
from run_operator import NOW, counts, expected_counts

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ENVIRONMENTS, ROOT, Workshop

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.matrix]

VERSIONS = os.environ.get("MATRIX", "3.0 3.1 3.2").split()

# Imports every module but the commands and those that need extras, tests the connection, and reads
# files by Airflow's object storage. Prints what it found.
CHECKS = """
import importlib, json, pkgutil, sys
import fsspec
from airflow import __version__
from airflow.providers_manager import ProvidersManager
from airflow.sdk.io.store import attach
import airflow_provider_engagement as package

assert "site-packages" in package.__file__
modules = [info.name for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in modules:
    if not name.endswith("__main__") and name.split(".")[1] not in ("reports", "testing"):
        importlib.import_module(name)

from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.hooks.storage import put_file, read_tweet_ids
from pathlib import Path

memory = fsspec.filesystem("memory")
attach(protocol="memory", fs=memory)
attach(protocol="memory", conn_id="other", fs=memory)
source = Path(sys.argv[1])
put_file(source, "memory://bucket/inbox/ids.txt")
uris = [f"file://{source}", "memory://bucket/inbox/ids.txt", "memory://other@bucket/inbox/"]
manager = ProvidersManager()
found = {
    "airflow": __version__,
    "modules": len(modules),
    "provider": manager.providers["airflow-provider-engagement"].version,
    "hook": manager.hooks["engagement"].hook_class_name,
    "test": EngagementHook().test_connection(),
    "ids": [read_tweet_ids(uri) for uri in uris],
}
print("FOUND", json.dumps(found))
"""

DAG = """
from datetime import UTC, datetime

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor

with DAG(
    "matrix",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    wanted = {"tweet_ids": "{{ var.value.engagement_tweet_ids }}"}
    pull = EngagementTotalsOperator(
        task_id="pull", output_path="{{ var.value.engagement_output }}", **wanted
    )
    thresholds = {"impressions": ">= 0"}
    poke = EngagementThresholdSensor(task_id="poke", thresholds=thresholds, **wanted)
    deferred = EngagementThresholdSensor(
        task_id="deferred", thresholds=thresholds, deferrable=True, **wanted
    )
    pull >> poke >> deferred
"""


def airflow_of(version: str) -> Path:
    environment = ENVIRONMENTS[f"airflow-{version}"]
    python = Workshop().python(environment)
    assert python.exists(), f"run `make test-matrix MATRIX={version}`"
    return python


def locked(version: str) -> str:
    lock = (ROOT / "requirements" / f"airflow-{version}.txt").read_text()
    (found,) = re.findall(r"^apache-airflow==(.+)$", lock, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize("version", VERSIONS)
def test_wheel_on_another_airflow(version: str, tmp_path: Path) -> None:
    python = airflow_of(version)
    world = World(seed=4, accounts=("acme",), now=NOW)
    until = NOW - timedelta(days=2)
    ids = world.tweets("acme", 5, since=until - timedelta(days=9), until=until)
    collection, output = tmp_path / "ids.txt", tmp_path / "counts.jsonl"
    collection.write_text("\n".join(ids))
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "matrix.py").write_text(DAG)
    with Simulator(world) as service:
        settings = {
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connection("acme")),
            "AIRFLOW_VAR_ENGAGEMENT_OUTPUT": f"file://{output}",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"file://{collection}",
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "TMPDIR": str(tmp_path),
        }
        run(python, "-m", "airflow", "db", "migrate", cwd=tmp_path, **settings)
        said = run(python, "-c", CHECKS, collection, cwd=tmp_path, **settings)
        run(python, "-m", "airflow", "dags", "test", "matrix", cwd=tmp_path, **settings)
    found = json.loads(re.findall(r"^FOUND (.+)$", said, re.MULTILINE)[0])
    assert found["airflow"] == locked(version)
    assert (found["provider"], found["test"][0]) == (__version__, True)
    assert found["hook"] == "airflow_provider_engagement.hooks.engagement.EngagementHook"
    assert found["modules"] > 100
    assert found["ids"] == [ids] * 3
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert counts(rows) == expected_counts(world, ids, ENDPOINTS["totals"].engagement_types)


def test_environments_of_the_matrix_have_locks() -> None:
    assert {f"airflow-{version}" for version in VERSIONS} <= set(ENVIRONMENTS)
