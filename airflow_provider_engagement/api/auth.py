"""How a request is signed: OAuth 1.0a with the owner's tokens, or an app-only bearer token."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from airflow_provider_engagement.api.deadline import request_deadline
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    InvalidResponseError,
    ServiceError,
)
from airflow_provider_engagement.api.secret import Secret
from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.api.transport import read_body

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import Credentials, Settings

__all__ = ["BearerAuth", "exchange", "owner_auth"]

# At DEBUG these print the signed header and the access token.
for _name in ("oauthlib", "requests_oauthlib"):
    logging.getLogger(_name).setLevel(logging.INFO)

# The service hands out one bearer token an app and dislikes being asked often (403, code 99), so
# a process asks once.
_EXCHANGED: Final[dict[tuple[str, Secret, Secret], Secret]] = {}
_EXCHANGE_LOCK: Final = threading.Lock()

_LONGEST_TOKEN_ANSWER: Final = 65_536


class BearerAuth(AuthBase):
    """Sends an app-only token, verbatim: its percent escapes are part of it.

    :param token: the token.
    :raises AuthenticationError: if it is none that a header can hold.
    """

    def __init__(self, token: Secret) -> None:
        if not _is_sendable(token.reveal()):
            msg = "The bearer token holds characters that no token has."
            raise AuthenticationError(
                msg, advice="Copy it anew into bearer_token, in the connection's extra."
            )
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def _is_sendable(token: str) -> bool:
    """Tell whether a token is of characters that a header may hold, and ends nothing in it."""
    return token.isascii() and token.isprintable() and " " not in token


def owner_auth(credentials: Credentials) -> AuthBase:
    """Give what signs a request in the name of the Tweets' owner.

    The body is JSON and so no part of the signature (RFC 5849, section 3.4.1.3.1).

    :raises AuthenticationError: if the owner's tokens are missing.
    """
    if not (
        credentials.consumer_key
        and credentials.consumer_secret
        and credentials.access_token
        and credentials.access_token_secret
    ):
        msg = "The connection holds no tokens of the Tweets' owner."
        raise AuthenticationError(
            msg, advice="Set access_token and access_token_secret in the connection's extra."
        )
    auth: AuthBase = OAuth1(
        client_key=credentials.consumer_key.reveal(),
        client_secret=credentials.consumer_secret.reveal(),
        resource_owner_key=credentials.access_token.reveal(),
        resource_owner_secret=credentials.access_token_secret.reveal(),
    )
    return auth


def exchange(settings: Settings, session: requests.Session) -> Secret:
    """Exchange the app's key and secret for a bearer token, at most once a process.

    :raises AuthenticationError: if the key and secret are missing or not accepted.
    :raises ServiceError: if the token endpoint cannot be reached or does not make sense.
    """
    key, secret = settings.credentials.consumer_key, settings.credentials.consumer_secret
    if not (key and secret):
        msg = f"{Access.PUBLIC} access needs a bearer token, or the app's key and secret."
        raise AuthenticationError(msg, advice="Set bearer_token in the connection's extra.")
    with _EXCHANGE_LOCK:
        known = _EXCHANGED.get((settings.oauth2_endpoint, key, secret))
        if known is None:
            known = _ask_for_token(settings, session, key, secret)
            _EXCHANGED[settings.oauth2_endpoint, key, secret] = known
    return known


def _ask_for_token(
    settings: Settings, session: requests.Session, key: Secret, secret: Secret
) -> Secret:
    try:
        with (
            request_deadline(settings.timeout) as watch,
            session.post(
                settings.oauth2_endpoint,
                data={"grant_type": "client_credentials"},
                auth=_basic(key, secret),
                timeout=settings.timeout,
                allow_redirects=False,
                stream=True,
            ) as response,
        ):
            status = response.status_code
            body = read_body(response, max_bytes=_LONGEST_TOKEN_ANSWER)
            if watch.is_up:
                raise requests.Timeout  # an answer that was cut may look whole
    except InvalidResponseError:
        body = b""
    except requests.RequestException as error:
        reason = type(error).__name__
        msg = f"The token endpoint could not be reached ({reason})."
        raise ServiceError(msg, advice="Check oauth2_endpoint and the network.") from None
    if status in {400, 401, 403}:
        msg = "The token endpoint did not accept the app's key and secret."
        raise AuthenticationError(
            msg, status=status, advice="Check login and password, or store a bearer_token."
        )
    token = _bearer_in(body) if status == requests.codes.ok else None
    if token is None:
        msg = "The token endpoint did not answer with a bearer token."
        raise ServiceError(msg, status=status, advice="Check oauth2_endpoint.")
    return token


def _basic(key: Secret, secret: Secret) -> HTTPBasicAuth:
    """Give Basic auth of the percent-encoded pair, as X documents it."""
    quoted = (quote(part.reveal(), safe="") for part in (key, secret))
    return HTTPBasicAuth(*quoted)


def _bearer_in(body: bytes) -> Secret | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or str(document.get("token_type")).lower() != "bearer":
        return None
    token = document.get("access_token")
    return Secret(token) if isinstance(token, str) and token and _is_sendable(token) else None
