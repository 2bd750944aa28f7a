"""Gather attributes and labels as Arrow tables, in bounded memory."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.tweet_id import (
    FIRST_SNOWFLAKE_MS,
    LAST_SEQUENTIAL_ID,
    TIMESTAMP_SHIFT,
)
from airflow_provider_engagement.collections.merging import merge_rows
from airflow_provider_engagement.collections.schema import attributes_schema, labels_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from airflow_provider_engagement.collections.records import TweetRecord

__all__ = ["AttributeTables"]

_BATCH: Final = 5_000
_IN_MEMORY: Final = 32 * 2**20


class AttributeTables:
    """The attributes and labels of Tweets, while they are read."""

    def __init__(self) -> None:
        self._attributes = _Spool(attributes_schema())
        self._labels = _Spool(labels_schema())
        self._records: list[TweetRecord] = []
        self._label_rows: list[tuple[str, str, str]] = []

    def add(self, record: TweetRecord) -> None:
        """Add what a source says of a Tweet.

        :param record: the Tweet; a later one completes and corrects an earlier one of the same id.
        """
        self._records.append(record)
        if record.labels:
            self._label_rows += [(record.tweet_id, *label) for label in record.labels.items()]
        if len(self._records) >= _BATCH:
            self._flush()

    def finish(self, tweets: int) -> tuple[pa.Table, pa.Table]:
        """Return attributes, one row a Tweet, and labels, one row a Tweet and label.

        :param tweets: how many Tweets there are.
        """
        self._flush()
        if self._attributes.rows == tweets:
            return self._attributes.table(), self._labels.table()
        return self._attributes.merged().table(), self._labels.merged("label").table()

    def _flush(self) -> None:
        if self._records:
            self._attributes.write(_attribute_columns(self._records))
            self._records = []
        if self._label_rows:
            self._labels.write([list(column) for column in zip(*self._label_rows, strict=True)])
            self._label_rows = []


def _attribute_columns(records: list[TweetRecord]) -> list[Any]:
    ids, author_ids, usernames, *others, _ = zip(*records, strict=True)
    return [ids, _urls(ids, usernames), author_ids, usernames, *others, _created_at(ids)]


def _urls(ids: Sequence[str], usernames: Sequence[str | None]) -> list[str]:
    return [
        f"https://x.com/{username or 'i'}/status/{tweet_id}"
        for tweet_id, username in zip(ids, usernames, strict=True)
    ]


def _with_whole_url(columns: list[pa.Array]) -> list[Any]:
    """Return merged attributes with URLs by the merged usernames: the last row may have none."""
    ids, _, author_ids, usernames, *others = columns
    urls = _urls(ids.to_pylist(), usernames.to_pylist())
    return [ids, urls, author_ids, usernames, *others]


def _created_at(ids: tuple[str, ...]) -> Any:
    import numpy as np
    import pyarrow as pa

    numbers = np.array(ids, dtype=np.int64)
    times = (numbers >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS
    return pa.array(times, mask=numbers <= LAST_SEQUENTIAL_ID)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        # JSON can hold half a character, where a text was cut in the middle of an emoji.
        return pa.array([_whole(value) for value in values], kind)


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(each) for each in value]
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


class _Spool:
    """A table on its way: in memory first, then in a temporary file that has no name.

    :param schema: its schema.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.rows = 0
        self._schema = schema
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def write(self, columns: list[Any]) -> None:
        """Append rows.

        :param columns: their columns.
        """
        import pyarrow as pa

        arrays = [
            column.cast(field.type) if isinstance(column, pa.Array) else _array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        batch = pa.record_batch(arrays, schema=self._schema)
        self.rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._writer is None and self._bytes <= _IN_MEMORY:
            self._batches.append(batch)
            return
        if self._writer is None:
            self._spill()
        self._writer.write_batch(batch)

    def _spill(self) -> None:
        import pyarrow as pa

        file = tempfile.TemporaryFile(prefix="engagement-")  # noqa: SIM115 - closed below
        weakref.finalize(self, file.close)  # an error may end the reading before table() does
        self._file = file
        self._writer = pa.ipc.new_file(self._file, self._schema)
        for batch in self._batches:
            self._writer.write_batch(batch)
        self._batches = []

    def merged(self, label: str | None = None) -> _Spool:
        """Return a table with one row a Tweet, or a Tweet and label.

        :param label: the column of the labels.
        """
        import pyarrow as pa

        result = _Spool(self._schema)
        if not self.rows:
            return result
        read_batch, batches = self._batches.__getitem__, len(self._batches)
        if self._file is not None:
            self._writer.close()
            reader = pa.ipc.open_file(self._file)
            read_batch, batches = reader.get_batch, reader.num_record_batches
        for columns in merge_rows(read_batch, batches, label=label):
            result.write(_with_whole_url(columns) if label is None else columns)
        return result

    def table(self) -> pa.Table:
        """Return the table; what lies in the file is mapped, not read."""
        import pyarrow as pa

        if self._file is None:
            return pa.Table.from_batches(self._batches, self._schema)
        self._writer.close()
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self._file.close()
        return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()
