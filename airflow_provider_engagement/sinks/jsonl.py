"""Rows as JSON lines, made in Arrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["json_lines"]

# Strings of one Arrow array end at 2 GiB; a line is some 600 bytes, so this is far below.
_LINES_AT_ONCE: Final = 32_768


def json_lines(table: pa.Table) -> Iterator[memoryview]:
    """Turn rows into JSON lines, some thousands at a time, without a Python loop over them.

    :param table: columns of the types in rows/schema.py.
    :returns: pieces of UTF-8 text, each of whole lines.
    """
    for batch in table.to_batches(max_chunksize=_LINES_AT_ONCE):
        if batch.num_rows:
            yield _joined(batch)


def _joined(batch: pa.RecordBatch) -> memoryview:
    fragments: list[object] = []
    for position, name in enumerate(batch.schema.names):
        fragments.append(f"{',' if position else '{'}{json.dumps(name)}:")
        fragments.append(pc.fill_null(_as_json(batch.column(position)), "null"))
    lines = pc.binary_join_element_wise(*fragments, "}\n", "")
    # The strings of an array lie one behind the other: that is the text, and copies nothing.
    _, offsets, text = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(text)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _as_json(values: pa.Array) -> pa.Array:
    """Give each value as JSON, and nulls as nulls."""
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        return values.cast(pa.string())
    # The rest repeat themselves so much that only what differs is worth converting.
    encoded = values.dictionary_encode()
    return _words(encoded.dictionary).take(encoded.indices)


def _words(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        words = [json.dumps(value, ensure_ascii=False) for value in values.to_pylist()]
        return pa.array(words, pa.string())
    if pa.types.is_date(values.type):
        return pc.binary_join_element_wise('"', values.cast(pa.string()), '"', "")
    if pa.types.is_timestamp(values.type):
        # By way of the bare number, so that no time zone database is needed to say UTC.
        moments = values.cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
        moments = pc.replace_substring(moments, " ", "T")
        moments = pc.replace_substring_regex(moments, r"\.0+$", "")
        return pc.binary_join_element_wise('"', moments, 'Z"', "")
    message = f"Columns of type {values.type} are not written as JSON."
    raise TypeError(message)
