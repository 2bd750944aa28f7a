"""Signs requests: OAuth 1.0a with the owner's tokens, or an app-only bearer token."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests_oauthlib import OAuth1

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    InvalidResponseError,
    ServiceError,
)
from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.api.transport import exchange

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import Credentials, Settings

__all__ = ["BearerAuth", "exchange_token", "owner_auth"]

# At DEBUG these log the signed header and the access token.
for _name in ("oauthlib", "requests_oauthlib"):
    logging.getLogger(_name).setLevel(logging.INFO)

# The service has one bearer token for each app, and refuses frequent exchanges (403, code 99). So
# a process exchanges it once.
_EXCHANGED: Final[dict[tuple[str, Secret, Secret], Secret]] = {}
_EXCHANGE_LOCK: Final = threading.Lock()

_MAX_TOKEN_BYTES: Final = 65_536
_REFUSED: Final = frozenset({400, 401, 403})


class BearerAuth(AuthBase):
    """Sends an app-only token as it is: its percent escapes are part of it.

    :param token: the token.
    :raises AuthenticationError: if a header cannot hold it.
    """

    def __init__(self, token: Secret) -> None:
        if not _is_sendable(token.reveal()):
            msg = "The bearer token has characters that a token cannot have."
            raise AuthenticationError(
                msg, advice="Copy it again into bearer_token, in the connection's extra."
            )
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        return request


def _is_sendable(token: str) -> bool:
    """Return whether a header can hold the token: printable ASCII without blanks."""
    return token.isascii() and token.isprintable() and " " not in token


def owner_auth(credentials: Credentials) -> AuthBase:
    """Return what signs requests with the owner's OAuth 1.0a tokens.

    The body is JSON, so it is not part of the signature (RFC 5849, section 3.4.1.3.1).

    :raises AuthenticationError: if the owner's tokens are missing.
    """
    if not (
        credentials.consumer_key
        and credentials.consumer_secret
        and credentials.access_token
        and credentials.access_token_secret
    ):
        msg = "The connection has no tokens of the Tweets' owner."
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


def exchange_token(settings: Settings, session: requests.Session) -> Secret:
    """Exchange the app's key and secret for a bearer token, at most once a process.

    :param settings: the connection.
    :param session: the session to send through.
    :raises AuthenticationError: if the key and secret are missing or not accepted.
    :raises ServiceError: if the token endpoint cannot be reached, or sends no token.
    """
    key, secret = settings.credentials.consumer_key, settings.credentials.consumer_secret
    if not (key and secret):
        msg = f"{Access.PUBLIC} access needs a bearer token, or the app's key and secret."
        raise AuthenticationError(msg, advice="Set bearer_token in the connection's extra.")
    with _EXCHANGE_LOCK:
        known = _EXCHANGED.get((settings.oauth2_endpoint, key, secret))
        if known is None:
            known = _request_token(settings, session, key, secret)
            _EXCHANGED[settings.oauth2_endpoint, key, secret] = known
    return known


def _request_token(
    settings: Settings, session: requests.Session, key: Secret, secret: Secret
) -> Secret:
    try:
        reply = exchange(
            session,
            settings.oauth2_endpoint,
            data={"grant_type": "client_credentials"},
            auth=_basic(key, secret),
            timeout=settings.timeout,
            max_bytes=_MAX_TOKEN_BYTES,
        )
    except ServiceError as error:
        message = f"The token endpoint could not be reached. {error.message}"
        advice = error.advice if not error.retryable else "Check oauth2_endpoint and the network."
        raise ServiceError(message, advice=advice, retryable=error.retryable) from None
    except InvalidResponseError:
        reply = None
    status = reply.status if reply else None
    if reply and status in _REFUSED and _is_json(reply.body):
        msg = "The token endpoint did not accept the app's key and secret."
        raise AuthenticationError(
            msg, status=status, advice="Check login and password, or store a bearer_token."
        )
    token = _bearer_in(reply.body) if reply and status == requests.codes.ok else None
    if token is None:
        msg = "The token endpoint did not send a bearer token."
        raise ServiceError(msg, status=status, advice="Check oauth2_endpoint.")
    return token


def _is_json(body: bytes) -> bool:
    """Return whether a body is JSON or empty: a page of a proxy or firewall is neither."""
    try:
        json.loads(body or b"{}")
    except (ValueError, RecursionError):
        return False
    return True


def _basic(key: Secret, secret: Secret) -> HTTPBasicAuth:
    """Return Basic auth of the percent-encoded pair, as X documents it."""
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
