"""``make demo`` shows the table, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demo, with its temporary files in the test's folder."""
    with subprocess.Popen(
        [sys.executable, "-m", "tools.demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.terminate()


def running_in(folder: Path) -> list[str]:
    """Return the ids of the processes that have the folder in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


def left_running_in(folder: Path) -> list[str]:
    """Return those that are not gone in seconds: what is killed needs a moment to end."""
    deadline = time.monotonic() + 10
    while (left := running_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def test_the_demo_goes_from_the_api_to_a_table(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    shown, _ = demo.communicate(timeout=300)

    assert demo.returncode == 0, shown
    counts = re.search(r"reporting\.engagement: ([\d,]+) counts of (\d+) Tweets", shown)
    assert counts, shown
    assert int(counts[1].replace(",", "")) > 1000
    assert 200 < int(counts[2]) < 300
    assert "deleted, protected or suspended" in shown
    assert "part-00000.parquet" in shown
    assert [line for line in shown.splitlines() if len(line) > 100 and "/" not in line] == []
    assert "\033" not in shown
    assert list(tmp_path.iterdir()) == []
    assert left_running_in(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_interrupted_demo_leaves_nothing(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    deadline = time.monotonic() + 60
    while len(running_in(tmp_path)) < 5:  # the demo, its three stand-ins, and Airflow
        assert time.monotonic() < deadline
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    shown, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, shown
    assert "Nothing is left running" in shown
    assert list(tmp_path.iterdir()) == []
    assert left_running_in(tmp_path) == []
