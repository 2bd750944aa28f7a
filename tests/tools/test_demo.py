"""``make demo`` fills a table and shows it, and removes all that it made."""

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
    """Start the demo as a background job of a script would: SIGINT is ignored."""
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable, "-m", "tools.demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield process
        process.terminate()


def running_in(folder: Path) -> list[str]:
    """Return the ids of the processes whose environment names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


def left_running_in(folder: Path) -> list[str]:
    """Return the ids of those that still run after 10 seconds: a killed process ends late."""
    deadline = time.monotonic() + 10
    while (left := running_in(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def test_demo_pulls_from_the_api_into_a_table(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    output, _ = demo.communicate(timeout=300)

    assert demo.returncode == 0, output
    counts = re.search(r"reporting\.engagement: ([\d,]+) counts of (\d+) Tweets", output)
    assert counts, output
    assert int(counts[1].replace(",", "")) > 1000
    assert 200 < int(counts[2]) < 300
    assert "deleted, protected or suspended" in output
    top = re.findall(
        r"^  (\d+) .*\n    \w.+  https://x\.com/acme/status/(\d+)$", output, re.MULTILINE
    )
    assert len(top) == 5
    assert all(tweet_id == linked for tweet_id, linked in top)
    assert re.search(r"The API failed [1-9]\d* times on purpose", output)
    assert re.search(r"part-00000-\w+\.parquet", output)
    assert [line for line in output.splitlines() if len(line) > 100 and "/" not in line] == []
    assert "\033" not in output
    assert list(tmp_path.iterdir()) == []
    assert left_running_in(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_interrupted_demo_leaves_no_process_and_no_file(
    demo: subprocess.Popen[str], tmp_path: Path
) -> None:
    deadline = time.monotonic() + 60
    while len(running_in(tmp_path)) < 5:  # the demo, its three services, and Airflow
        assert time.monotonic() < deadline
        time.sleep(0.1)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)

    assert demo.returncode == 130, output
    assert "Nothing is left running" in output
    assert list(tmp_path.iterdir()) == []
    assert left_running_in(tmp_path) == []
