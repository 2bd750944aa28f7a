"""``make demo`` shows a table and keeps a report, and removes everything else."""

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
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the demo keeps the report."""
    return tmp_path_factory.mktemp("kept") / "demo"


@pytest.fixture
def demo(tmp_path: Path, kept: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the demo as a background job of a script would: SIGINT is ignored."""
    command = [sys.executable, "-m", "tools.demo", str(kept)]
    with subprocess.Popen(  # noqa: S603 - a fixed program, without a shell
        ["/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command],
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


def test_demo_pulls_from_the_api_and_keeps_a_report(
    demo: subprocess.Popen[str], tmp_path: Path, kept: Path
) -> None:
    output, _ = demo.communicate(timeout=600)

    assert demo.returncode == 0, output
    counts = re.search(r"reporting\.engagement: ([\d,]+) counts of (\d+) Tweets", output)
    assert counts, output
    assert int(counts[1].replace(",", "")) > 1000
    assert 150 < int(counts[2]) < 200
    assert "deleted, protected or suspended" in output
    top = re.findall(
        r"^  (\d+) .*\n    \w.+  https://x\.com/acme/status/(\d+)$", output, re.MULTILINE
    )
    assert len(top) == 5
    assert all(tweet_id == linked for tweet_id, linked in top)
    assert re.search(r"The API failed [1-9]\d* times on purpose", output)
    assert output.endswith(f"  file://{kept}/report.html\n")
    files = {path.name: path.read_text(encoding="utf-8-sig") for path in kept.iterdir()}
    assert files.keys() == {
        "report.html",
        *(f"{name}.csv" for name in ("accounts", "campaigns", "days", "top_tweets")),
    }
    assert "The week of 20" in files["report.html"]
    assert "Rainy days" in files["campaigns.csv"]
    assert files["days.csv"].count("\nacme,20") == 7
    assert all(tweet_id in files["top_tweets.csv"] for tweet_id, _ in top)
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
