"""Read an Airflow connection of type ``engagement`` into settings."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)
from airflow_provider_engagement.api.settings import (
    DEFAULT_HOST,
    DEFAULT_OAUTH2_ENDPOINT,
    Credentials,
    Secret,
    Settings,
)
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.collections.parsing import is_given, parse_literal
from airflow_provider_engagement.hooks.connection_errors import not_found

if TYPE_CHECKING:
    from airflow_provider_engagement.hooks.rate_store import RateStoreFields

__all__ = [
    "PLAIN_EXTRAS",
    "SECRET_EXTRAS",
    "ConnectionFields",
    "read_settings",
]

log = logging.getLogger(__name__)

SECRET_EXTRAS = ("access_token", "access_token_secret", "bearer_token")
PLAIN_EXTRAS = (
    "oauth2_endpoint",
    "requests_per_minute",
    "max_concurrency",
    "account",
    "timeout",
    "strict_range",
    "rate_limit_conn_id",
)


@dataclass(slots=True)
class ConnectionFields:
    """The fields of a connection, or why they cannot be read.

    :param secrets: the credentials, by the names of :class:`Credentials`.
    :param plain: all other fields.
    :param error: raised once the secrets are masked.
    :param rate_store: the fields of the connection that ``rate_limit_conn_id`` names.
    """

    secrets: dict[str, Secret] = field(default_factory=dict)
    plain: dict[str, Any] = field(default_factory=dict)
    error: EngagementError | None = None
    rate_store: RateStoreFields | None = None

    @property
    def rate_limit_conn_id(self) -> str:
        """The connection of the shared rate; empty for none."""
        return str(self.plain.get("rate_limit_conn_id") or "").strip()

    @classmethod
    def read(cls, conn_id: str, connection: Any) -> ConnectionFields:
        """Read the fields of a connection.

        Nothing is raised while a frame holds the connection: its ``repr`` holds the password, and
        some tracebacks show the variables of their frames.

        :param conn_id: the connection's id.
        :param connection: Airflow's connection.
        """
        return _read_fields(conn_id, connection)

    @classmethod
    def not_found(cls, conn_id: str) -> EngagementError:
        """Return the error for a connection that no secrets backend has.

        :param conn_id: the connection's id.
        """
        return not_found(conn_id, types="engagement", names="engagement_conn_id")


def _read_fields(conn_id: str, connection: Any) -> ConnectionFields:
    found = ConnectionFields(plain={"host": _base_url(connection)})
    # Not extra_dejson: it reads text that is not JSON as an empty extra.
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        extra = {}
        message = f"Connection {conn_id!r}: its extra is not a JSON object."
        found.error = InvalidArgumentError(message)
    unknown = sorted(map(str, set(extra) - {*SECRET_EXTRAS, *PLAIN_EXTRAS}))
    if unknown:
        # With a misspelt token, the connection would otherwise become app-only without notice.
        log.warning("Connection %s has unknown extra fields: %s.", conn_id, ", ".join(unknown))
    secrets = {name: extra.get(name) for name in SECRET_EXTRAS}
    secrets |= {"consumer_key": connection.login, "consumer_secret": connection.password}
    found.secrets = {name: Secret(str(value).strip()) for name, value in secrets.items() if value}
    found.plain |= {name: extra.get(name) for name in PLAIN_EXTRAS}
    if found.error is None and not any(found.secrets.values()):
        found.error = _empty(conn_id)
    return found


def read_settings(conn_id: str, fields: ConnectionFields) -> Settings:
    """Return the settings that the fields of a connection hold.

    :param conn_id: the connection's id, which is the account where no other is set.
    :param fields: the fields.
    :raises AuthenticationError: if there are no sufficient credentials.
    :raises InvalidArgumentError: if a field is not allowed.
    """
    store = fields.rate_store
    failure = fields.error or (store.error if store else None)
    if failure is not None:
        raise failure
    plain = fields.plain
    try:
        return Settings(
            credentials=Credentials(**fields.secrets),
            account=str(plain.get("account") or conn_id),
            host=str(plain.get("host") or DEFAULT_HOST),
            oauth2_endpoint=str(plain.get("oauth2_endpoint") or DEFAULT_OAUTH2_ENDPOINT),
            requests_per_minute=_limits(plain.get("requests_per_minute")),
            max_concurrency=_whole(plain.get("max_concurrency"), "max_concurrency", 8),
            timeout=_number(plain.get("timeout"), "timeout", 60.0),
            strict_range=_flag(plain.get("strict_range")),
            rate_store=store.settings if store else None,
        )
    except (AuthenticationError, InvalidArgumentError) as error:
        message = f"Connection {conn_id!r}: {error.message}"
        raise type(error)(message, advice=error.advice) from None


def _empty(conn_id: str) -> EngagementError:
    return AuthenticationError(
        f"Connection {conn_id!r} is empty.",
        advice="Set login (API key), password (API secret) and, for private counts, "
        "access_token and access_token_secret in its extra.",
    )


def _base_url(connection: Any) -> str:
    """Return scheme, host and port as one URL: Airflow splits them when it reads a URI."""
    host = str(connection.host or "").strip()
    if not host:
        return ""
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    scheme, _, rest = host.partition("://")
    authority, slash, path = rest.partition("/")
    # Leave out the default port: the app's rate state is found by this URL, however it is written.
    default = (scheme, connection.port) == ("https", 443)
    if connection.port and not default and not re.search(r":\d*$", authority):
        authority = f"{authority}:{connection.port}"
    return f"{scheme}://{authority}{slash}{path}"


def _limits(value: object) -> dict[EndpointName, float]:
    """Read ``requests_per_minute``: a number, or one per endpoint; as text too."""
    if not is_given(value):
        return {}
    if isinstance(value, str):
        value = parse_literal(value)
    if isinstance(value, Mapping):
        unknown = sorted(str(name) for name in value if name not in list(EndpointName))
        if unknown:
            msg = (
                f"requests_per_minute has the keys {', '.join(unknown)}; "
                f"allowed are: {', '.join(EndpointName)}."
            )
            raise InvalidArgumentError(msg)
        return {
            EndpointName(name): _number(limit, f"requests_per_minute for {name}", 0)
            for name, limit in value.items()
        }
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return dict.fromkeys(EndpointName, float(value))
    msg = (
        "requests_per_minute must be a number, or an object with one per endpoint such as "
        '{"totals": 300, "28hr": 60, "historical": 60}.'
    )
    raise InvalidArgumentError(msg)


def _number(value: object, name: str, default: float) -> float:
    if value is None or value == "":
        return default
    try:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            return float(value)
    except ValueError:
        pass
    msg = f"{name} must be a number."
    raise InvalidArgumentError(msg)


def _whole(value: object, name: str, default: int) -> int:
    number = float(_number(value, name, default))
    if not number.is_integer():
        msg = f"{name} is {number}; it must be a whole number."
        raise InvalidArgumentError(msg)
    return int(number)


def _flag(value: object) -> bool:
    return str(value).strip().lower() in {"true", "1", "yes", "on"}
