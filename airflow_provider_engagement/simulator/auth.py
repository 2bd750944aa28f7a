"""Authentication: OAuth 1.0a signatures, bearer tokens, and the exchange for a bearer token."""

from __future__ import annotations

import base64
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, unquote, urlsplit

from oauthlib.oauth1.rfc5849 import signature  # type: ignore[import-untyped] # it ships no types

from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.simulator import error_responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_engagement.simulator.credentials import App, UserToken

__all__ = ["Authenticator", "Caller"]

# The seconds that a signature's timestamp may differ from our clock.
_TOLERANCE: Final = 300

_REQUIRED: Final = (
    "oauth_consumer_key",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
    "oauth_timestamp",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated sender of a request.

    :param access: ``"owner"`` (OAuth 1.0a) or ``"public"`` (app-only).
    :param account: the owner's handle; None for app-only access.
    """

    access: Access
    account: str | None = None


@dataclass(frozen=True, slots=True)
class _Signed:
    """A signed request, with the attributes that oauthlib reads."""

    http_method: str
    uri: str
    params: list[tuple[str, str]]
    signature: str


class Authenticator:
    """Checks the credentials of every request.

    :param app: the app that has the contract.
    :param tokens: the tokens that the accounts' owners granted to it.
    :param clock: returns Unix seconds. Timestamps are compared with this clock and not with the
        world's, because clients sign with the real time.
    """

    def __init__(
        self, app: App, tokens: list[UserToken], clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._tokens = {token.token: token for token in tokens}
        self._clock = clock
        self._nonces: dict[tuple[str, str, str], float] = {}
        self._lock = threading.Lock()

    def authenticate(self, method: str, uri: str, authorization: str | None) -> Caller:
        """Return the sender of a request.

        :param method: the HTTP method.
        :param uri: the whole URI, as the client signed it.
        :param authorization: the header.
        :raises ErrorResponse: if the credentials are missing, wrong, stale or used before.
        """
        scheme, _, rest = (authorization or "").partition(" ")
        if scheme.lower() == "oauth":
            return self._signed(method, uri, authorization or "")
        if scheme.lower() == "bearer":
            # Compared without decoding: the percent escapes are part of the token.
            if rest.strip() != self._app.bearer:
                raise error_responses.UNKNOWN_TOKEN.error()
            return Caller(Access.PUBLIC)
        raise error_responses.UNKNOWN_AUTHORIZATION.error()

    def exchange(self, authorization: str | None, body: bytes) -> str:
        """Return the app's bearer token in exchange for its key and secret.

        :param authorization: the header, HTTP Basic with key and secret percent-encoded.
        :param body: the form.
        :raises ErrorResponse: if they are not the app's, or the form asks for something else.
        """
        scheme, _, rest = (authorization or "").partition(" ")
        try:
            pair = base64.b64decode(rest, validate=True).decode()
            form = parse_qs(body.decode())
        except ValueError:  # no Base64, or no text
            raise error_responses.TOKEN_NOT_GRANTED.error() from None
        key, _, secret = pair.partition(":")
        given = (scheme.lower(), unquote(key), unquote(secret), form.get("grant_type"))
        # A secret that is not percent-encoded is refused, as by the real service.
        escaped = not set(pair) & set("+/=")
        wanted = ("basic", self._app.key, self._app.secret, ["client_credentials"])
        if given != wanted or not escaped:
            raise error_responses.TOKEN_NOT_GRANTED.error()
        return self._app.bearer

    def check(
        self,
        method: str,
        uri: str,
        authorization: str | None,
        secret_of: Callable[[str], str | None],
    ) -> dict[str, str]:
        """Return the OAuth parameters of a signed request.

        :param method: the HTTP method.
        :param uri: the whole URI, as the client signed it.
        :param authorization: the header.
        :param secret_of: returns the secret of a token; None if the token is unknown.
        :raises ErrorResponse: if the signature is missing, wrong, stale or used before.
        """
        given = self._parameters(authorization or "")
        if given["oauth_consumer_key"] != self._app.key:
            raise error_responses.UNKNOWN_CONSUMER.error()
        # An empty token pair means the app itself ("two-legged").
        token = given.get("oauth_token")
        secret = secret_of(token) if token else ""
        if secret is None:
            raise error_responses.UNKNOWN_TOKEN.error()
        if not _is_signed_with((self._app.secret, secret), method, uri, authorization or ""):
            raise error_responses.BAD_SIGNATURE.error()
        # Only a valid signature uses up a nonce.
        self._check_fresh(given)
        return given

    def _signed(self, method: str, uri: str, authorization: str) -> Caller:
        given = self.check(method, uri, authorization, self._secret_of)
        token = self._tokens.get(given.get("oauth_token", ""))
        return Caller(Access.OWNER, token.account) if token else Caller(Access.PUBLIC)

    def _secret_of(self, token: str) -> str | None:
        found = self._tokens.get(token)
        return found.secret if found else None

    @staticmethod
    def _parameters(authorization: str) -> dict[str, str]:
        try:
            pairs = signature.collect_parameters(
                headers={"Authorization": authorization}, exclude_oauth_signature=False
            )
        except ValueError:
            raise error_responses.BAD_OAUTH.error(names="the header cannot be read") from None
        given = dict(pairs)
        wrong = [name for name in _REQUIRED if not given.get(name)]
        names = Counter(name for name, _ in pairs)
        wrong += [name for name, times in names.items() if times > 1]
        if wrong:
            raise error_responses.BAD_OAUTH.error(names=", ".join(wrong))
        if given["oauth_signature_method"] != "HMAC-SHA1":
            raise error_responses.BAD_METHOD.error()
        return given

    def _check_fresh(self, given: dict[str, str]) -> None:
        now = self._clock()
        stamp = given["oauth_timestamp"]
        if not (stamp.isascii() and stamp.isdigit() and abs(now - int(stamp)) <= _TOLERANCE):
            raise error_responses.STALE.error()
        key = (stamp, given["oauth_nonce"], given.get("oauth_token", ""))
        with self._lock:
            if key in self._nonces:
                raise error_responses.NONCE_USED.error()
            self._nonces[key] = now + 2 * _TOLERANCE
            # The dict is in the order of arrival, so the oldest nonces come first.
            while self._nonces[oldest := next(iter(self._nonces))] < now:
                del self._nonces[oldest]


def _is_signed_with(secrets: tuple[str, str], method: str, uri: str, authorization: str) -> bool:
    """Return whether a request is signed with the secrets of the app and of the token."""
    headers = {"Authorization": authorization}
    try:
        # The body is JSON, which is not part of the signature (RFC 5849, 3.4.1.3.1).
        query = urlsplit(uri).query
        params = signature.collect_parameters(uri_query=query, headers=headers)
        given = dict(signature.collect_parameters(headers=headers, exclude_oauth_signature=False))
        request = _Signed(method, uri, params, given["oauth_signature"])
        return bool(signature.verify_hmac_sha1(request, *secrets))
    except ValueError:  # the URI cannot be parsed
        return False
