"""Commands end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools.env import ROOT
from tools.process import Process, ProcessFailure, clean_environment, launch_command

# Starts two commands, one of them with a child, writes their ids, and ends as the test says.
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
        launch_command(sys.executable, "-c", PARENT, folder, then),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while not (folder / "pids").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return parent, [int(pid) for pid in (folder / "pids").read_text().split()]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until_ended(*pids: int) -> None:
    """Fail if a process still runs after 5 seconds."""
    deadline = time.monotonic() + 5
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("then", ["leave", "raise"])
def test_commands_end_when_the_parent_ends(tmp_path: Path, then: str) -> None:
    parent, children = start_parent(tmp_path, then)
    assert parent.wait(20) == (1 if then == "raise" else 0)
    wait_until_ended(*children)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs prctl")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_commands_end_when_a_signal_ends_the_parent(tmp_path: Path, by: signal.Signals) -> None:
    parent, children = start_parent(tmp_path, "sleep")
    assert all(map(is_running, children))
    parent.send_signal(by)
    assert parent.wait(20) != 0
    wait_until_ended(*children)


# Runs a command that interrupts itself, in a process that ignores SIGINT as a background job does.
INTERRUPTED = """
import signal, sys
from pathlib import Path
from tools.process import Process

assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
with Process(["sh", "-c", "kill -INT $$; sleep 60"], Path(sys.argv[1]), {}) as process:
    while process.exit_code is None:
        pass
    print(process.exit_code)
"""


def test_command_can_be_interrupted_where_the_parent_ignores_sigint(tmp_path: Path) -> None:
    background_job = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]
    ran = subprocess.run(  # noqa: S603 - the script above
        [*background_job, sys.executable, "-c", INTERRUPTED, tmp_path / "log"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ran.stdout.split() == [str(-signal.SIGINT)], ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_of_a_command_end_with_it(tmp_path: Path) -> None:
    with Process(["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path / "log", {}) as process:
        grandchild = int(process.wait_for(lambda: process.tail() or None))
        assert is_running(grandchild)
    wait_until_ended(process.pid, grandchild)


def test_failure_of_a_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo no such port >&2; exit 3"]
    with (
        Process(command, tmp_path / "log", {}) as process,
        pytest.raises(ProcessFailure, match=r"ended with 3(.|\n)*no such port"),
    ):
        process.wait_for(lambda: None)


def test_timeout_says_that_the_command_was_not_ready(tmp_path: Path) -> None:
    with (
        Process(["sleep", "60"], tmp_path / "log", {}) as process,
        pytest.raises(ProcessFailure, match="not ready after 0 s"),
    ):
        process.wait_for(lambda: None, timeout=0.1)


def test_environment_holds_no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ["AIRFLOW__CORE__DAGS_FOLDER", "AIRFLOW_CONN_X", "GOOGLE_APPLICATION_CREDENTIALS"]
    foreign += ["https_proxy", "HTTP_PROXY", "PYTHONPATH", "STORAGE_EMULATOR_HOST"]
    for name in foreign:
        monkeypatch.setenv(name, "mine")
    assert not clean_environment().keys() & set(foreign)
    assert clean_environment()["PATH"] == os.environ["PATH"]
