"""What a command shows beside its output: messages, a log, progress; and never a secret."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.settings import Redactor
from airflow_provider_engagement.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_provider_engagement.api.settings import Secret

__all__ = ["Terminal"]

_LOGGER: Final = "airflow_provider_engagement"


class Terminal:
    """The standard error of a command.

    :param verbose: whether to log what is done, and to show tracebacks.
    :param quiet: whether to show errors only.
    """

    def __init__(self, *, verbose: bool, quiet: bool) -> None:
        self._verbose = verbose
        self._quiet = quiet
        self._secrets: set[Secret] = set()
        self._redact = Redactor(())
        self._bar: Any = None

    def hide(self, secret: Secret) -> None:
        """Show ``***`` in place of a secret from now on."""
        self._secrets.add(secret)
        self._redact = Redactor(self._secrets)

    def say(self, text: str) -> None:
        """Show a message, unless the command is quiet."""
        if not self._quiet:
            self._write(text)

    def ask(self, question: str) -> str:
        """Return the line that the user enters, also if the command is quiet."""
        print(question, end="", file=sys.stderr, flush=True)
        return sys.stdin.readline()

    def fail(self, error: BaseException) -> None:
        """Show an error; with its traceback if the command is verbose."""
        self._trace(error)
        self._write(f"engagement: {error}")

    def fail_unexpectedly(self, error: BaseException) -> None:
        """Show that an error was not foreseen. Its text may hold anything."""
        self._trace(error)
        advice = "" if self._verbose else " Run the command with --verbose for its traceback."
        self._write(f"engagement: unexpected {type(error).__name__}.{advice}")

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Show the package's log: warnings, and what is done if the command is verbose."""
        logger = logging.getLogger(_LOGGER)
        handler = _Handler(self._write)
        before = logger.level, logger.propagate
        logger.setLevel(self._level)
        # Airflow's handlers may write to the standard output, and do not know all secrets.
        logger.propagate = False
        logger.addHandler(handler)
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.level, logger.propagate = before

    @contextlib.contextmanager
    def progress(self, requests: int) -> Iterator[Callable[[Mapping[str, int | str]], None] | None]:
        """Show a bar on a terminal, and none elsewhere.

        :param requests: how many requests are planned.
        :returns: what takes the progress of a pull; None where no bar is shown.
        """
        if self._quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("Requests"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, redirect_stdout=False) as bar:
            task, self._bar = bar.add_task("requests", total=requests), bar

            def report(done: Mapping[str, int | str]) -> None:
                bar.update(
                    task,
                    completed=int(done["requests_answered"]),
                    total=int(done["requests_planned"]),
                )

            try:
                yield report
            finally:
                self._bar = None

    @contextlib.contextmanager
    def interruptible(self, clean_up: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """End the process at once on Ctrl-C, without waiting for the requests in flight.

        :param clean_up: called before the process ends.
        :returns: what makes Ctrl-C raise :class:`KeyboardInterrupt` again.
        """

        def end(*_: object) -> None:
            self.end_progress()
            clean_up()
            self.say("engagement: interrupted")
            os._exit(ExitCode.INTERRUPTED)

        before = signal.signal(signal.SIGINT, end)

        def restore() -> None:
            signal.signal(signal.SIGINT, before)

        try:
            yield restore
        finally:
            restore()

    def end_progress(self) -> None:
        """Remove the bar, because the output follows."""
        if self._bar is not None:
            self._bar.stop()

    def _trace(self, error: BaseException) -> None:
        if self._verbose:
            self._write("".join(traceback.format_exception(error)).rstrip())

    @property
    def _level(self) -> int:
        if self._quiet:
            return logging.ERROR
        return logging.INFO if self._verbose else logging.WARNING

    def _write(self, text: str) -> None:
        print(self._redact(text), file=sys.stderr, flush=True)


class _Handler(logging.Handler):
    """Passes on each record as a line of text.

    :param write: takes the line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__()
        self._write = write
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self._write(self.format(record))
