"""The settings of the connection that a command uses, without Airflow where that is possible."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_engagement.hooks.connection import (
    PLAIN_EXTRAS,
    SECRET_EXTRAS,
    ConnectionFields,
    read_settings,
)
from airflow_provider_engagement.hooks.rate_store import RateStoreFields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_engagement.api.settings import Secret, Settings
    from airflow_provider_engagement.hooks.engagement import EngagementHook

__all__ = [
    "VARIABLES",
    "PlainConnection",
    "find_settings",
    "parse_connection",
    "settings_of_environment",
]

_DEFAULT_CONN_ID: Final = "engagement_default"
_PREFIX: Final = "ENGAGEMENT_"

VARIABLES: Final = {
    "login": f"{_PREFIX}CONSUMER_KEY",
    "password": f"{_PREFIX}CONSUMER_SECRET",
    **{name: f"{_PREFIX}{name.upper()}" for name in (*SECRET_EXTRAS, "host", *PLAIN_EXTRAS)},
}
"""The environment variable of each field of a connection."""

_CREDENTIALS: Final = ("login", "password", *SECRET_EXTRAS)


@dataclass(slots=True)
class PlainConnection:
    """A connection's fields, by Airflow's names."""

    conn_type: str = "engagement"
    host: str | None = None
    login: str | None = None
    password: str | None = None
    schema: str | None = None
    port: int | None = None
    extra: str | None = None


def find_settings(conn_id: str | None, *, hide: Callable[[Secret], None]) -> Settings:
    """Return the settings of a connection.

    Airflow is imported only if the connection is not in the environment.

    :param conn_id: an Airflow connection; None for the environment's, or Airflow's default.
    :param hide: called with each of its secrets, before anything can fail.
    :raises AuthenticationError: if it does not exist, or has no credentials.
    :raises InvalidArgumentError: if one of its fields is not allowed.
    """
    found = settings_of_environment(conn_id, hide=hide)
    return found or _settings_of_airflow(conn_id or _DEFAULT_CONN_ID, hide)


def settings_of_environment(
    conn_id: str | None, *, hide: Callable[[Secret], None]
) -> Settings | None:
    """Return the settings that environment variables hold; None if they hold none.

    The parameters and errors are those of :func:`find_settings`.
    """
    if conn_id is None and any(os.environ.get(VARIABLES[name]) for name in _CREDENTIALS):
        return _read("ENGAGEMENT_*", _of_variables(), hide)
    name = conn_id or _DEFAULT_CONN_ID
    text = os.environ.get(f"AIRFLOW_CONN_{name.upper()}", "").strip()
    return _read(name, parse_connection(text), hide) if text else None


def parse_connection(text: str) -> PlainConnection | None:
    """Read a connection as Airflow reads it from an environment variable.

    :param text: a JSON object or a URI.
    :returns: None if it is neither. An error could repeat a secret.
    """
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        return _of_json(text) if text.startswith("{") else _of_uri(text)
    return None


def _of_json(text: str) -> PlainConnection:
    read = json.loads(text)
    extra, port = read.get("extra"), read.get("port")
    return PlainConnection(
        conn_type=read.get("conn_type") or "",
        **{name: read.get(name) for name in ("host", "login", "password", "schema")},
        port=int(port) if port else None,
        extra=extra if isinstance(extra, str) or not extra else json.dumps(extra),
    )


def _of_uri(text: str) -> PlainConnection | None:
    conn_type, separator, rest = text.partition("://")
    if not separator:
        return None
    # engagement://https://key:secret@host is how Airflow writes the protocol of the host.
    protocol, inner, after = rest.partition("://")
    with_protocol = bool(inner) and not set(protocol) & set("@:/?")
    parts = urlsplit(f"//{after if with_protocol else rest}")
    host = unquote(parts.hostname or "")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return PlainConnection(
        conn_type=conn_type,
        host=f"{protocol}://{host}" if with_protocol and host else host,
        login=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        schema=unquote(parts.path[1:]),
        port=parts.port,
        extra=query.get("__extra__") or json.dumps(query),
    )


def _of_variables() -> PlainConnection:
    given = {name: os.environ.get(variable) or None for name, variable in VARIABLES.items()}
    host, login, password = (given.pop(name) for name in ("host", "login", "password"))
    extra = {name: value for name, value in given.items() if value}
    extra.setdefault("account", _DEFAULT_CONN_ID)
    return PlainConnection(host=host, login=login, password=password, extra=json.dumps(extra))


def _read(
    conn_id: str, connection: PlainConnection | None, hide: Callable[[Secret], None]
) -> Settings:
    if connection is None:
        raise ConnectionFields.not_found(conn_id)
    fields = ConnectionFields.read(conn_id, connection)
    if fields.rate_limit_conn_id:
        fields.rate_store = _rate_store(fields.rate_limit_conn_id)
    store = fields.rate_store.secrets if fields.rate_store else ()
    for secret in (*fields.secrets.values(), *store):
        hide(secret)
    return read_settings(conn_id, fields)


def _rate_store(conn_id: str) -> RateStoreFields:
    text = os.environ.get(f"AIRFLOW_CONN_{conn_id.upper()}", "").strip()
    if not text:
        with _airflow() as hook:
            return hook().read_rate_store(conn_id)
    connection = parse_connection(text)
    if connection is None:
        return RateStoreFields(error=RateStoreFields.not_found(conn_id))
    return RateStoreFields.read(conn_id, connection)


def _settings_of_airflow(conn_id: str, hide: Callable[[Secret], None]) -> Settings:
    with _airflow() as hook:
        settings = hook(conn_id).get_settings()
    store = settings.rate_store.secrets() if settings.rate_store else ()
    for secret in (*settings.credentials.secrets(), *store):
        hide(secret)
    return settings


@contextlib.contextmanager
def _airflow() -> Iterator[type[EngagementHook]]:
    # Airflow's loggers may write to the standard output, which is for rows.
    with contextlib.redirect_stdout(sys.stderr):
        from airflow_provider_engagement.compat import read_connections_as_server
        from airflow_provider_engagement.hooks.engagement import EngagementHook

        read_connections_as_server()
        yield EngagementHook
