"""`engagement authorize`: get the tokens of an account's owner, for a connection of Airflow."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.pin_flow import PinFlow
from airflow_provider_engagement.api.settings import DEFAULT_HOST, DEFAULT_OAUTH2_ENDPOINT
from airflow_provider_engagement.cli.connection import find_settings
from airflow_provider_engagement.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_engagement.api.pin_flow import OwnerTokens
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.cli.terminal import Terminal

__all__ = ["authorize"]


def authorize(options: Namespace, terminal: Terminal) -> int:
    """Let an owner authorize the app, and print the command that makes the connection.

    The command holds the tokens. It goes to the standard output and nowhere else.

    :param options: the arguments.
    :param terminal: where the URL is shown and the PIN is read.
    :raises EngagementError: if the key, secret or PIN are not accepted.
    """
    settings = find_settings(options.conn_id, hide=terminal.hide)
    with PinFlow(settings, on_secret=terminal.hide) as flow:
        url = flow.begin()
        pin = terminal.ask(
            "Open this page, sign in as the owner of the Tweets, and authorize the app:\n"
            f"    {url}\nPIN: "
        )
        tokens = flow.finish(pin)
    # The one place where the tokens are shown, so that they can be stored.
    print(_command(options.name, settings, tokens))
    return ExitCode.OK


def _command(name: str | None, settings: Settings, tokens: OwnerTokens) -> str:
    held = settings.credentials
    extra = {
        "account": tokens.account or settings.account,
        "access_token": tokens.access_token.reveal(),
        "access_token_secret": tokens.access_token_secret.reveal(),
    }
    if held.bearer_token:
        extra["bearer_token"] = held.bearer_token.reveal()
    if settings.oauth2_endpoint != DEFAULT_OAUTH2_ENDPOINT:
        extra["oauth2_endpoint"] = settings.oauth2_endpoint
    words = ["airflow", "connections", "add", name or f"engagement_{extra['account'].lower()}"]
    words += ["--conn-type", "engagement"]
    if settings.host != DEFAULT_HOST:
        words += ["--conn-host", settings.host]
    for option, secret in (
        ("--conn-login", held.consumer_key),
        ("--conn-password", held.consumer_secret),
    ):
        # One word, because a value may begin with a dash.
        words += [f"{option}={secret.reveal()}"] if secret else []
    return shlex.join([*words, "--conn-extra", json.dumps(extra)])
