"""The sensor in Airflow's own task runner and triggerer, with ``airflow dags test``."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ROOT

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
MODES = ("poke", "reschedule", "deferred")

RUN = """
import sys
from airflow.cli.cli_parser import get_parser
for command in (["dags", "reserialize"], *(["dags", "test", dag] for dag in sys.argv[1:])):
    arguments = get_parser().parse_args(command)
    try:
        arguments.func(arguments)
    except SystemExit as ended:
        print("ended with", ended.code)
"""


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory, airflow_home: Path) -> dict[str, Any]:
    """Run the DAGs, and return the state of each task.

    The shipped example runs without its connection.
    """
    folder = tmp_path_factory.mktemp("waiting")
    dags = folder / "dags"
    dags.mkdir()
    shutil.copy(HERE / "dags" / "waiting.py", dags)
    shutil.copy(ROOT / "example_dags" / "engagement_threshold.py", dags)
    shutil.copy(airflow_home / "unused.db", folder / "airflow.db")
    now = datetime.now(UTC)
    world = World(accounts=("acme",), now=now)
    tweets = world.tweets("acme", 4, since=now - timedelta(days=2), until=now - timedelta(days=1))
    with Simulator(world) as service:
        connection = service.connection("acme")
        environment = {
            **os.environ,
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_WRONG_KEYS": json.dumps({**connection, "password": "wrong"}),
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": json.dumps(tweets),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "TMPDIR": str(folder),
            "WAITING_DAG_IDS": ",".join(tweets),
        }
        said = run(environment, folder, "waiting")
        del environment["AIRFLOW_CONN_ENGAGEMENT_DEFAULT"]
        said += run(environment, folder, "engagement_threshold")
    with closing(sqlite3.connect(folder / "airflow.db")) as database:
        rows = database.execute("SELECT dag_id, task_id, state FROM task_instance").fetchall()
    found = {f"{dag}.{task}": state for dag, task, state in rows}
    assert "waiting.mapped_poke" in found, said[-6000:]
    return found


def run(environment: dict[str, str], folder: Path, dag: str) -> str:
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", RUN, dag],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-6000:]
    return ran.stdout


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("upstream", ["mapped", "rows"])
def test_the_output_of_an_upstream_task_is_read(
    states: dict[str, Any], upstream: str, mode: str
) -> None:
    assert states[f"waiting.{upstream}_{mode}"] == "success"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", ["wrong_keys", "no_connection", "misspelt"])
def test_soft_fail_does_not_skip_what_needs_a_change(
    states: dict[str, Any], fault: str, mode: str
) -> None:
    assert states[f"waiting.{fault}_{mode}"] == "failed"


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_skips_what_can_no_longer_be_reached(states: dict[str, Any], mode: str) -> None:
    assert states[f"waiting.unreachable_{mode}"] == "skipped"


def test_the_example_fails_without_its_connection(states: dict[str, Any]) -> None:
    assert states["engagement_threshold.wait_for_likes"] == "failed"
    assert states["engagement_threshold.act"] == "upstream_failed"
