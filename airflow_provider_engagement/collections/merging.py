"""Merge rows of the same key, in bounded memory: of each column the last value stands."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Rows = npt.NDArray[np.int64]

__all__ = ["merge_rows"]

_SLICE: Final = 20_000
_BATCHES_IN_MEMORY: Final = 32


def merge_rows(
    read_batch: Callable[[int], pa.RecordBatch], batches: int, *, label: str | None = None
) -> Iterator[list[pa.Array]]:
    """Yield the columns of one row a key, in the keys' first order, some rows at a time.

    Of each column a key has the last value that is not null.

    :param read_batch: reads one of the batches; it is called more than once for each.
    :param batches: the number of batches.
    :param label: a column that belongs to the key, beside ``tweet_id``.
    """
    import numpy as np

    read = lru_cache(_BATCHES_IN_MEMORY)(read_batch)
    lengths, keys, valid = [0], [], []
    labels: dict[str, int] = {}
    for number in range(batches):
        batch = read_batch(number)
        lengths.append(batch.num_rows)
        keys.append(_keys(batch, label, labels))
        valid.append(np.array([column.is_valid() for column in batch.columns]))
    starts = np.cumsum(lengths)
    for rows in _slices(np.concatenate(keys), np.concatenate(valid, axis=1)):
        yield [_take(rows[column], column, read, starts) for column in range(len(rows))]


def _keys(batch: pa.RecordBatch, label: str | None, labels: dict[str, int]) -> Any:
    import numpy as np
    import pyarrow as pa

    ids = batch["tweet_id"].cast(pa.int64()).to_numpy()
    if label is None:
        return ids
    numbers = [labels.setdefault(name, len(labels)) for name in batch[label].to_pylist()]
    keys = np.empty(len(ids), dtype=[("id", np.int64), ("label", np.int64)])
    keys["id"], keys["label"] = ids, numbers
    return keys


def _slices(keys: Any, valid: npt.NDArray[np.bool_]) -> Iterator[list[Rows]]:
    """Yield, for some keys at a time, the row of each column's value; -1 where there is none."""
    import numpy as np

    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    place = order[inverse]
    last = np.full((len(valid), len(first)), -1, dtype=np.int64)
    for column, is_valid in enumerate(valid):
        rows = np.flatnonzero(is_valid)
        last[column, place[rows]] = rows  # of a place that is set twice, the later row stands
    for start in range(0, len(first), _SLICE):
        yield list(last[:, start : start + _SLICE])


def _take(rows: Rows, column: int, read: Callable[[int], pa.RecordBatch], starts: Rows) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    known = np.maximum(rows, 0)
    batch_of = np.searchsorted(starts, known, side="right") - 1
    used, nth = np.unique(batch_of, return_inverse=True)
    arrays = [read(int(number)).column(column) for number in used]
    offsets = np.cumsum([0, *(len(array) for array in arrays)])
    indices = offsets[nth] + known - starts[batch_of]
    return pa.concat_arrays(arrays).take(pa.array(indices, mask=rows < 0))
