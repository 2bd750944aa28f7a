"""Tweet ids on their way in: from a list, from what a template renders, from a file."""

from __future__ import annotations

import gzip
import io
import zlib
from typing import IO, TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import parse_tweet_id
from airflow_provider_engagement.collections.parsing import parse_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["is_uri", "read_ids", "tweet_ids_from_file", "tweet_ids_from_value"]

_GZIP_MAGIC: Final = b"\x1f\x8b"
_BOM: Final = "\ufeff"
_HEADERS: Final = frozenset({"tweet_id", "tweet_ids", "id", "post_id"})
_LONGEST_LINE: Final = 4096


def is_uri(value: object) -> bool:
    """Tell whether ``tweet_ids`` names a file of ids rather than holding them."""
    return isinstance(value, str) and "://" in value


def tweet_ids_from_value(value: object) -> list[str]:
    """Read the ids that a parameter holds, each once, in their first order.

    :param value: ids as text or numbers, in any form that :func:`parse_list` reads.
    :raises InvalidArgumentError: naming the place of the first one that is no id.
    """
    ids = parse_list(value, name="tweet_ids")
    return read_ids((item, f"tweet_ids[{index}]") for index, item in enumerate(ids))


def tweet_ids_from_file(file: IO[bytes], *, name: str) -> list[str]:
    """Read a file of ids: one a line, plain or gzip, with or without a header.

    Several ids on a line may stand between commas or blanks; blank lines count for nothing.

    :param file: the open file.
    :param name: what to call it in an error.
    :raises InvalidArgumentError: if it cannot be read, with the line's number and never its
        content.
    """
    return read_ids(_numbered(file, name=name))


def read_ids(items: Iterable[tuple[object, str]]) -> list[str]:
    """Read pairs of an id and of its place, each id once, in their first order."""
    return list(dict.fromkeys(parse_tweet_id(item, where=where) for item, where in items))


def _numbered(file: IO[bytes], *, name: str) -> Iterator[tuple[object, str]]:
    number = 0
    try:
        for number, line in enumerate(_lines(file), start=1):
            if len(line) > _LONGEST_LINE:
                msg = (
                    f"{name}, line {number} is longer than {_LONGEST_LINE} characters. "
                    "A file of ids holds one a line."
                )
                raise InvalidArgumentError(msg)
            text = line.removeprefix(_BOM) if number == 1 else line
            parts = [part.strip("\"'") for part in text.replace(",", " ").split()]
            if number == 1 and parts and parts[0].lower() in _HEADERS:
                continue
            for part in parts:
                yield part, f"{name}, line {number}"
    except (UnicodeDecodeError, zlib.error, EOFError, gzip.BadGzipFile):
        msg = (
            f"{name} cannot be read after line {number}: it is neither UTF-8 text nor a whole "
            "gzip file of it. A file of ids holds one a line."
        )
        raise InvalidArgumentError(msg) from None


def _lines(file: IO[bytes]) -> Iterator[str]:
    head = file.read(1)
    head += file.read(1)  # one at a time: a raw stream may give less than it is asked for
    whole = io.BufferedReader(_Rejoined(head, file))
    inflated = gzip.GzipFile(fileobj=whole) if head == _GZIP_MAGIC else whole
    text = io.TextIOWrapper(inflated, encoding="utf-8")
    while line := text.readline(_LONGEST_LINE + 1):
        yield line


class _Rejoined(io.RawIOBase):
    """A stream that may not seek, with the bytes that were looked at put back in front.

    :param head: those bytes.
    :param rest: the stream after them.
    """

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # narrower on purpose
        """Fill the buffer, first from the head."""
        chunk = self._head[: len(buffer)] or self._rest.read(len(buffer))
        self._head = self._head[len(buffer) :]
        buffer[: len(chunk)] = chunk
        return len(chunk)
