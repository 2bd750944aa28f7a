"""The settings of one connection, and secrets that do not show in a repr, log or error."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_engagement.api.spec import Endpoint, EndpointName

__all__ = [
    "DEFAULT_HOST",
    "DEFAULT_OAUTH2_ENDPOINT",
    "MASK",
    "Credentials",
    "RateStoreSettings",
    "Redactor",
    "Secret",
    "Settings",
    "checked_url",
    "is_this_machine",
]

DEFAULT_HOST: Final = "https://data-api.x.com"
DEFAULT_OAUTH2_ENDPOINT: Final = "https://api.x.com/oauth2/token"

MASK: Final = "***"

# Replacing a shorter value would garble ordinary text.
_SHORTEST: Final = 5

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


class Secret:
    """A text that shows as ``***`` everywhere but where :meth:`reveal` is called.

    :param value: the text.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def encoded_variants(self) -> set[str]:
        """Return the text as it is, percent-encoded and in base64.

        Variants that are too short to be distinguished from ordinary text are left out.
        """
        value = self._value
        encoded_variants = {value, quote(value, safe=""), quote(value), unquote(value)}
        # Escapes have either case, and base64 may have its padding or not.
        encoded_variants |= {
            _ESCAPE.sub(lambda escape: escape[0].lower(), form) for form in encoded_variants
        }
        encoded = base64.b64encode(value.encode()).decode()
        encoded_variants |= {encoded, encoded.rstrip("=")}
        return {form for form in encoded_variants if len(form) >= _SHORTEST}

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"'{MASK}'"

    __str__ = __repr__


class Redactor:
    """Removes known secrets from text that comes from outside.

    :param secrets: what to remove, in every encoding.
    """

    def __init__(self, secrets: Iterable[Secret | None]) -> None:
        encoded_variants: set[str] = set()
        for secret in secrets:
            if secret is not None:
                encoded_variants |= secret.encoded_variants()
        # The longest first, because one variant may be part of another.
        self._forms = tuple(
            Secret(form) for form in sorted(encoded_variants, key=len, reverse=True)
        )

    def __call__(self, text: str) -> str:
        """Return the text with ``***`` in place of each secret."""
        for form in self._forms:
            text = text.replace(form.reveal(), MASK)
        return text


@dataclass(frozen=True, slots=True)
class Credentials:
    """The app's keys, and the tokens of the owner who authorized the app.

    :param consumer_key: the API key of the app that X enabled for this API.
    :param consumer_secret: its secret.
    :param access_token: the owner's OAuth 1.0a token; None for app-only access.
    :param access_token_secret: its secret.
    :param bearer_token: the app-only token; None to exchange the key and secret for one.
    """

    consumer_key: Secret | None = None
    consumer_secret: Secret | None = None
    access_token: Secret | None = None
    access_token_secret: Secret | None = None
    bearer_token: Secret | None = None

    def __post_init__(self) -> None:
        if bool(self.access_token) != bool(self.access_token_secret):
            given = "access_token" if self.access_token else "access_token_secret"
            msg = f"The connection holds {given} without the other."
            raise AuthenticationError(
                msg, advice="Set both access_token and access_token_secret, or neither."
            )
        if not (self.has_app or self.bearer_token):
            msg = "The connection holds neither the app's key and secret nor a bearer token."
            raise AuthenticationError(
                msg,
                advice="Set login (API key) and password (API secret), and for private counts "
                "the owner's access_token and access_token_secret in the extra.",
            )
        if self.access_token and not self.has_app:
            msg = "The connection holds the owner's tokens without the app's key and secret."
            raise AuthenticationError(
                msg, advice="Set login (API key) and password (API secret) as well."
            )

    @property
    def has_app(self) -> bool:
        """Whether the connection holds the app's key and secret."""
        return bool(self.consumer_key and self.consumer_secret)

    @property
    def has_owner(self) -> bool:
        """Whether the connection can request private counts."""
        return bool(self.access_token and self.access_token_secret)

    def secrets(self) -> tuple[Secret, ...]:
        """Return every secret that it holds."""
        held = (
            self.consumer_key,
            self.consumer_secret,
            self.access_token,
            self.access_token_secret,
            self.bearer_token,
        )
        return tuple(secret for secret in held if secret)


@dataclass(frozen=True, slots=True)
class RateStoreSettings:
    """The server through which workers on several machines share the app's rate.

    :param conn_id: the Airflow connection that describes it, for messages.
    :param kind: ``redis`` or ``postgres``.
    :param host: its host name.
    :param port: its port.
    :param login: the user; None for the server's default.
    :param password: the password.
    :param database: the name of the database, or the number of Redis's.
    :param options: what else the client needs, such as TLS; some hold a password.
    """

    conn_id: str
    kind: str
    host: str
    port: int
    login: Secret | None = None
    password: Secret | None = None
    database: str = ""
    options: tuple[tuple[str, Secret], ...] = ()

    def secrets(self) -> tuple[Secret, ...]:
        """Return every secret that it holds."""
        passwords = [value for name, value in self.options if "password" in name]
        return tuple(secret for secret in (self.password, *passwords) if secret)

    def __str__(self) -> str:
        return f"The {self.kind} store of connection {self.conn_id!r} ({self.host}:{self.port})"


@dataclass(frozen=True, slots=True)
class Settings:
    """What a client needs to know of one connection.

    :param credentials: the app's and the owner's.
    :param account: the owner's handle, written to every row.
    :param host: the service's base URL.
    :param oauth2_endpoint: where a key and secret are exchanged for a bearer token.
    :param requests_per_minute: the contract's limit by endpoint. Without one, the service's headers
        set the rate.
    :param max_concurrency: requests in flight at once.
    :param timeout: seconds for one request.
    :param strict_range: refuse a range that the service does not hold completely.
    :param rate_store: through what workers on several machines share the rate; None for a file.
    """

    credentials: Credentials
    account: str
    host: str = DEFAULT_HOST
    oauth2_endpoint: str = DEFAULT_OAUTH2_ENDPOINT
    requests_per_minute: Mapping[EndpointName, float] = field(default_factory=dict, hash=False)
    max_concurrency: int = 8
    timeout: float = 60.0
    strict_range: bool = False
    rate_store: RateStoreSettings | None = None

    def __post_init__(self) -> None:
        checked_url(self.host, name="host")
        checked_url(self.oauth2_endpoint, name="oauth2_endpoint")
        if not 1 <= self.max_concurrency <= 64:  # noqa: PLR2004 - more threads would only wait
            msg = f"max_concurrency is {self.max_concurrency}; it must be from 1 to 64."
            raise InvalidArgumentError(msg)
        if not 0 < self.timeout <= 3600:  # noqa: PLR2004 - an hour
            msg = f"timeout is {self.timeout}; it must be above 0 and at most 3600 seconds."
            raise InvalidArgumentError(msg)
        for endpoint, limit in self.requests_per_minute.items():
            if not limit > 0:
                msg = f"requests_per_minute for {endpoint} is {limit}; it must be above 0."
                raise InvalidArgumentError(msg)

    def url(self, endpoint: Endpoint) -> str:
        """Return the URL of an endpoint.

        :param endpoint: the endpoint.
        """
        return checked_url(self.host, name="host") + endpoint.path

    def redactor(self) -> Redactor:
        """Return a function that removes this connection's secrets from text."""
        return Redactor(self.credentials.secrets())


def checked_url(url: str, *, name: str) -> str:
    """Check a base URL before a credential is sent to it.

    :param url: the URL.
    :param name: the connection field, for the message.
    :returns: the URL without a trailing slash.
    :raises InvalidArgumentError: unless it is https, or http on this machine.
    """
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:  # from its brackets or its port
        readable = False
    if not readable:
        # The value is not shown: it may hold a password.
        msg = f"{name} is not a valid URL; it must be like {DEFAULT_HOST}."
        raise InvalidArgumentError(msg)
    shown = f"{parts.scheme}://{parts.hostname or ''}"
    if "@" in parts.netloc:
        msg = f"{name} must not hold a user name or password; got one before {parts.hostname}."
        raise InvalidArgumentError(msg)
    if parts.query or parts.fragment:
        msg = f"{name} must end with the path; got {shown} with a query or fragment."
        raise InvalidArgumentError(msg)
    if parts.scheme == "https" and parts.hostname:
        return url.rstrip("/")
    if parts.scheme == "http" and is_this_machine(parts.hostname):
        return url.rstrip("/")
    msg = (
        f"{name} is {shown}: only https is allowed, or http to this machine "
        "(localhost, 127.0.0.1, ::1), since credentials are sent there."
    )
    raise InvalidArgumentError(msg)


def is_this_machine(host: str | None) -> bool:
    """Return whether a host name is a loopback name or address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False
