"""Read rows back from Parquet and JSON lines files, in bounded memory."""

from __future__ import annotations

import gzip
from typing import IO, TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_engagement.sinks.writers import ROW_GROUP, read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["read_tables"]

_BLOCK_BYTES: Final = 16 * 1024 * 1024


def read_tables(path: Path, schema: pa.Schema, file_format: str) -> Iterator[pa.Table]:
    """Yield the rows of a file that a writer of this package wrote, some at a time.

    :param path: the file.
    :param schema: the schema of the file.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :raises ValueError, OSError, KeyError: if the file does not have that form.
    """
    if file_format == "parquet":
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)
        return
    with path.open("rb") as file:
        stream = gzip.GzipFile(fileobj=file) if file_format == "jsonl.gz" else file
        for block in _blocks_of_lines(stream):
            yield read_table(block, schema, "jsonl")


def _blocks_of_lines(stream: gzip.GzipFile | IO[bytes]) -> Iterator[bytes]:
    while block := stream.read(_BLOCK_BYTES):
        # The block may end within a line, whose rest is added.
        yield block + stream.readline()
