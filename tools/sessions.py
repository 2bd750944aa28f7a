"""Kills processes by the session that they were started in.

Airflow's tasks and Celery's pool run in process groups of their own, and outlive a parent that is
killed, but they stay in their parent's session. ``python sessions.py`` reads ids of sessions from
its standard input, one a line, and kills all their processes when the input ends: when the process
that holds the other end closes it, or is killed. Linux only, and the standard library only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["Sessions", "kill", "members"]

# The place of the session in /proc/PID/stat, behind the command's name and the state.
_SESSION: Final = 2


class Sessions:
    """A context manager that kills sessions at its end, or when this process is killed."""

    def __init__(self) -> None:
        self._watch: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._watch = subprocess.Popen(  # noqa: S603 - it runs this file
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._watch:
            self._watch.communicate()

    def add(self, leader: int) -> None:
        """Add a session.

        :param leader: the id of the process that leads it.
        """
        if self._watch and self._watch.stdin:
            self._watch.stdin.write(f"{leader}\n")
            self._watch.stdin.flush()


def members(leaders: Collection[int]) -> list[int]:
    """Return the processes of some sessions.

    :param leaders: the ids of the sessions.
    """
    found = []
    for entry in Path("/proc").iterdir():
        # A process can end while it is looked at.
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                _, _, rest = (entry / "stat").read_text().rpartition(") ")
                state, *fields = rest.split()
                if state != "Z" and int(fields[_SESSION]) in leaders:
                    found.append(int(entry.name))
    return found


def kill(leaders: Collection[int]) -> None:
    """Kill the processes of some sessions, and those that they start meanwhile.

    :param leaders: the ids of the sessions.
    """
    while pids := members(leaders):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


if __name__ == "__main__":
    kill({int(line) for line in sys.stdin})
