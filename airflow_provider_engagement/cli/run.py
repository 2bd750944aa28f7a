"""Run a command, and turn what it raises into a message and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.cli.exit_codes import ExitCode, code_of
from airflow_provider_engagement.cli.terminal import Terminal

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

__all__ = ["run"]

_MODULES: Final = {
    "plan": "pull_commands",
    "pull": "pull_commands",
    "ids": "ids_command",
    "report": "report_command",
    "check": "check_command",
    "authorize": "authorize_command",
}


def run(command: str, options: Namespace) -> int:
    """Run a command.

    :param command: its name.
    :param options: its arguments.
    :returns: the exit code.
    """
    terminal = Terminal(verbose=options.verbose, quiet=options.quiet)
    try:
        with terminal.logging():
            code = int(_function(command)(options, terminal))
        sys.stdout.flush()
    except EngagementError as error:
        terminal.fail(error)
        return code_of(error)
    except BrokenPipeError:
        _forget_output()
        return ExitCode.PIPE_CLOSED
    except KeyboardInterrupt:
        terminal.say("engagement: interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - Python would print it with the secrets in its text
        terminal.fail_unexpectedly(error)
        return ExitCode.UNEXPECTED
    return code


def _function(command: str) -> Callable[[Namespace, Terminal], int]:
    module = import_module(f"airflow_provider_engagement.cli.{_MODULES[command]}")
    function: Callable[[Namespace, Terminal], int] = getattr(module, command)
    return function


def _forget_output() -> None:
    """Send what is still buffered nowhere: Python would complain of the closed pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
