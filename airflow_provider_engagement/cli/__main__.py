"""``engagement``: the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_engagement.cli.parser import build_parser
from airflow_provider_engagement.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    :param argv: the arguments of the command line; None takes those of the process.
    :returns: the exit code, see cli/exit_codes.py.
    """
    options = build_parser().parse_args(argv)
    return run(options.command, options)


if __name__ == "__main__":
    raise SystemExit(main())
