"""Settings of an Airflow on SQLite, which imports a module of this name.

Airflow creates each run of a backfill in a savepoint, which first reads and then writes. To SQLite
a savepoint outside of a transaction only reads at first, and if anybody has written since, it may
not write: "database is locked", at once, whatever the timeout. Airflow then answers 503 and
deletes the runs that it has already created, under its scheduler, which ends over that for good.
Where the transaction begins as one that writes, the savepoint waits its turn as it should.
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
    """Begin a transaction that writes, where a savepoint would begin one that reads."""
    database = connection.connection.driver_connection
    if connection.dialect.name == "sqlite" and database and not database.in_transaction:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
