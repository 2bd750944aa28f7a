"""Where a command writes rows: a file or the standard output, in one of four formats."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv

from airflow_provider_engagement.api.errors import IncompleteDataError, InvalidArgumentError
from airflow_provider_engagement.cli.options import FORMATS
from airflow_provider_engagement.cli.sources import STANDARD_STREAM, file_uri
from airflow_provider_engagement.collections.files import split_uri
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.scratch import ScratchFolder
from airflow_provider_engagement.sinks.writers import open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_engagement.sinks.writers import FileWriter

__all__ = ["CsvWriter", "OutputFile", "OutputSink", "format_for"]

# What spreadsheets compute when a cell starts so.
_FORMULA: Final = r"^[=+\-@\t\r]"


def format_for(name: str, chosen: str | None) -> str:
    """Return the format of an output.

    :param name: a path, a URI, or ``-``.
    :param chosen: the format that the user chose; None to go by the name.
    :raises InvalidArgumentError: if no format has the ending of the name.
    """
    if chosen is not None:
        return chosen
    if name == STANDARD_STREAM:
        return "csv"
    for file_format, ending in FORMATS.items():
        if name.endswith(ending):
            return file_format
    raise InvalidArgumentError(
        f"{name!r} does not end in a known file format.",
        advice=f"End it in one of {', '.join(FORMATS.values())}, or set --format.",
    )


class CsvWriter:
    """Writes CSV in UTF-8: a header, text between quotes, times as ISO 8601 in UTC.

    :param stream: where to write.
    :param schema: the schema of every table.
    :param for_spreadsheet: write ids as ``="123"``, and other text so that it is no formula.
    """

    def __init__(
        self, stream: BinaryIO, schema: pa.Schema, *, for_spreadsheet: bool = False
    ) -> None:
        self.rows = 0
        self._for_spreadsheet = for_spreadsheet
        as_text = [pa.types.is_temporal(field.type) for field in schema]
        self._schema = pa.schema(
            pa.field(field.name, pa.string()) if text else field.remove_metadata()
            for field, text in zip(schema, as_text, strict=True)
        )
        self._writer = pv.CSVWriter(pa.PythonFile(stream, mode="w"), self._schema)

    @property
    def size(self) -> int:
        """Not counted: no part of a file is of a limited size."""
        return 0

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        columns = [self._column(table[field.name], field) for field in self._schema]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self.rows += table.num_rows

    def close(self) -> None:
        """Write what is buffered. The stream stays open."""
        self._writer.close()

    def _column(self, column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
        if pa.types.is_timestamp(column.type):
            return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
        column = column.cast(field.type)
        if not self._for_spreadsheet or not pa.types.is_string(field.type):
            return column
        if field.name == "tweet_id":
            return pc.binary_join_element_wise('="', column, '"', "")
        harmless = pc.binary_join_element_wise("'", column, "")
        return pc.if_else(pc.match_substring_regex(column, _FORMULA), harmless, column)


class OutputFile:
    """One output, which appears whole or not at all.

    :param name: a path, a URI, or ``-`` for the standard output.
    :param schema: the schema of its rows.
    :param file_format: a key of ``FORMATS``.
    :param for_spreadsheet: as for :class:`CsvWriter`.
    """

    def __init__(
        self, name: str, schema: pa.Schema, file_format: str, *, for_spreadsheet: bool = False
    ) -> None:
        self.name = name
        self._schema = schema
        self._format = file_format
        self._for_spreadsheet = for_spreadsheet

    def prepare(self, path: Path) -> None:
        """Open a temporary file, and check that the output can be written.

        :raises InvalidArgumentError: if its folder does not exist, or a terminal would get
            compressed data.
        """
        self._check()
        self._path = path
        self._stream = path.open("wb")
        self.writer = self._open()

    def commit(self) -> None:
        """Put the rows in place.

        :raises IncompleteDataError: if they cannot be written.
        """
        self.writer.close()
        self._stream.close()
        if self.name == STANDARD_STREAM:
            with self._path.open("rb") as reading:
                shutil.copyfileobj(reading, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        from airflow_provider_engagement.hooks.storage import put_file

        try:
            put_file(self._path, file_uri(self.name))
        except OSError as error:
            raise IncompleteDataError(
                f"{self.name} cannot be written: {error.strerror or type(error).__name__}.",
                advice="Nothing was written.",
            ) from None

    def close(self) -> None:
        """Close the temporary file, whatever state it is in."""
        # An open writer would complain when it is deleted.
        with suppress(Exception):
            self.writer.close()
        with suppress(AttributeError):
            self._stream.close()

    def _open(self) -> FileWriter:
        if self._format == "csv":
            return CsvWriter(self._stream, self._schema, for_spreadsheet=self._for_spreadsheet)
        return open_writer(self._stream, self._schema, self._format)

    def _check(self) -> None:
        if self.name == STANDARD_STREAM:
            if self._format in {"parquet", "jsonl.gz"} and sys.stdout.isatty():
                raise InvalidArgumentError(
                    f"{self._format} is not for a terminal.",
                    advice="Write to a file with --output, or to a pipe.",
                )
            return
        scheme, _, path = split_uri(file_uri(self.name))
        if scheme == "file" and (Path(path).is_dir() or not Path(path).parent.is_dir()):
            raise InvalidArgumentError(
                f"{self.name} cannot be written.",
                advice="Name a file, in a folder that exists.",
            )


class OutputSink:
    """Writes rows, and where it is wanted their coverage. A ``Sink``, see sinks/base.py.

    :param output: a path, a URI, or ``-``.
    :param coverage: the same for the status of every id; None for nowhere.
    :param file_format: the format of the rows; None to go by the name of the output.
    :param for_spreadsheet: as for :class:`CsvWriter`.
    :ivar before_output: called once all rows are there, before the output is written.
    """

    def __init__(
        self,
        output: str,
        *,
        coverage: str | None,
        file_format: str | None,
        for_spreadsheet: bool,
    ) -> None:
        chosen = format_for(output, file_format)
        if for_spreadsheet and chosen != "csv":
            raise InvalidArgumentError(f"--spreadsheet is for csv, and the format is {chosen}.")
        options: dict[str, Any] = {"for_spreadsheet": for_spreadsheet}
        self._rows = OutputFile(output, arrow_schema(LONG), chosen, **options)
        self._coverage = None
        if coverage is not None:
            coverage_format = format_for(coverage, None)
            self._coverage = OutputFile(
                coverage, arrow_schema(COVERAGE), coverage_format, **options
            )
        self.before_output: Callable[[], None] = lambda: None
        self._scratch: ScratchFolder | None = None

    def prepare(self) -> None:
        """Open the temporary files."""
        self._scratch = ScratchFolder()
        self._rows.prepare(self._scratch.path / "rows")
        if self._coverage:
            self._coverage.prepare(self._scratch.path / "coverage")

    def write(self, table: pa.Table) -> None:
        """Append some rows."""
        self._rows.writer.write(table)

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - the output has no place for a manifest
        """Put the coverage in place, then the rows."""
        self.before_output()
        if self._coverage:
            for table in coverage:
                self._coverage.writer.write(table)
            self._coverage.commit()
        self._rows.commit()
        self.discard()
        where = "standard output" if self._rows.name == STANDARD_STREAM else self._rows.name
        listed = self._coverage.name if self._coverage else ""
        return WriteResult(self._rows.writer.rows, table=None, uris=(where,), coverage=listed)

    def discard(self) -> None:
        """Delete the temporary files."""
        for output in filter(None, [self._rows, self._coverage]):
            output.close()
        if self._scratch is not None:
            self._scratch.remove()
            self._scratch = None
