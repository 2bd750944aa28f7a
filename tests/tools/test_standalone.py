"""``airflow standalone`` leaves nothing running, however its user ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import browser
from tools.env import ROOT

# Starts others that outlive it, as the real one does.
FAKE = f"""#!{sys.executable}
import subprocess, sys, time
others = [subprocess.Popen(["sleep", "300"]) for _ in range(2)]
open(sys.argv[0] + ".pids", "w").write(" ".join(str(other.pid) for other in others))
time.sleep(300)
"""

USER = """
import os, sys, time
from pathlib import Path
from tools import standalone

folder = Path(sys.argv[1])
standalone._BIN = folder
with standalone.Standalone(folder, folder, {}):
    while not (folder / "airflow.pids").exists():
        time.sleep(0.02)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie has ended


@pytest.mark.parametrize("end", ["left", "killed"])
def test_standalone_ends_with_the_process_that_started_it(tmp_path: Path, end: str) -> None:
    fake = tmp_path / "airflow"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    user = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", USER, tmp_path, end],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert user.returncode == (0 if end == "left" else -signal.SIGKILL)
    pids = [int(pid) for pid in (tmp_path / "airflow.pids").read_text().split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_missing_browser_is_reported_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda _: None)
    assert browser.find() is None
    assert browser.main() == 0
    assert "apt-get install chromium chromium-driver" in capsys.readouterr().out
