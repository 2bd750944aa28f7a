"""The parser of `engagement`."""

from __future__ import annotations

import argparse

from airflow_provider_engagement.cli.options import COMMANDS, DESCRIPTION, EPILOG

__all__ = ["build_parser"]


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    from airflow_provider_engagement import __version__

    parser = argparse.ArgumentParser(prog="engagement", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"engagement {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        own = commands.add_parser(
            command.name, help=command.help, description=command.description, allow_abbrev=False
        )
        for option in command.options:
            own.add_argument(*option.flags, **option.settings)
    return parser
