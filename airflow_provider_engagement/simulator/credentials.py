"""The keys and tokens of a world; they hold the characters that clients forget to escape."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import quote

from airflow_provider_engagement.simulator.deterministic import digest, number

__all__ = ["App", "Credentials", "UserToken", "app", "author_id", "request_token", "user_token"]


class Credentials(TypedDict):
    """The keys and tokens that a client needs to send requests for one account."""

    consumer_key: str
    consumer_secret: str
    access_token: str
    access_token_secret: str
    bearer_token: str


@dataclass(frozen=True, slots=True)
class App:
    """The one app that has the contract.

    :param key: its consumer key.
    :param secret: its consumer secret.
    :param bearer: its app-only token. It holds percent escapes, as real ones do: a client
        that decodes them is refused.
    """

    key: str
    secret: str
    bearer: str


@dataclass(frozen=True, slots=True)
class UserToken:
    """The token that an account's owner granted to the app.

    :param account: the handle.
    :param token: the access token.
    :param secret: its secret.
    """

    account: str
    token: str
    secret: str


def app(seed: int) -> App:
    """Return the app's credentials."""
    bearer = "A" * 22 + quote(_secret(seed, "bearer", length=60), safe="")
    return App(
        key=_plain(seed, "consumer key", length=25),
        secret=_secret(seed, "consumer secret", length=50),
        bearer=bearer,
    )


def user_token(seed: int, account: str) -> UserToken:
    """Return an account's token for the app."""
    return UserToken(
        account=account,
        token=f"{author_id(seed, account)}-{_plain(seed, 'token', account, length=40)}",
        secret=_secret(seed, "token secret", account, length=45),
    )


def request_token(seed: int, place: int) -> UserToken:
    """Return a token with which an owner can be asked for access.

    :param place: how many there have been.
    """
    return UserToken(
        account="",
        token=_plain(seed, "request token", place, length=27),
        secret=_secret(seed, "request token secret", place, length=32),
    )


def author_id(seed: int, handle: str) -> int:
    """Return the numeric id of a user."""
    return 1_000_000 + number(seed, "author", handle) % 2_000_000_000


def _secret(*parts: object, length: int) -> str:
    # A signature, Basic authentication and a connection's URI must each escape + / and =. A client
    # that forgets one of them fails here and not only in production.
    return _plain(*parts, length=length - 6) + "+/a/+="


def _plain(*parts: object, length: int) -> str:
    text = base64.b64encode(digest(*parts)).decode()
    return "".join(letter for letter in text if letter.isalnum())[:length]
