"""Write rows to Parquet and JSON lines files, a table at a time.

A writer takes an open binary stream, so it can write a local file or a remote object. It holds at
most one row group in memory.
"""

from __future__ import annotations

import contextlib
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks.jsonl import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

__all__ = [
    "ENDINGS",
    "FileWriter",
    "JsonLinesWriter",
    "ParquetWriter",
    "Part",
    "RollingWriter",
    "format_of",
    "open_writer",
    "read_table",
    "write_file",
]

ENDINGS: Final = {"parquet": ".parquet", "jsonl": ".jsonl", "jsonl.gz": ".jsonl.gz"}
"""The formats that can be written, and how the names of their files end."""

# About 15 MB of the long layout: large enough for Parquet's dictionaries and compression, small
# enough to hold several in memory.
ROW_GROUP: Final = 131_072


class FileWriter(Protocol):
    """Writes tables of one schema into one stream."""

    rows: int
    """Rows written so far."""

    @property
    def size(self) -> int:
        """Bytes written so far, without what is still buffered."""

    def write(self, table: pa.Table) -> None:
        """Append a table."""

    def close(self) -> None:
        """Write what is buffered, and the end of the file. The stream stays open."""


class ParquetWriter:
    """Writes Parquet, compressed with zstd, in row groups of the same size.

    :param stream: where to write.
    :param schema: the schema of every table. A required column is required in the file.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._sink = pa.PythonFile(stream, mode="w")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._buffered: list[pa.Table] = []
        self._buffered_rows = 0

    @property
    def size(self) -> int:
        """Bytes written so far, without what is still buffered."""
        return int(self._sink.tell())

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        self._buffered.append(_conform(table, self._schema))
        self._buffered_rows += table.num_rows
        self.rows += table.num_rows
        if self._buffered_rows >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is buffered, and the file's footer."""
        self._flush()
        self._writer.close()
        self._sink.flush()

    def _flush(self) -> None:
        if self._buffered_rows:
            self._writer.write_table(pa.concat_tables(self._buffered), row_group_size=ROW_GROUP)
        self._buffered, self._buffered_rows = [], 0


class JsonLinesWriter:
    """Writes one JSON object a line, in UTF-8. Every line ends in a newline.

    :param stream: where to write.
    :param schema: the schema of every table.
    :param compress: whether to gzip. No time and no name is stored, so that the same rows make
        the same bytes.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema, *, compress: bool = False) -> None:
        self.rows = 0
        self._schema = schema
        self._stream = _CountingStream(stream)
        self._gzip = (
            gzip.GzipFile(filename="", mode="wb", fileobj=self._stream, compresslevel=6, mtime=0)
            if compress
            else None
        )

    @property
    def size(self) -> int:
        """Bytes written so far, without what is still buffered."""
        return self._stream.size

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        out = self._gzip or self._stream
        for lines in json_lines(_conform(table, self._schema)):
            out.write(lines)
        self.rows += table.num_rows

    def close(self) -> None:
        """Write what is buffered, and the end of the gzip stream."""
        if self._gzip is not None:
            self._gzip.close()


class _CountingStream:
    """Counts the bytes written, because not every stream has a position."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = 0

    def write(self, data: bytes | memoryview) -> int:
        self._stream.write(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        self._stream.flush()


def format_of(name: str) -> str:
    """Return a file's format, from the ending of its name.

    :param name: a file's name or URI.
    :raises InvalidArgumentError: if no format has that ending.
    """
    for file_format, ending in sorted(ENDINGS.items()):
        if name.endswith(ending):
            return file_format
    message = f"{name!r} does not end in a known file format."
    raise InvalidArgumentError(message, advice=f"End it in one of {', '.join(ENDINGS.values())}.")


def open_writer(stream: BinaryIO, schema: pa.Schema, file_format: str) -> FileWriter:
    """Open a writer of the given format.

    :param stream: an open binary stream. The writer does not close it.
    :param schema: the schema of every table.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :raises InvalidArgumentError: if the format does not exist.
    """
    check_format(file_format)
    if file_format == "parquet":
        return ParquetWriter(stream, schema)
    return JsonLinesWriter(stream, schema, compress=file_format == "jsonl.gz")


def read_table(data: bytes, schema: pa.Schema, file_format: str) -> pa.Table:
    """Read a whole file that a writer of this module wrote.

    :param data: the file's bytes.
    :param schema: the schema of the file.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :raises ValueError: if the file does not have that form.
    """
    if file_format == "parquet":
        return pq.read_table(pa.BufferReader(data)).select(schema.names).cast(schema)
    text = gzip.decompress(data) if file_format == "jsonl.gz" else data
    if not text:
        return schema.empty_table()
    options = pj.ParseOptions(
        explicit_schema=_json_schema(schema), unexpected_field_behavior="ignore"
    )
    return pj.read_json(pa.BufferReader(text), parse_options=options).cast(schema)


def _json_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of JSON lines, where dates and times are text."""
    return pa.schema(
        field.with_type(pa.string() if pa.types.is_temporal(field.type) else field.type)
        for field in schema
    )


def check_format(file_format: str) -> None:
    """Refuse an unknown format.

    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    if file_format not in ENDINGS:
        message = f"file_format is {file_format!r}."
        raise InvalidArgumentError(message, advice=f"Use one of {', '.join(ENDINGS)}.")


@dataclass(frozen=True, slots=True)
class Part:
    """A finished file.

    :param path: the file.
    :param rows: the number of its rows.
    :param size: its size in bytes.
    """

    path: Path
    rows: int
    size: int


def write_file(path: Path, tables: Iterable[pa.Table], schema: pa.Schema, file_format: str) -> Part:
    """Write tables to a local file.

    :param path: the file.
    :param tables: its rows.
    :param schema: the schema of every table.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    """
    with path.open("wb") as stream:
        writer = open_writer(stream, schema, file_format)
        for table in tables:
            writer.write(table)
        writer.close()
    return Part(path, writer.rows, path.stat().st_size)


class RollingWriter:
    """Writes rows to numbered files, and starts the next file when one is large enough.

    :param folder: an existing folder, for ``part-00000.parquet`` and so on.
    :param schema: the schema of every table.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param part_bytes: takes the finished parts, and returns the size in bytes of the next.
    :param on_part: is called with every finished part, and may move or delete its file.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        file_format: str,
        *,
        part_bytes: Callable[[Sequence[Part]], int],
        on_part: Callable[[Part], None] | None = None,
    ) -> None:
        check_format(file_format)
        self.parts: list[Part] = []
        self._folder = folder
        self._schema = schema
        self._format = file_format
        self._part_bytes = part_bytes
        self._on_part = on_part
        self._open: _OpenPart | None = None

    def write(self, table: pa.Table) -> None:
        """Append a table, to one part or several."""
        for start in range(0, table.num_rows, ROW_GROUP):
            part = self._open = self._open or self._open_part()
            part.writer.write(table.slice(start, ROW_GROUP))
            if part.writer.size >= part.limit:
                self.close()

    def close(self) -> None:
        """Finish the open part, if there is one."""
        part, self._open = self._open, None
        if part is None:
            return
        part.writer.close()
        part.stream.close()
        finished = Part(part.path, part.writer.rows, part.path.stat().st_size)
        self.parts.append(finished)
        if self._on_part is not None:
            self._on_part(finished)

    def abandon(self) -> None:
        """Stop writing. The caller deletes the open file with its folder."""
        part, self._open = self._open, None
        if part is not None:
            # A Parquet writer that is not closed would close itself when it is garbage collected.
            with contextlib.suppress(OSError):
                part.writer.close()
            part.stream.close()

    def _open_part(self) -> _OpenPart:
        path = self._folder / f"part-{len(self.parts):05d}{ENDINGS[self._format]}"
        stream = path.open("wb")  # closed by close or abandon
        writer = open_writer(stream, self._schema, self._format)
        return _OpenPart(path, stream, writer, self._part_bytes(self.parts))


@dataclass(frozen=True, slots=True)
class _OpenPart:
    path: Path
    stream: BinaryIO
    writer: FileWriter
    limit: int


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Select and cast the schema's columns, and refuse a null in a required one."""
    conformed = table.select(schema.names)
    for field, column in zip(schema, conformed.columns, strict=True):
        if not field.nullable and column.null_count:
            message = f"Column {field.name} is required and holds {column.null_count} nulls."
            raise ValueError(message)
    return conformed.cast(schema)
