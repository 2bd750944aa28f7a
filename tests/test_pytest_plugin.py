"""The pytest plugin works where the wheel is installed, and not the source tree."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest
from run_command import PIP, run
from test_constrained import ENVIRONMENT

from tools.env import ROOT, Workshop

if TYPE_CHECKING:
    from pathlib import Path

PAGE = ROOT / "docs" / "how-to" / "simulator-in-ci.md"

# Where the packages of the other environments are; their .pth files, which name the source tree,
# are not read.
SITES = "import json, sys; print(json.dumps([p for p in sys.path if p.endswith('site-packages')]))"

TESTS = """
import os
import sys

import airflow_provider_engagement
import pytest

STARTED_WITH = set(sys.modules)


def test_the_wheel_is_what_is_tested():
    assert airflow_provider_engagement.__file__.startswith(sys.prefix)


def test_the_plugin_has_imported_nothing():
    assert "airflow" not in STARTED_WITH
    own = {name for name in STARTED_WITH if name.startswith("airflow_provider_engagement")}
    assert own == {"airflow_provider_engagement", "airflow_provider_engagement.testing"}


def test_tests_do_not_share_a_simulator(engagement_simulator, engagement_connection):
    assert engagement_connection == "engagement_default"
    assert engagement_simulator.url in os.environ["AIRFLOW_CONN_ENGAGEMENT_DEFAULT"]
    assert os.environ["AIRFLOW_CONN_ENGAGEMENT_ACME"]
    assert engagement_simulator.requests == []


class TestOwnWorld:
    @pytest.fixture
    def engagement_world(self):
        from airflow_provider_engagement.simulator import World

        return World(accounts=("bolt", "Acme-EU"))

    def test_every_account_has_a_connection(self, engagement_connection):
        names = {name for name in os.environ if name.startswith("AIRFLOW_CONN_ENGAGEMENT")}
        assert {name.rpartition("ENGAGEMENT_")[2] for name in names} == {
            "DEFAULT", "BOLT", "ACME_EU"
        }


def test_connections_end_with_their_test():
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_ENGAGEMENT")]
"""


@pytest.fixture
def python(wheel: Path, tmp_path: Path) -> Path:
    """Make an environment with the wheel, which finds all other packages in the constrained one."""
    constrained = Workshop().python(ENVIRONMENT)
    folder = tmp_path / "environment"
    run(constrained, "-m", "venv", "--without-pip", folder, cwd=tmp_path)
    python = folder / "bin" / "python"
    sites = json.loads(run(constrained, "-c", SITES, cwd=tmp_path))
    (site,) = folder.glob("lib/*/site-packages")
    (site / "packages.pth").write_text("\n".join(sites))
    airflow = folder / "bin" / "airflow"
    airflow.write_text(f"#!{python}\nfrom airflow.__main__ import main\nmain()\n")
    airflow.chmod(0o755)
    run(*PIP, "--python", python, "install", "--no-deps", "--force-reinstall", wheel, cwd=tmp_path)
    return python


@pytest.mark.e2e
def test_a_dag_is_tested_by_the_page_of_the_plugin(
    python: Path, tmp_path: Path, airflow_home: Path
) -> None:
    shutil.copy(airflow_home / "unused.db", tmp_path / "airflow.db")
    blocks = re.findall(
        r"^```python\n# (\S+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    for name, text in [*blocks, ("own/test_fixtures.py", TESTS)]:
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder, passed in (("own", "5 passed"), ("tests", "1 passed")):
        output = run(
            *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder),
            cwd=tmp_path / "project",
            AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "project" / "dags"),
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{tmp_path}/airflow.db",
            PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        )
        assert passed in output
