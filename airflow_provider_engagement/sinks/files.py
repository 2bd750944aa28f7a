"""Where the plain operators put their rows: the task's return value, or one file."""

from __future__ import annotations

import shutil
import tempfile
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.hooks.storage import put_file
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.writers import ENDINGS, format_of, open_writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

__all__ = ["FileSink", "RowsSink"]


class RowsSink:
    """Keeps rows in memory, for a result small enough to be returned."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []

    def prepare(self) -> None:
        """There is nothing to check."""

    def write(self, table: pa.Table) -> None:
        """Keep some rows."""
        self._tables.append(table)

    def commit(self, coverage: pa.Table, manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - the summary tells both
        """Count the rows."""
        rows = sum(table.num_rows for table in self._tables)
        return WriteResult(rows=rows, table=None, uris=(), coverage="")

    def discard(self) -> None:
        """Forget the rows."""
        self._tables.clear()

    def rows(self) -> list[dict[str, Any]]:
        """Give the rows as objects that turn into JSON."""
        return [
            {name: _plain(value) for name, value in row.items()}
            for table in self._tables
            for row in table.to_pylist()
        ]


class FileSink:
    """Writes one file, and beside it one that tells what became of every id.

    Both are written on this machine first, so that nothing half-written is ever seen.

    :param uri: where to; its ending says in which format.
    :raises InvalidArgumentError: if no format has that ending.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        try:
            self._format = format_of(uri)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"output_path: {error.message}", advice=error.advice
            ) from None
        self._folder: Path | None = None
        self._rows = 0

    def prepare(self) -> None:
        """Open the file on this machine."""
        self._folder = Path(tempfile.mkdtemp(prefix="engagement-"))
        self._stream = (self._folder / "rows").open("wb")
        self._writer = open_writer(self._stream, arrow_schema(LONG), self._format)

    def write(self, table: pa.Table) -> None:
        """Append some rows."""
        self._writer.write(table)
        self._rows += table.num_rows

    def commit(self, coverage: pa.Table, manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - the summary tells it
        """Put the coverage in place, then the rows."""
        if self._folder is None:
            msg = "A sink is prepared before it is committed."
            raise RuntimeError(msg)
        self._writer.close()
        self._stream.close()
        beside = self._folder / "coverage"
        with beside.open("wb") as stream:
            writer = open_writer(stream, arrow_schema(COVERAGE), self._format)
            writer.write(coverage)
            writer.close()
        ending = ENDINGS[self._format]
        coverage_uri = f"{self._uri.removesuffix(ending)}.coverage{ending}"
        put_file(beside, coverage_uri)
        put_file(self._folder / "rows", self._uri)
        self.discard()
        return WriteResult(rows=self._rows, table=None, uris=(self._uri,), coverage=coverage_uri)

    def discard(self) -> None:
        """Delete what lies on this machine."""
        if self._folder is not None:
            self._stream.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
