"""How the owner of an account authorizes the app: OAuth 1.0a in three steps, with a PIN."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from requests_oauthlib import OAuth1

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    InvalidArgumentError,
    ServiceError,
)
from airflow_provider_engagement.api.refusal import refusal
from airflow_provider_engagement.api.settings import Redactor, Secret, checked_url
from airflow_provider_engagement.api.transport import exchange, new_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_engagement.api.errors import EngagementError
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.api.transport import Reply

__all__ = ["OwnerTokens", "PinFlow"]

_MAX_BYTES: Final = 65_536
_REFUSED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class OwnerTokens:
    """The owner's tokens, with which the app reads the counts of the owner's Tweets.

    :param access_token: the token.
    :param access_token_secret: its secret.
    :param account: the owner's handle; None if the service did not say.
    """

    access_token: Secret
    access_token_secret: Secret
    account: str | None


class PinFlow:
    """One authorization: :meth:`begin`, the owner's PIN, :meth:`finish`.

    The endpoints are those that X documents under "PIN-based OAuth", on the host of the
    connection's ``oauth2_endpoint``.

    :param settings: the connection, with the app's key and secret.
    :param on_secret: called with every secret that is received, before it is used.
    :raises AuthenticationError: if the connection does not hold the app's key and secret.
    """

    def __init__(self, settings: Settings, *, on_secret: Callable[[Secret], None]) -> None:
        key, secret = settings.credentials.consumer_key, settings.credentials.consumer_secret
        if not (key and secret):
            msg = "The connection does not hold the app's key and secret."
            raise AuthenticationError(msg, advice="Set login (API key) and password (API secret).")
        self._app = {"client_key": key.reveal(), "client_secret": secret.reveal()}
        parts = urlsplit(checked_url(settings.oauth2_endpoint, name="oauth2_endpoint"))
        self._base = f"{parts.scheme}://{parts.netloc}/oauth"
        self._timeout = settings.timeout
        self._secrets = [*settings.credentials.secrets()]
        self._on_secret = on_secret
        self._session = new_session(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def begin(self) -> str:
        """Ask for a request token.

        :returns: the URL of the page where the owner authorizes the app, and sees a PIN.
        :raises AuthenticationError: if the app's key and secret are not accepted.
        :raises EngagementError: if the service fails or cannot be reached.
        """
        found = self._post(
            "request_token",
            OAuth1(**self._app, callback_uri="oob"),
            refused="The service did not accept the app's key and secret.",
            advice="Check login and password, and that the app allows OAuth 1.0a with a PIN.",
        )
        self._request_token = found["oauth_token"]
        self._request_secret = self._received(found["oauth_token_secret"])
        return f"{self._base}/authorize?{urlencode({'oauth_token': self._request_token})}"

    def finish(self, pin: str) -> OwnerTokens:
        """Exchange the request token and the owner's PIN for the owner's tokens.

        :param pin: what the page showed.
        :raises InvalidArgumentError: if it is not a number.
        :raises AuthenticationError: if the PIN is not accepted.
        :raises EngagementError: if the service fails or cannot be reached.
        """
        digits = pin.strip()
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidArgumentError(
                "The PIN must be the number that the page shows.", advice="Start again."
            )
        auth = OAuth1(
            **self._app,
            resource_owner_key=self._request_token,
            resource_owner_secret=self._request_secret.reveal(),
            verifier=digits,
        )
        found = self._post(
            "access_token",
            auth,
            refused="The service did not accept the PIN.",
            advice="Start again: a PIN is valid once, and for some minutes.",
        )
        return OwnerTokens(
            self._received(found["oauth_token"]),
            self._received(found["oauth_token_secret"]),
            found.get("screen_name"),
        )

    def _post(self, step: str, auth: OAuth1, *, refused: str, advice: str) -> dict[str, str]:
        """Send one step, and return the form with the token and its secret."""
        reply = exchange(
            self._session,
            f"{self._base}/{step}",
            auth=auth,
            timeout=self._timeout,
            max_bytes=_MAX_BYTES,
        )
        form = _form(reply)
        if reply.status != HTTPStatus.OK or form is None:
            raise self._refusal(reply, refused, advice)
        return form

    def _received(self, text: str) -> Secret:
        secret = Secret(text)
        self._secrets.append(secret)
        self._on_secret(secret)
        return secret

    def _refusal(self, reply: Reply, message: str, advice: str) -> EngagementError:
        if reply.status == HTTPStatus.OK:
            return ServiceError(
                f"{self._base} did not send tokens.", advice="Check oauth2_endpoint."
            )
        error = refusal(reply, redact=Redactor(self._secrets))
        if reply.status not in _REFUSED:
            return error
        return AuthenticationError(message, status=reply.status, words=error.words, advice=advice)


def _form(reply: Reply) -> dict[str, str] | None:
    """Return the fields of a form; None if it does not hold a token and its secret."""
    try:
        read = parse_qs(reply.body.decode("ascii"), strict_parsing=True)
    except ValueError:
        return None
    found = {name: values[0] for name, values in read.items()}
    return found if {"oauth_token", "oauth_token_secret"} <= found.keys() else None
