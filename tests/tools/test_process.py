"""Nothing that is started is left behind, however its parent ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.env import ROOT
from tools.process import Process, ProcessFailure, clean_environment

# Starts two commands, one of them with a child, writes their ids, and does as the test says.
PARENT = """
import sys, time
from pathlib import Path
from tools.process import Process

folder, then = Path(sys.argv[1]), sys.argv[2]
with Process(["sleep", "60"], folder / "a.log", {}) as a, \\
     Process(["sh", "-c", "sleep 60 & wait"], folder / "b.log", {}) as b:
    (folder / "pids.part").write_text(f"{a.pid} {b.pid}")
    (folder / "pids.part").rename(folder / "pids")
    if then == "raise":
        raise ValueError
    time.sleep(60 if then == "sleep" else 0)
"""


def start_parent(folder: Path, then: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    """Start a parent with two children; return it, and their ids."""
    parent = subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", PARENT, folder, then], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while not (folder / "pids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return parent, [int(pid) for pid in (folder / "pids").read_text().split()]


def is_running(pid: int) -> bool:
    """Tell whether a process runs: one that has ended, but nobody has asked about, does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until_gone(*pids: int) -> None:
    """Fail where a process is there after 5 seconds."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("then", ["leave", "raise"])
def test_nothing_is_left_when_the_parent_ends(tmp_path: Path, then: str) -> None:
    parent, children = start_parent(tmp_path, then)
    assert parent.wait(20) == (1 if then == "raise" else 0)
    wait_until_gone(*children)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs prctl")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_parent_is_stopped(tmp_path: Path, by: signal.Signals) -> None:
    parent, children = start_parent(tmp_path, "sleep")
    assert all(map(is_running, children))
    parent.send_signal(by)
    assert parent.wait(20) != 0
    wait_until_gone(*children)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_of_the_command_go_with_it(tmp_path: Path) -> None:
    with Process(["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path / "log", {}) as process:
        grandchild = int(process.wait_for(lambda: process.tail() or None))
        assert is_running(grandchild)
    wait_until_gone(process.pid, grandchild)


def test_one_that_ends_early_shows_the_end_of_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such port >&2; exit 3"]
    with (
        Process(command, tmp_path / "log", {}) as process,
        pytest.raises(ProcessFailure, match=r"ended with 3(.|\n)*no such port"),
    ):
        process.wait_for(lambda: None)


def test_one_that_takes_too_long_says_so(tmp_path: Path) -> None:
    with (
        Process(["sleep", "60"], tmp_path / "log", {}) as process,
        pytest.raises(ProcessFailure, match="not ready after 0 s"),
    ):
        process.wait_for(lambda: None, timeout=0.1)


def test_the_users_own_settings_are_kept_out(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ["AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW_CONN_X", "GOOGLE_APPLICATION_CREDENTIALS"]
    foreign += ["https_proxy", "HTTP_PROXY", "PYTHONPATH", "STORAGE_EMULATOR_HOST"]
    for name in foreign:
        monkeypatch.setenv(name, "mine")
    assert not clean_environment().keys() & set(foreign)
    assert clean_environment()["PATH"] == os.environ["PATH"]
