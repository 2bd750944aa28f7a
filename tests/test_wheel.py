"""The wheel holds the package and nothing else, and pulls by itself what the source tree does."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
import zipfile
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from run_command import run
from run_operator import NOW, counts, expected_counts

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ROOT

if TYPE_CHECKING:
    from importlib.metadata import Distribution
    from pathlib import Path

PACKAGE = "airflow_provider_engagement"

# Where a DAG is parsed, and where its task runs, it is the wheel that is imported.
DAG = """
import os
from datetime import UTC, datetime

import airflow_provider_engagement
from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator

assert airflow_provider_engagement.__file__.startswith(os.environ["PYTHONPATH"] + os.sep)

with DAG(
    "from_the_wheel",
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
):
    EngagementTotalsOperator(
        task_id="pull",
        tweet_ids="{{ var.value.engagement_tweet_ids }}",
        output_path="{{ var.value.engagement_output }}",
    )
"""

PROVIDER = """
from airflow.providers_manager import ProvidersManager

manager = ProvidersManager()
version = manager.providers["airflow-provider-engagement"].version
print("FOUND", version, manager.hooks["engagement"].hook_class_name)
"""


@pytest.fixture
def distribution(wheel_site: Path) -> Distribution:
    (found,) = importlib.metadata.distributions(path=[str(wheel_site)])
    return found


def test_wheel_holds_exactly_the_files_of_the_package(wheel: Path) -> None:
    tree = {
        str(path.relative_to(ROOT)): path.read_bytes()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert f"{PACKAGE}/py.typed" in tree
    with zipfile.ZipFile(wheel) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    beside = {name for name in held if not name.startswith(f"{PACKAGE}/")}
    assert {name.split("/")[0] for name in beside} == {f"{PACKAGE}-{__version__}.dist-info"}
    assert {name: data for name, data in held.items() if name not in beside} == tree


def test_wheel_has_its_metadata_and_requirements(distribution: Distribution) -> None:
    metadata = distribution.metadata
    assert (metadata["Name"], metadata["License-Expression"]) == (
        "airflow-provider-engagement",
        "Apache-2.0",
    )
    assert set(metadata.get_all("Provides-Extra") or ()) == {
        "bigquery",
        "google",
        "postgres",
        "redis",
        "report",
    }
    needed = [text for text in distribution.requires or () if "extra ==" not in text]
    assert "apache-airflow>=2.11" in needed
    points = {(point.group, point.name, point.value) for point in distribution.entry_points}
    assert points == {
        (
            "apache_airflow_provider",
            "provider_info",
            f"{PACKAGE}.get_provider_info:get_provider_info",
        ),
        ("pytest11", "engagement", f"{PACKAGE}.testing"),
        ("console_scripts", "engagement", f"{PACKAGE}.cli.__main__:main"),
        ("console_scripts", "engagement-simulator", f"{PACKAGE}.simulator.__main__:main"),
    }


def test_command_of_the_wheel_runs(wheel_site: Path, tmp_path: Path) -> None:
    settings = {"PYTHONPATH": str(wheel_site), "PYTHONSAFEPATH": "1"}
    metadata = run(wheel_site / "bin" / "engagement-simulator", "--help", cwd=tmp_path, **settings)
    assert "A local stand-in for the X Enterprise Engagement API." in metadata


def test_airflow_finds_the_wheel_and_pulls_with_it(
    wheel_site: Path, tmp_path: Path, airflow_home: Path
) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "wheel.py").write_text(DAG)
    shutil.copy(airflow_home / "unused.db", tmp_path / "airflow.db")
    world = World(seed=4, accounts=("acme",), now=NOW)
    until = NOW - timedelta(days=2)
    ids = world.tweets("acme", 5, since=until - timedelta(days=9), until=until)
    output = tmp_path / "counts.jsonl"
    with Simulator(world) as service:
        settings = {
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connection("acme")),
            "AIRFLOW_VAR_ENGAGEMENT_OUTPUT": f"file://{output}",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": json.dumps(ids),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
            "PYTHONPATH": str(wheel_site),
            "PYTHONSAFEPATH": "1",
        }
        found = run(sys.executable, "-c", PROVIDER, cwd=tmp_path, **settings)
        command = (sys.executable, "-m", "airflow", "dags", "test", "from_the_wheel")
        run(*command, cwd=tmp_path, **settings)
    assert f"FOUND {__version__} {PACKAGE}.hooks.engagement.EngagementHook" in found.splitlines()
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert counts(rows) == expected_counts(world, ids, ENDPOINTS["totals"].engagement_types)
