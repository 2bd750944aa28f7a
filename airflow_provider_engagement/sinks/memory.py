"""Rows in memory, for results that are small enough."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_provider_engagement.rows.flatten import NO_ROWS
from airflow_provider_engagement.sinks.base import WriteResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MemorySink"]


class MemorySink:
    """Collects the rows of a pull in memory. A ``Sink``, see sinks/base.py."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    @property
    def table(self) -> pa.Table:
        """The rows written so far, in the schema of the long layout."""
        return pa.concat_tables([NO_ROWS, *self._tables])

    def prepare(self) -> None:
        """Do nothing: memory needs no preparation."""

    def write(self, table: pa.Table) -> None:
        """Append some rows."""
        self._tables.append(table)

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - a sink's signature
        """Count the rows."""
        return WriteResult(rows=self.table.num_rows, table=None, uris=(), coverage="")

    def discard(self) -> None:
        """Delete the rows."""
        self._tables.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as objects that JSON can hold; times as ISO 8601 text."""
        return [
            {name: _json_value(value) for name, value in row.items()}
            for table in self._tables
            for row in table.to_pylist()
        ]


def _json_value(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
