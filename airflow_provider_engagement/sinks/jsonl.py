"""Convert rows to JSON lines in Arrow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["json_lines"]

# One Arrow string array holds at most 2 GiB; a line has about 600 bytes.
_BATCH_ROWS: Final = 32_768


def json_lines(table: pa.Table) -> Iterator[memoryview]:
    """Convert rows to JSON lines, a batch at a time, without a Python loop over the rows.

    :param table: columns of the types in rows/schema.py.
    :returns: UTF-8 text, in chunks of whole lines.
    """
    for batch in table.to_batches(max_chunksize=_BATCH_ROWS):
        if batch.num_rows:
            yield _batch_lines(batch)


def _batch_lines(batch: pa.RecordBatch) -> memoryview:
    fragments: list[object] = []
    for position, name in enumerate(batch.schema.names):
        fragments.append(f"{',' if position else '{'}{json.dumps(name)}:")
        fragments.append(pc.fill_null(_json_values(batch.column(position)), "null"))
    lines = pc.binary_join_element_wise(*fragments, "}\n", "")
    # An array stores its strings one after the other: a slice of that buffer is the text.
    _, offsets, text = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(text)[ends[lines.offset] : ends[lines.offset + len(lines)]]


def _json_values(values: pa.Array) -> pa.Array:
    """Return each value as JSON text, and nulls as nulls."""
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        return values.cast(pa.string())
    # The other columns hold few distinct values, so convert each distinct value once.
    encoded = values.dictionary_encode()
    return _json_text(encoded.dictionary).take(encoded.indices)


def _json_text(values: pa.Array) -> pa.Array:
    if pa.types.is_string(values.type):
        texts = [json.dumps(value, ensure_ascii=False) for value in values.to_pylist()]
        return pa.array(texts, pa.string())
    if pa.types.is_date(values.type):
        return pc.binary_join_element_wise('"', values.cast(pa.string()), '"', "")
    if pa.types.is_timestamp(values.type):
        # Cast through the integer, so that no time zone database is needed.
        times = values.cast(pa.int64()).cast(pa.timestamp("us")).cast(pa.string())
        times = pc.replace_substring(times, " ", "T")
        times = pc.replace_substring_regex(times, r"\.0+$", "")
        return pc.binary_join_element_wise('"', times, 'Z"', "")
    message = f"Columns of type {values.type} cannot be written as JSON."
    raise TypeError(message)
