"""`engagement check`: test what a connection's credentials can request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_engagement.api.probe import probe
from airflow_provider_engagement.cli.connection import find_settings
from airflow_provider_engagement.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_engagement.cli.terminal import Terminal

__all__ = ["check"]


def check(options: Namespace, terminal: Terminal) -> int:
    """Test a connection, and print what it can request.

    :param options: the arguments.
    :param terminal: where messages go.
    :raises EngagementError: if it can request nothing.
    """
    settings = find_settings(options.conn_id, hide=terminal.hide)
    report = probe(settings, on_secret=terminal.hide)
    print(f"Account {settings.account}, at {settings.host}. {report}")
    return ExitCode.OK
