"""Hashes in place of random numbers: the same on every machine."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Floats", "Ids", "digest", "ids_array", "number", "share", "shares"]

Ids = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]

# SplitMix64's finaliser: two multiplications spread every bit over all others.
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_BITS_DROPPED: Final = np.uint64(11)
_UNIT: Final = 2.0**-53


def digest(*parts: object) -> bytes:
    """Hash some values to 64 bytes.

    :param parts: the values, which are hashed as text, with separators.
    """
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode()).digest()


def number(*parts: object) -> int:
    """Hash some values to an integer of 64 bits."""
    return int.from_bytes(digest(*parts)[:8], "big")


def share(*parts: object) -> float:
    """Hash some values to a number in [0, 1)."""
    return (number(*parts) >> 11) * _UNIT


def ids_array(tweet_ids: Sequence[str]) -> Ids:
    """Return ids as an array of integers; a float cannot hold their 63 bits."""
    return np.array([int(tweet_id) for tweet_id in tweet_ids], dtype=np.uint64)


def shares(ids: Ids, *purpose: object) -> Floats:
    """Hash each id to a number in [0, 1).

    :param ids: the ids.
    :param purpose: the seed and what the numbers are for; each purpose has other numbers.
    """
    mixed = ids ^ np.uint64(number(*purpose))
    # Twice, because ids of one millisecond differ only in a few low bits.
    for _ in range(2):
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
        mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> _BITS_DROPPED).astype(np.float64) * _UNIT
