"""Divide a collection into shards, so that several tasks pull it together."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, Self

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.parsing import is_given

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Shard"]

_FORM: Final = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", re.ASCII)
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a collection.

    An id belongs to the shard ``h % count``, where ``h`` is the BLAKE2b digest of 8 bytes of the
    id's decimal text, read as a big-endian number. So each id is in one shard, on every machine,
    whatever other ids the collection holds and in which order.

    :param index: which part, from 0.
    :param count: the number of parts.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, value: object) -> Self | None:
        """Read the parameter ``shard``.

        :param value: such as ``"2/8"``; no value for the whole collection.
        :raises InvalidArgumentError: if it is something else.
        """
        if not is_given(value):
            return None
        found = _FORM.fullmatch(value) if isinstance(value, str) else None
        index, count = map(int, found.groups()) if found else (0, 0)
        if index >= count:
            raise InvalidArgumentError(
                f"shard is {value!r}; it must be text 'i/n' of two whole numbers, with i from 0 to "
                "n - 1.",
                advice='For eight shards: .expand(shard=[f"{i}/8" for i in range(8)]).',
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def name(self) -> str:
        """The shard as a part of a name, such as ``2-of-8``."""
        return f"{self.index}-of-{self.count}"

    def select(self, tweet_ids: Iterable[str]) -> list[str]:
        """Return the ids of this shard, in their order.

        :param tweet_ids: the collection: decimal digits without leading zeros.
        """
        index, count = self.index, self.count
        return [item for item in tweet_ids if _hash(item) % count == index]


def _hash(tweet_id: str) -> int:
    digest = blake2b(tweet_id.encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest, "big")
