"""Rows in one file, and their coverage in another beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.files import split_uri
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.scratch import ScratchFolder
from airflow_provider_engagement.sinks.writers import ENDINGS, format_of, open_writer, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

__all__ = ["FileSink"]


class FileSink:
    """Writes one file of rows, and ``<name>.coverage.<ending>`` with the status of every id.

    Both are written to a temporary folder first, so that no reader sees a partial file.

    :param uri: the file's URI; its ending (``.parquet``, ``.jsonl``, ``.jsonl.gz``) is its format.
    :param put_file: copies a local file to a URI, whole or not at all.
    :raises InvalidArgumentError: if it has no scheme, or no format has its ending.
    """

    def __init__(self, uri: str, put_file: Callable[[Path, str], None]) -> None:
        self._uri = uri
        self._put_file = put_file
        try:
            split_uri(uri)
            self._format = format_of(uri)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(
                f"output_path: {error.message}", advice=error.advice
            ) from None
        self._scratch: ScratchFolder | None = None
        self._rows = 0

    def prepare(self) -> None:
        """Open a temporary file."""
        self._scratch = ScratchFolder()
        self._stream = (self._scratch.path / "rows").open("wb")
        self._writer = open_writer(self._stream, arrow_schema(LONG), self._format)

    def write(self, table: pa.Table) -> None:
        """Append some rows."""
        self._writer.write(table)
        self._rows += table.num_rows

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - a sink's signature
        """Copy the coverage to its place, then the rows."""
        if self._scratch is None:
            msg = "Call prepare() before commit()."
            raise RuntimeError(msg)
        self._writer.close()
        self._stream.close()
        ending = ENDINGS[self._format]
        coverage_uri = f"{self._uri.removesuffix(ending)}.coverage{ending}"
        path = self._scratch.path / "coverage"
        write_file(path, coverage, arrow_schema(COVERAGE), self._format)
        self._put_file(path, coverage_uri)
        self._put_file(self._scratch.path / "rows", self._uri)
        self.discard()
        return WriteResult(rows=self._rows, table=None, uris=(self._uri,), coverage=coverage_uri)

    def discard(self) -> None:
        """Delete the temporary files."""
        if self._scratch is not None:
            self._stream.close()
            self._scratch.remove()
            self._scratch = None
