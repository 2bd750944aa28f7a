from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from airflow_provider_engagement.sinks import scratch
from airflow_provider_engagement.sinks.scratch import ScratchFolder

MARKER = ".engagement-owner"

OWNER = """
import sys, tempfile, time
from airflow_provider_engagement.sinks.scratch import ScratchFolder
tempfile.tempdir = sys.argv[1]
folder = ScratchFolder()
(folder.path / "part").write_text("rows")
print(folder.path, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make_older(folder: Path) -> None:
    old = time.time() - 3600
    os.utime(folder / MARKER, (old, old))


def abandon(folder: Path) -> Path:
    """Make a folder as a process leaves it that was killed an hour ago."""
    folder.mkdir()
    (folder / MARKER).touch()
    (folder / "part").write_text("rows")
    make_older(folder)
    return folder


def test_a_folder_is_removed_with_its_files() -> None:
    folder = ScratchFolder()
    (folder.path / "part").write_text("rows")
    folder.remove()
    folder.remove()
    assert not folder.path.exists()


def test_the_folder_of_a_killed_process_is_deleted_by_the_next_pull(temporary: Path) -> None:
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", OWNER, str(temporary)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    left = Path(process.stdout.readline().strip())
    make_older(left)
    ScratchFolder().remove()
    assert left.exists(), "its process lives"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ScratchFolder().remove()
    assert list(temporary.iterdir()) == []


def test_a_folder_of_this_process_is_not_deleted() -> None:
    first = ScratchFolder()
    make_older(first.path)
    second = ScratchFolder()
    assert first.path.exists()
    first.remove()
    second.remove()


def test_a_young_folder_is_not_deleted(temporary: Path) -> None:
    left = abandon(temporary / "engagement-left")
    os.utime(left / MARKER)
    ScratchFolder().remove()
    assert left.exists()


def test_folders_of_others_are_not_deleted(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unmarked = abandon(temporary / "engagement-unmarked")
    (unmarked / MARKER).unlink()
    other_name = abandon(temporary / "other")
    target = abandon(temporary / "target")
    (temporary / "engagement-link").symlink_to(target)
    linked_marker = abandon(temporary / "engagement-marker")
    (linked_marker / MARKER).unlink()
    (linked_marker / MARKER).symlink_to(target / MARKER)
    ScratchFolder().remove()
    for folder in (unmarked, other_name, target, linked_marker):
        assert (folder / "part").exists(), folder

    left = abandon(temporary / "engagement-left")
    monkeypatch.setattr(scratch.os, "getuid", lambda: os.geteuid() + 1)
    ScratchFolder().remove()
    assert left.exists(), "it is another user's"
    monkeypatch.undo()


def test_what_cannot_be_deleted_does_not_fail_a_pull(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(temporary / "engagement-left")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(scratch.fcntl, "flock", refuse)
        scratch._sweep(temporary)  # noqa: SLF001 - creating a folder locks its own
    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", refuse)
        ScratchFolder().remove()
