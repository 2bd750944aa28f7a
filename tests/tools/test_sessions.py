"""All processes of a session end together, also those in process groups of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tools import sessions
from tools.env import ROOT
from tools.process import launch_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# Two children in process groups of their own, as Airflow's tasks are.
CHILDREN = "[subprocess.Popen(['sleep', '60'], process_group=0) for _ in range(2)]"
FAMILY = (sys.executable, "-c", f"import subprocess, time; {CHILDREN}; time.sleep(60)")

# Starts a family, writes its session, and ends as the test says.
PARENT = f"""
import subprocess, sys, time
from pathlib import Path
from tools.sessions import Sessions, members

with Sessions() as sessions:
    leader = subprocess.Popen({FAMILY!r}, start_new_session=True).pid
    sessions.add(leader)
    while len(members({{leader}})) < 3:
        time.sleep(0.02)
    (Path(sys.argv[1]) / "leader.part").write_text(str(leader))
    (Path(sys.argv[1]) / "leader.part").rename(Path(sys.argv[1]) / "leader")
    time.sleep(0 if sys.argv[2] == "leave" else 60)
"""


def test_processes_in_groups_of_their_own_are_killed() -> None:
    with subprocess.Popen(FAMILY, start_new_session=True) as leader:  # noqa: S603 - a fixed command
        while len(sessions.members({leader.pid})) < 3:
            time.sleep(0.02)
        sessions.kill({leader.pid})
        assert sessions.members({leader.pid}) == []
        assert leader.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("then", ["leave", "be killed"])
def test_sessions_end_with_the_process_that_added_them(tmp_path: Path, then: str) -> None:
    parent = subprocess.Popen(  # noqa: S603 - the script above
        launch_command(sys.executable, "-c", PARENT, tmp_path, then),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "leader").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if then == "be killed":
        parent.kill()
    assert parent.wait(20) == (0 if then == "leave" else -signal.SIGKILL)
    while sessions.members({int((tmp_path / "leader").read_text())}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
