"""The shared rate in PostgreSQL: one row per app and endpoint."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.deadline import request_deadline
from airflow_provider_engagement.api.errors import AuthenticationError, PermissionDeniedError
from airflow_provider_engagement.api.rate_stores import postgres_sql as sql
from airflow_provider_engagement.api.rate_stores.base import (
    SLACK,
    Grant,
    RateReport,
    Status,
    no_answer,
    not_installed,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.api.settings import RateStoreSettings

__all__ = ["PostgresStore"]

# Seconds that the server has to accept a connection, and to answer. The client raises a shorter
# time to connect to two seconds.
_CONNECT_TIMEOUT: Final = 2
_TIMEOUT: Final = 1.0

# What the server says when it refuses a connection for good. The client does not pass on its code.
_REFUSED: Final = re.compile(
    r"authentication failed|does not exist|no pg_hba\.conf entry|not permitted|no password supplied"
)


class PostgresStore:
    """The shared rate of one app at one endpoint, in PostgreSQL.

    :param settings: where the server is.
    :param digest: a hash of whose rate it is.
    :raises InvalidArgumentError: if the client is not installed.
    """

    def __init__(self, settings: RateStoreSettings, digest: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise not_installed(settings, "psycopg", "postgres") from None
        self.name = str(settings)
        self._settings = settings
        self._client = psycopg
        self._key = digest
        self._member = secrets.token_hex(8)
        self._connection: Any = None
        self._has_answered = False

    def take(self, contract: float, share: float) -> Grant:
        """Take the next slot."""
        return Grant.from_numbers(
            self._run(sql.TAKE, member=self._member, share=share, contract=contract, slack=SLACK)
        )

    def rejoin(self, share: float, period: float) -> float:
        """Report that this worker was without the store, and is back."""
        return self._run(sql.REJOIN, member=self._member, share=share, period=period)[0]

    def record(self, report: RateReport) -> float:
        """Record what a response says."""
        return self._run(
            sql.RECORD, refused=report.is_refused, wait=report.wait, limit=report.limit
        )[0]

    def status(self) -> Status:
        """Return what the store holds."""
        blocked, limit = self._run(sql.STATUS, default=[0.0, 0.0])
        return Status(blocked, limit or None)

    def close(self) -> None:
        """Close the connection to the server."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _run(
        self, statement: str, default: list[float] | None = None, **values: object
    ) -> list[float]:
        """Run a statement; a connection that the server closed while idle is opened again."""
        is_open = self._connection is not None
        try:
            answer = self._answer(statement, default, values)
        except self._client.Error as error:
            self._drop()
            is_retried = is_open and isinstance(error, self._client.OperationalError)
            failure = None if is_retried else self._explain(error)
        else:
            self._has_answered = True
            return answer
        if failure is None:
            return self._run(statement, default, **values)
        raise failure

    def _answer(
        self, statement: str, default: list[float] | None, values: dict[str, object]
    ) -> list[float]:
        """Return the answer, after creating the table or the row if they are missing."""
        if self._connection is None:
            self._connection = self._connect()
        errors = self._client.errors
        with _deadline(self._connection):
            parameters = {"key": self._key, **values}
            try:
                row = self._connection.execute(statement, parameters).fetchone()
            except errors.UndefinedTable:
                # Two sessions may create it at once, of which one fails.
                with contextlib.suppress(errors.UniqueViolation, errors.DuplicateTable):
                    self._connection.execute(sql.CREATE)
                row = self._connection.execute(statement, parameters).fetchone()
            if row is None and default is not None:
                return default
            if not row[0]:
                row = self._connection.execute(statement, parameters).fetchone()
            answer: list[float] = row[0]
            return answer

    def _connect(self) -> Any:
        held = self._settings
        options: dict[str, Any] = {name: value.reveal() for name, value in held.options}
        return self._client.connect(
            host=held.host,
            port=held.port,
            dbname=held.database or None,
            user=held.login.reveal() if held.login else None,
            password=held.password.reveal() if held.password else None,
            connect_timeout=_CONNECT_TIMEOUT,
            autocommit=True,
            prepare_threshold=None,  # for PgBouncer
            **options,
        )

    def _drop(self) -> None:
        with contextlib.suppress(self._client.Error):
            self.close()
        self._connection = None

    def _explain(self, error: Exception) -> Exception:
        """Return the error to raise. The client's own text is left out: it may hold a login."""
        if not self._has_answered:
            if isinstance(error, self._client.errors.InsufficientPrivilege):
                return PermissionDeniedError(
                    f"{self.name}: its user may not create or use the table {sql.TABLE}.",
                    advice="Let an administrator run this, and grant the user SELECT, INSERT and "
                    f"UPDATE on the table: {sql.CREATE};",
                )
            if _REFUSED.search(str(error)):
                return AuthenticationError(
                    f"{self.name} refuses the connection: its user, password or database is wrong.",
                    advice="Correct the connection's login, password and schema.",
                )
        return no_answer(self.name, error)


@contextlib.contextmanager
def _deadline(connection: Any) -> Iterator[None]:
    """Close a connection that does not answer in time, because the client has no timeout."""
    wire = socket.socket(fileno=os.dup(connection.fileno()))
    with wire, request_deadline(_TIMEOUT) as deadline:
        deadline.attach(wire)
        yield
