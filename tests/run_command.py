"""Runs a command to its end, and shows its output if it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

AIRFLOW = (sys.executable, "-m", "airflow")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")


def run(*command: str | Path, cwd: Path | None = None, **settings: str) -> str:
    """Run a command; return its output, or fail with the end of it.

    :param cwd: the folder to run it in; the current one by default.
    :param settings: environment variables, set on top of this process's own.
    """
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=cwd,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout
