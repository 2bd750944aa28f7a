"""Runs a command beside this one, so that nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Process", "ProcessFailure", "clean_environment"]

T = TypeVar("T")

_LAUNCH: Final = Path(__file__).with_name("launch.py")

# The last line of a traceback. Much may be logged after it.
_RAISED: Final = re.compile(r"^[\w.]*(?:Error|Exception|Failure)\b.*", re.MULTILINE)

# What a user has set for other ends, and what would send loopback requests to a proxy.
_FOREIGN: Final = (
    "AIRFLOW",
    "BIGQUERY_",
    "BQEMU_",
    "CLOUDSDK_",
    "GCLOUD",
    "GCP_",
    "GOOGLE_",
    "STORAGE_",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONWARNINGS",
)


class ProcessFailure(Exception):  # noqa: N818 - its text is shown as it is, not its name
    """A process ended, or did not get ready in time. The text has the end of its log."""


def clean_environment() -> dict[str, str]:
    """Return this process's environment without the user's own settings and proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}


class Process:
    """A command in a process group of its own, from entering to leaving.

    It goes down hard when it is left: nothing that is run here holds anything worth a goodbye.
    If this process is killed before it can leave, the kernel ends the command (on Linux).

    :param command: what to run.
    :param log: the file for all that it says.
    :param environment: set for it, beside what is left of ours.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.command = command
        self.log = log
        self.environment = environment
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        launched = [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), *self.command]
        with self.log.open("wb") as log:
            self._running = subprocess.Popen(  # noqa: S603 - our own commands
                launched,
                env={**clean_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            # The group, even where its leader has ended: it may have started others.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._running  # noqa: S101 - for the type checker: it has been entered
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._running.poll() if self._running else None

    def wait_for(self, seen: Callable[[], T | None], timeout: float = 120) -> T:
        """Return what ``seen`` returns, once that is something.

        :raises ProcessFailure: if the process ends first, or takes longer.
        """
        deadline = time.monotonic() + timeout
        while (found := seen()) is None:
            if self.exit_code is not None:
                raise ProcessFailure(self._told(f"ended with {self.exit_code}"))
            if time.monotonic() > deadline:
                raise ProcessFailure(self._told(f"was not ready after {timeout:.0f} s"))
            time.sleep(0.05)
        return found

    def finish(self, timeout: float, unreachable_reason: str = "") -> None:
        """Wait until it has ended well.

        :param timeout: how many seconds it may take.
        :param hopeless: what in its log tells that it will not end well.
        :raises ProcessFailure: if it ends otherwise, takes longer, or is hopeless.
        """
        deadline = time.monotonic() + timeout
        while self.exit_code is None:
            if unreachable_reason and unreachable_reason in self.log.read_text(errors="replace"):
                raise ProcessFailure(self._told("failed"))
            if time.monotonic() > deadline:
                raise ProcessFailure(self._told(f"was not done after {timeout:.0f} s"))
            time.sleep(0.1)
        if self.exit_code:
            raise ProcessFailure(self._told(f"ended with {self.exit_code}"))

    def tail(self, lines: int = 20) -> str:
        """Return the end of what it said."""
        said = self.log.read_text(errors="replace").splitlines()
        return "\n".join(said[-lines:])

    def _told(self, what: str) -> str:
        """Say what became of it, and all that may tell why."""
        raised = dict.fromkeys(_RAISED.findall(self.log.read_text(errors="replace")))
        causes = "".join(f"  {error}\n" for error in raised)
        raises = f"\n\nIt raised:\n{causes}" if causes else ""
        command = " ".join(map(str, self.command))
        return f"{command}\n{what}. The end of its log:\n{self.tail()}{raises}"
