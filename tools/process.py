"""Runs a command as a child process, and ends it and all its children."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Process", "ProcessFailure", "clean_environment", "launch_command", "run_to_end"]

T = TypeVar("T")

_LAUNCH: Final = Path(__file__).with_name("launch.py")

# The last line of a traceback. Much may be logged after it.
_RAISED: Final = re.compile(r"^[\w.]*(?:Error|Exception|Failure)\b.*", re.MULTILINE)

# Prefixes of the user's own settings, which must not change what is run here.
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
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }
    return {**environment, "NO_PROXY": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}


def launch_command(*command: str | Path) -> list[str | Path]:
    """Return the command with a prefix that ties it to this process.

    The kernel kills it when this process ends (on Linux). It starts with the default SIGINT, also
    where this process ignores that signal.

    :param command: the program and its arguments.
    """
    return [sys.executable, "-I", "-S", _LAUNCH, str(os.getpid()), *command]


class Process:
    """A context manager that runs a command in a process group of its own.

    Leaving the context kills the whole group with SIGKILL, because nothing that runs here has data
    to save. If this process is killed first, the kernel ends the command (on Linux).

    :param command: the program and its arguments.
    :param log: the file that receives the command's output and errors.
    :param environment: variables that are set on top of ``clean_environment()``.
    """

    def __init__(
        self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.command = command
        self.log = log
        self.environment = environment
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._running = subprocess.Popen(  # noqa: S603 - our own commands
                launch_command(*self.command),
                env={**clean_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            # Kill the group even if its leader has ended: its children may still run.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            self._running.wait()

    @property
    def pid(self) -> int:
        """The id of the process and of its group."""
        assert self._running  # noqa: S101 - for the type checker: the context was entered
        return self._running.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code; None while the command runs."""
        return self._running.poll() if self._running else None

    def wait_for(self, poll: Callable[[], T | None], timeout: float = 120) -> T:
        """Call a function until it returns something other than None, and return that.

        :param poll: called every 50 ms.
        :param timeout: the seconds to wait at most.
        :raises ProcessFailure: if the process ends first, or the time is up.
        """
        deadline = time.monotonic() + timeout
        while (found := poll()) is None:
            if self.exit_code is not None:
                raise ProcessFailure(self._describe_failure(f"ended with {self.exit_code}"))
            if time.monotonic() > deadline:
                raise ProcessFailure(self._describe_failure(f"was not ready after {timeout:.0f} s"))
            time.sleep(0.05)
        return found

    def finish(self, timeout: float, failure_text: str = "") -> None:
        """Wait until the command has ended with exit code 0.

        :param timeout: the seconds to wait at most.
        :param failure_text: stop waiting as soon as the log contains this text.
        :raises ProcessFailure: if it ends with another code, the time is up, or its log contains
            ``failure_text``.
        """
        deadline = time.monotonic() + timeout
        while self.exit_code is None:
            if failure_text and failure_text in self.log.read_text(errors="replace"):
                raise ProcessFailure(self._describe_failure("failed"))
            if time.monotonic() > deadline:
                raise ProcessFailure(self._describe_failure(f"was not done after {timeout:.0f} s"))
            time.sleep(0.1)
        if self.exit_code:
            raise ProcessFailure(self._describe_failure(f"ended with {self.exit_code}"))

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        output = self.log.read_text(errors="replace").splitlines()
        return "\n".join(output[-lines:])

    def _describe_failure(self, what: str) -> str:
        """Describe what happened, with the errors and the last lines of the log."""
        raised = dict.fromkeys(_RAISED.findall(self.log.read_text(errors="replace")))
        causes = "".join(f"  {error}\n" for error in raised)
        raises = f"\n\nIt raised:\n{causes}" if causes else ""
        command = " ".join(map(str, self.command))
        return f"{command}\n{what}. The end of its log:\n{self.tail()}{raises}"


def run_to_end(work: Callable[[], int]) -> int:
    """Do the work of a command that starts services, and end them whatever ends the command.

    :param work: called once, in the main thread; returns an exit code.
    :returns: that code, 1 if a process failed, or 130 on Ctrl-C. The reason is printed.
    """
    signal.signal(signal.SIGTERM, _exit)
    # A background job of a script starts with SIGINT ignored, and could not be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return work()
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 130
    except ProcessFailure as failure:
        print(f"\n\n{failure}", file=sys.stderr)
        return 1


def _exit(*_: object) -> NoReturn:
    """Exit on SIGTERM as on an exception, so that all services are stopped."""
    sys.exit(128 + signal.SIGTERM)
