"""The commands of `airflow engagement`, which Airflow 3.2 and later read."""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

from airflow_provider_engagement.cli.options import COMMANDS, DESCRIPTION, EPILOG

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from airflow.cli.cli_config import CLICommand

__all__ = ["get_engagement_cli_commands"]


def get_engagement_cli_commands() -> list[CLICommand]:
    """Return the group ``engagement``; Airflow calls this for every command, so it is light."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    make: Callable[..., Arg] = Arg  # it has no types
    return [
        GroupCommand(
            name="engagement",
            help="Pull counts of the X Enterprise Engagement API",
            description=DESCRIPTION,
            epilog=EPILOG,
            subcommands=[
                ActionCommand(
                    name=command.name,
                    help=command.help,
                    description=command.description,
                    func=functools.partial(_run, command.name),
                    args=[make(option.flags, **option.settings) for option in command.options],
                )
                for command in COMMANDS
            ],
        )
    ]


def _run(command: str, options: Namespace) -> None:
    from airflow_provider_engagement.cli.run import run

    sys.exit(run(command, options))
