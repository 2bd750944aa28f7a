"""Settings of Airflow on SQLite; Airflow imports a module of this name.

Airflow creates each run of a backfill in a savepoint, which first reads and then writes. In SQLite
a savepoint outside a transaction takes only a read lock at first. If another connection writes in
between, the write fails with "database is locked" at once, whatever the timeout. Airflow then
answers 503 and deletes the created runs, and its scheduler crashes. With a write lock from the
beginning the savepoint waits for its turn.
https://github.com/apache/airflow/issues/66726
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event
from sqlalchemy.engine import Engine

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@event.listens_for(Engine, "savepoint")
def begin_to_write(connection: Connection, _: str) -> None:
    """Begin a transaction with a write lock before a savepoint that is outside a transaction."""
    database = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and database and not database.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
