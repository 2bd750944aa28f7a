"""Errors for a connection that cannot be read: missing, unreadable, or not available now."""

from __future__ import annotations

import os

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)

__all__ = ["not_found", "unavailable"]


def not_found(conn_id: str, *, types: str, names: str) -> EngagementError:
    """Return the error for a connection that no secrets backend has.

    :param conn_id: the connection's id.
    :param types: the types that it may have, for the advice.
    :param names: the setting that holds its id, for the advice.
    """
    variable = _variable(conn_id)
    if variable is not None:
        return _unreadable(variable)
    return AuthenticationError(
        f"Connection {conn_id!r} does not exist.",
        advice=f"Create one of type {types}, or set {names}.",
    )


def unavailable(conn_id: str, failure: Exception) -> EngagementError:
    """Return the error for a connection that a secrets backend failed to return.

    :param conn_id: the connection's id.
    :param failure: what the backend raised. Its text may hold a secret, so only its type is logged.
    """
    variable = _variable(conn_id)
    if variable is not None:
        return _unreadable(variable)
    return EngagementError(
        f"Connection {conn_id!r} cannot be read now: the secrets backend raised "
        f"{type(failure).__name__}.",
        advice="The task will be retried. Check the secrets backend if this lasts.",
        retryable=True,
    )


def _unreadable(variable: str) -> EngagementError:
    return InvalidArgumentError(
        f"The environment variable {variable} is set, but cannot be read as a connection.",
        advice="It must hold a JSON object or a URI.",
    )


def _variable(conn_id: str) -> str | None:
    """Return the environment variable that Airflow reads the connection from, if it is set."""
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    return name if os.environ.get(name) else None
