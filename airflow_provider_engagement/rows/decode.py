"""Decodes the nested objects of a response into columns, without a Python statement per count.

Objects are read level by level. The keys of all objects of a level become codes into a short list
of distinct names, and the codes of the levels above are repeated to match.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import GroupBy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.query import Grouping

__all__ = ["Counts", "Level", "read_counts"]

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(slots=True)
class Level:
    """One level of all counts.

    :param keys: the distinct keys.
    :param codes: for each count, the place of its key in ``keys``.
    """

    keys: list[str]
    codes: NDArray[np.int32]

    def strings(self) -> pa.Array:
        """Return the key of each count."""
        return pa.array(self.keys, type=pa.string()).take(pa.array(self.codes))

    def keep(self, mask: NDArray[np.bool_]) -> Level:
        """Return the counts for which the mask is true, and only the keys that they use."""
        codes = self.codes[mask]
        used = self._flags(codes)
        renumbered = np.cumsum(used, dtype=np.int32) - 1
        return Level([self.keys[code] for code in np.flatnonzero(used)], renumbered[codes])

    def used(self) -> list[str]:
        """Return the keys that at least one count has."""
        return [self.keys[code] for code in np.flatnonzero(self._flags(self.codes))]

    def _flags(self, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
        flags = np.zeros(len(self.keys), dtype=np.bool_)
        flags[codes] = True
        return flags


@dataclass(slots=True)
class Counts:
    """The counts of one grouping.

    :param levels: by level, the keys of each count.
    :param values: the counts.
    """

    levels: dict[GroupBy, Level]
    values: pa.Array

    def __len__(self) -> int:
        return len(self.values)

    def where(self, name: GroupBy, wanted: Callable[[str], bool]) -> Counts:
        """Return the counts whose key at a level is wanted, and only the keys that they use."""
        level = self.levels[name]
        by_key = np.fromiter(map(wanted, level.keys), dtype=np.bool_, count=len(level.keys))
        # An unwanted key is removed even if no count has it.
        return self if by_key.all() else self._only(by_key[level.codes])

    def keep(self, mask: NDArray[np.bool_]) -> Counts:
        """Return the counts for which the mask is true."""
        return self if mask.all() else self._only(mask)

    def _only(self, mask: NDArray[np.bool_]) -> Counts:
        return Counts(
            {name: level.keep(mask) for name, level in self.levels.items()},
            self.values.filter(pa.array(mask)),
        )


def read_counts(nested: object, grouping: Grouping) -> Counts:
    """Decode one grouping's nested objects.

    Hours without days are a profile of the day. One guide of the service shows dates above such
    hours; they are then read as a level of their own.

    :param nested: the objects, as parsed from JSON.
    :param grouping: its levels.
    :raises InvalidResponseError: if the shape is another, or a count is not a 64-bit integer.
    """
    objects: list[Any] = [nested]
    levels: dict[GroupBy, Level] = {}
    names = list(grouping.group_by)
    while names:
        name = names.pop(0)
        _check_objects(objects, depth=len(levels))
        if name is GroupBy.HOUR and GroupBy.DAY not in grouping.group_by:
            first = next((key for item in objects for key in item), "")
            if GroupBy.DAY not in levels and _DATE.fullmatch(first):
                names.insert(0, name)
                name = GroupBy.DAY
        level, lengths, objects = _one_level(objects)
        for above in levels.values():
            above.codes = np.repeat(above.codes, lengths)
        levels[name] = level
    return Counts(levels, _values(objects))


def _check_objects(objects: Sequence[Any], *, depth: int) -> None:
    kinds = set(map(type, objects)) - {dict}
    if kinds:
        msg = (
            f"A response has {kinds.pop().__name__} where an object of counts was expected, "
            f"{depth} levels deep."
        )
        raise InvalidResponseError(msg)


def _one_level(objects: list[dict[str, Any]]) -> tuple[Level, NDArray[np.int64], list[Any]]:
    """Return the keys of all objects as codes, how many each object has, and their values."""
    lengths = np.fromiter(map(len, objects), dtype=np.int64, count=len(objects))
    below = list(chain.from_iterable(map(dict.values, objects)))
    keys = list(chain.from_iterable(objects))
    first = list(objects[0]) if objects else []
    if keys == first * len(objects):
        # The usual case: every object has the same keys in the same order.
        row = np.arange(len(first), dtype=np.int32)
        return Level(first, np.tile(row, len(objects))), lengths, below
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    numbers = np.fromiter(map(codes.__getitem__, keys), dtype=np.int32, count=len(keys))
    return Level(list(codes), numbers), lengths, below


def _values(values: list[Any]) -> pa.Array:
    """Read counts: text of decimal digits (documented), or bare numbers (seen in one sample)."""
    texts = _texts(values)
    # Arrow also accepts "0x1f" and null. A text with a letter has a byte beyond the digits.
    letters = None if texts is None else texts.buffers()[2]
    beyond = letters is not None and np.frombuffer(letters, np.uint8).max(initial=0) > ord("9")
    if texts is None or texts.null_count or beyond:
        msg = "A response has a count that is not an integer."
        raise InvalidResponseError(msg)
    # Arrow's error holds the text. Suppress it, so that it is not part of our error.
    with suppress(pa.ArrowInvalid):
        return texts.cast(pa.int64())
    msg = "A response has a count that is not a 64-bit integer."
    raise InvalidResponseError(msg)


def _texts(values: list[Any]) -> pa.Array | None:
    """Return counts as text, null where one is not text or an integer; None for broken Unicode."""
    with suppress(pa.ArrowTypeError, pa.ArrowInvalid, UnicodeEncodeError):
        return pa.array(values, type=pa.string())
    with suppress(UnicodeEncodeError):
        return pa.array([_as_text(value) for value in values], type=pa.string())
    return None


def _as_text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None
