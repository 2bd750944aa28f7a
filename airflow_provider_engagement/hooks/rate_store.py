"""Read the Airflow connection that ``rate_limit_conn_id`` names: a Redis or a PostgreSQL server.

Only the connection's fields are read, so the providers of Redis and PostgreSQL are not needed.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.settings import RateStoreSettings, Secret
from airflow_provider_engagement.hooks.connection_errors import not_found

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.api.errors import EngagementError

__all__ = ["RateStoreFields"]

log = logging.getLogger(__name__)

_PORTS: Final = {"redis": 6379, "postgres": 5432}

# The extras that are passed to the clients, by the names that Airflow's own providers use.
_OPTIONS: Final = {
    "redis": (
        "ssl",
        "ssl_ca_certs",
        "ssl_ca_data",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_keyfile",
        "ssl_password",
    ),
    "postgres": (
        "application_name",
        "channel_binding",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "options",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslpassword",
        "sslrootcert",
        "target_session_attrs",
    ),
}


@dataclass(slots=True)
class RateStoreFields:
    """The fields of a store's connection, or why they cannot be read.

    :param secrets: what must be masked in the logs.
    :param settings: where the store is; None if there is an error.
    :param error: raised once the secrets are masked.
    """

    secrets: tuple[Secret, ...] = ()
    settings: RateStoreSettings | None = None
    error: EngagementError | None = None

    @classmethod
    def read(cls, conn_id: str, connection: Any) -> RateStoreFields:
        """Read the fields of a store's connection.

        Nothing is raised while a frame holds the connection: its ``repr`` holds the password, and
        some tracebacks show the variables of their frames.

        :param conn_id: the connection's id.
        :param connection: Airflow's connection.
        """
        password = Secret(connection.password) if connection.password else None
        found = cls((password,) if password else ())
        kind = str(connection.conn_type or "")
        extra = _extra(connection)
        database = _database(kind, connection, extra)
        found.error = _refusal(conn_id, kind, extra, database)
        if found.error is None:
            found.settings = RateStoreSettings(
                conn_id=conn_id,
                kind=kind,
                host=str(connection.host or "localhost"),
                port=int(connection.port or _PORTS[kind]),
                login=Secret(connection.login) if connection.login else None,
                password=password,
                database=database,
                options=tuple(_options(kind, extra or {})),
            )
            found.secrets = found.settings.secrets()
            _warn_of_others(conn_id, kind, extra or {})
        return found

    @classmethod
    def not_found(cls, conn_id: str) -> EngagementError:
        """Return the error for a connection that no secrets backend has.

        :param conn_id: the connection's id.
        """
        return not_found(conn_id, types=" or ".join(_PORTS), names="rate_limit_conn_id")


def _extra(connection: Any) -> dict[str, Any] | None:
    """Return the extra; None if it is not a JSON object."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        return None
    return extra if isinstance(extra, dict) else None


def _database(kind: str, connection: Any, extra: dict[str, Any] | None) -> str:
    number = (extra or {}).pop("db", None) if kind == "redis" else None
    return str(connection.schema or "" if number is None else number)


def _refusal(
    conn_id: str, kind: str, extra: dict[str, Any] | None, database: str
) -> EngagementError | None:
    """Return the error of a connection that cannot be used; None if it can be used."""
    if kind not in _PORTS:
        return InvalidArgumentError(
            f"Connection {conn_id!r}, which rate_limit_conn_id names, is of type {kind!r}.",
            advice=f"It must be of type {' or '.join(_PORTS)}.",
        )
    if extra is None:
        return InvalidArgumentError(f"Connection {conn_id!r}: its extra is not a JSON object.")
    if kind == "redis" and database and not database.isdigit():
        return InvalidArgumentError(
            f"Connection {conn_id!r}: the extra db is {database!r}; it must be the number of a "
            "Redis database."
        )
    if extra.get("iam"):
        return InvalidArgumentError(
            f"Connection {conn_id!r}: the extra iam is set, and logging in with a token of AWS IAM "
            "is not supported for the shared rate.",
            advice="Use a connection with a login and a password.",
        )
    return None


def _options(kind: str, extra: dict[str, Any]) -> Iterable[tuple[str, Secret]]:
    for name in _OPTIONS[kind]:
        value = extra.get(name)
        if value is not None and value != "":
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield name, Secret(text)


def _warn_of_others(conn_id: str, kind: str, extra: dict[str, Any]) -> None:
    unknown = sorted(str(name) for name in extra if name not in _OPTIONS[kind])
    if unknown:
        names = ", ".join(unknown)
        log.warning("Connection %s: the shared rate does not use the extras %s.", conn_id, names)
