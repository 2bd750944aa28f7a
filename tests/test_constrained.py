"""The wheel runs beside the common.compat provider that Airflow's own constraints pin."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from run_command import run
from run_operator import NOW, counts, expected_counts

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ENVIRONMENTS, ROOT, Workshop

if TYPE_CHECKING:
    from pathlib import Path

COMPAT = "apache-airflow-providers-common-compat"

# What Airflow's constraints and managed platforms are known to pin, by the version of Airflow.
PINNED = {"2.11": ["1.14.0"], "3": ["1.13.1", "1.18.0", "1.19.0"]}

ENVIRONMENT = ENVIRONMENTS[
    f"airflow-{'.'.join(version('apache-airflow').split('.')[:2])}-constrained"
]
EXPECTED = {"airflow-2.11-constrained": "1.14.0", "airflow-3.3-constrained": "1.18.0"}

DAG = """
import os
from datetime import UTC, datetime
from importlib.metadata import version

import airflow_provider_engagement
from airflow.providers.common.compat import sdk
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.transfers import engagement_to_bigquery, engagement_to_gcs
from airflow_provider_engagement.triggers import engagement

assert airflow_provider_engagement.__file__.startswith(os.environ["PYTHONPATH"] + os.sep)
assert "-constrained/" in sdk.__file__
assert version("apache-airflow-providers-common-compat") == os.environ["EXPECTED_COMPAT"]

with sdk.DAG("constrained", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    wanted = {"tweet_ids": "{{ var.value.engagement_tweet_ids }}"}
    thresholds = {"impressions": ">= 0"}
    pull = EngagementTotalsOperator(
        task_id="pull", output_path="{{ var.value.engagement_output }}", **wanted
    )
    poke = EngagementThresholdSensor(task_id="poke", thresholds=thresholds, **wanted)
    deferred = EngagementThresholdSensor(
        task_id="deferred", thresholds=thresholds, deferrable=True, **wanted
    )
    pull >> poke >> deferred
"""


@pytest.mark.parametrize("pinned", [pin for pins in PINNED.values() for pin in pins])
def test_requirements_allow_what_airflow_pins(pinned: str) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    (found,) = re.findall(rf'"({COMPAT}[^"]*)"', text)
    assert pinned in Requirement(found).specifier


@pytest.mark.usefixtures("current_now")
def test_pull_and_sensors_run_with_the_pinned_provider(
    wheel_site: Path, tmp_path: Path, airflow_home: Path
) -> None:
    python = Workshop().python(ENVIRONMENT)
    assert python.exists(), f"run `python -m tools.env {ENVIRONMENT.name}`, once"
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "constrained.py").write_text(DAG)
    shutil.copy(airflow_home / "unused.db", tmp_path / "airflow.db")
    world = World(seed=4, accounts=("acme",), now=NOW)
    until = NOW - timedelta(days=2)
    ids = world.tweets("acme", 5, since=until - timedelta(days=9), until=until)
    output = tmp_path / "counts.jsonl"
    with Simulator(world) as service:
        run(
            *(python, "-m", "airflow", "dags", "test", "constrained"),
            cwd=tmp_path,
            AIRFLOW_CONN_ENGAGEMENT_DEFAULT=json.dumps(service.connection("acme")),
            AIRFLOW_VAR_ENGAGEMENT_OUTPUT=f"file://{output}",
            AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS=json.dumps(ids),
            AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{tmp_path}/airflow.db",
            EXPECTED_COMPAT=EXPECTED[ENVIRONMENT.name],
            PYTHONPATH=str(wheel_site),
            TMPDIR=str(tmp_path),
        )
        requests = len(service.requests)
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert counts(rows) == expected_counts(world, ids, ENDPOINTS["totals"].engagement_types)
    assert requests == 3, "the pull and each sensor send one"
