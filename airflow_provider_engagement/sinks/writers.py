"""Parquet and JSON lines: rows into files, a table at a time.

Writers are given an open binary stream, so they serve a local file and a remote object alike, and
hold no more than one row group in memory.
"""

from __future__ import annotations

import contextlib
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks.jsonl import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
]

ENDINGS: Final = {"parquet": ".parquet", "jsonl": ".jsonl", "jsonl.gz": ".jsonl.gz"}
"""The formats that can be written, each with the ending of its files' names."""

# Large enough that Parquet's dictionaries and compression pay, small enough that a few of these
# in memory are nothing: about 15 MB of the long layout.
ROW_GROUP: Final = 131_072


class FileWriter(Protocol):
    """Writes tables of one schema into one stream."""

    rows: int
    """Rows written so far."""

    @property
    def size(self) -> int:
        """Bytes written so far; what is still buffered is not counted."""

    def write(self, table: pa.Table) -> None:
        """Append a table."""

    def close(self) -> None:
        """Write what is buffered and the format's end. The stream stays open."""


class ParquetWriter:
    """Parquet, compressed with zstd, in row groups of one size whatever the tables' sizes.

    :param stream: where to write.
    :param schema: the schema of every table; what is required in it is required in the file.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._sink = pa.PythonFile(stream, mode="w")
        self._writer = pq.ParquetWriter(self._sink, schema, compression="zstd")
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0

    @property
    def size(self) -> int:
        """Bytes written so far; what is still buffered is not counted."""
        return int(self._sink.tell())

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        self._waiting.append(_conform(table, self._schema))
        self._waiting_rows += table.num_rows
        self.rows += table.num_rows
        if self._waiting_rows >= ROW_GROUP:
            self._flush()

    def close(self) -> None:
        """Write what is buffered and the file's footer."""
        self._flush()
        self._writer.close()
        self._sink.flush()

    def _flush(self) -> None:
        if self._waiting_rows:
            self._writer.write_table(pa.concat_tables(self._waiting), row_group_size=ROW_GROUP)
        self._waiting, self._waiting_rows = [], 0


class JsonLinesWriter:
    """One JSON object a line, each line ended, UTF-8.

    :param stream: where to write.
    :param schema: the schema of every table.
    :param compress: whether to gzip. No time and no name is stored, so that the same rows make
        the same bytes.
    """

    def __init__(self, stream: BinaryIO, schema: pa.Schema, *, compress: bool = False) -> None:
        self.rows = 0
        self._schema = schema
        self._stream = _Counting(stream)
        self._gzip = (
            gzip.GzipFile(filename="", mode="wb", fileobj=self._stream, compresslevel=6, mtime=0)
            if compress
            else None
        )

    @property
    def size(self) -> int:
        """Bytes written so far; what is still buffered is not counted."""
        return self._stream.size

    def write(self, table: pa.Table) -> None:
        """Append a table."""
        out = self._gzip or self._stream
        for lines in json_lines(_conform(table, self._schema)):
            out.write(lines)
        self.rows += table.num_rows

    def close(self) -> None:
        """Write what is buffered and the compressed stream's end."""
        if self._gzip is not None:
            self._gzip.close()


class _Counting:
    """A stream that knows how much went through it: not every stream can tell."""

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
    """Tell a file's format from the ending of its name.

    :param name: a file's name or URI.
    :raises InvalidArgumentError: if no format has that ending.
    """
    for file_format, ending in sorted(ENDINGS.items()):
        if name.endswith(ending):
            return file_format
    message = f"{name!r} does not say what to write."
    raise InvalidArgumentError(message, advice=f"End it in one of {', '.join(ENDINGS.values())}.")


def open_writer(stream: BinaryIO, schema: pa.Schema, file_format: str) -> FileWriter:
    """Start a file of the given format.

    :param stream: an open binary stream. It is not closed by the writer.
    :param schema: the schema of every table to come.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :raises InvalidArgumentError: if there is no such format.
    """
    check_format(file_format)
    if file_format == "parquet":
        return ParquetWriter(stream, schema)
    return JsonLinesWriter(stream, schema, compress=file_format == "jsonl.gz")


def check_format(file_format: str) -> None:
    """Refuse a format that does not exist.

    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    if file_format not in ENDINGS:
        message = f"file_format is {file_format!r}."
        raise InvalidArgumentError(message, advice=f"Use one of {', '.join(ENDINGS)}.")


@dataclass(frozen=True, slots=True)
class Part:
    """A finished file.

    :param path: where it is.
    :param rows: how many rows it holds.
    :param size: its bytes.
    """

    path: Path
    rows: int
    size: int


class RollingWriter:
    """Rows into numbered files, a new one whenever one is large enough.

    :param folder: an existing folder, which gets ``part-00000.parquet`` and so on.
    :param schema: the schema of every table.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param part_bytes: given the finished parts, says how large the next may get.
    :param on_part: is given every part as it is finished, and may move or delete its file.
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
        """Append a table; it may end up in several parts."""
        for start in range(0, table.num_rows, ROW_GROUP):
            part = self._open = self._open or self._begin()
            part.writer.write(table.slice(start, ROW_GROUP))
            if part.writer.size >= part.limit:
                self.close()

    def close(self) -> None:
        """Finish the part in hand, if there is one."""
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
        """Stop writing. The file in hand is left for its folder to be deleted."""
        part, self._open = self._open, None
        if part is not None:
            # A Parquet writer that is not closed would try it later, when it is collected.
            with contextlib.suppress(OSError):
                part.writer.close()
            part.stream.close()

    def _begin(self) -> _OpenPart:
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
    """Order and type the columns as the schema has them; refuse a null where none may be."""
    conformed = table.select(schema.names)
    for field, column in zip(schema, conformed.columns, strict=True):
        if not field.nullable and column.null_count:
            message = f"Column {field.name} is required and holds {column.null_count} nulls."
            raise ValueError(message)
    return conformed.cast(schema)
