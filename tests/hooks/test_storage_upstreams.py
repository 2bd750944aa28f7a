from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

IDS = ["1260294888811347969", "1050118621198921728"]


COMMANDS = """
from airflow.cli.cli_parser import get_parser
for command in (["dags", "reserialize"], ["dags", "test", "upstreams"]):
    arguments = get_parser().parse_args(command)
    arguments.func(arguments)
"""


@pytest.fixture(scope="module")
def values(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what was read of each value that a task has passed on, and of which type it was."""
    folder, results = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("results")
    shutil.copy(airflow_home / "unused.db", folder / "airflow.db")
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", COMMANDS],
        cwd=folder,
        env={
            **os.environ,
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "UPSTREAMS_FOLDER": str(results),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout + ran.stderr)[-6000:]
    return {path.name: json.loads(path.read_text()) for path in results.iterdir()}


@pytest.mark.parametrize("name", ["output", "lists", "map", "concat", "zip", "rows", "set"])
def test_ids_are_read_as_airflow_passes_them_on(values: dict[str, Any], name: str) -> None:
    assert values[name]["ids"] == (sorted(IDS) if name == "set" else IDS)


@pytest.mark.parametrize("name", ["output", "map", "concat", "zip"])
def test_the_results_of_mapped_tasks_are_not_a_list(values: dict[str, Any], name: str) -> None:
    assert values[name]["type"].startswith("airflow.")
