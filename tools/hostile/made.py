"""Makes the bytes of answers: from nothing, or of the good answer that is asked for."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Good = dict[str, Any]
    """The object of a good answer."""

    Made = Callable[[Good], Iterator[bytes]]
    """Makes the bytes to send of it, one piece after the other."""

__all__ = [
    "HEAD",
    "HTML",
    "JSON",
    "OTHER",
    "ZIPPED",
    "as_it_is",
    "bomb",
    "changed",
    "counts",
    "endless",
    "first_object",
    "fixed",
    "grouping",
    "http",
    "ids",
    "inflates_to_nothing",
    "replaced",
    "said",
    "trickle",
    "twice",
    "with_gzip",
    "with_names",
]

OTHER: Final = "20"
"""The id of a Tweet that was never asked for."""

HEAD: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
HTML: Final = b"<!DOCTYPE html><html><body>We are having a moment</body></html>"
JSON: Final = "Content-Type: application/json"
ZIPPED: Final = "Content-Encoding: gzip"


def http(body: bytes, *headers: str, status: int = 200) -> bytes:
    """Make an HTTP answer.

    :param headers: beside the length.
    """
    told = (f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join([*told, *headers, "", ""]).encode("latin-1") + body


# ---- Of nothing ------------------------------------------------------------------------------


def fixed(body: bytes, *headers: str, status: int = 200) -> Made:
    """Say just this."""
    return lambda _: iter([http(body, *headers, status=status)])


def said(status: int, *errors: object) -> Made:
    """Refuse in these words."""
    return fixed(json.dumps({"errors": errors}).encode(), JSON, status=status)


def endless(start: bytes, drop: bytes) -> Made:
    """Begin with these bytes, and go on with those for ever."""

    def made(_: Good) -> Iterator[bytes]:
        yield start
        while True:
            yield drop

    return made


def trickle(start: bytes, drop: bytes) -> Made:
    """Begin with these bytes, and let those follow for ever, now and then one."""

    def made(_: Good) -> Iterator[bytes]:
        yield start
        while True:
            yield b""  # which has the server wait a moment
            yield drop

    return made


def bomb(_: Good) -> Iterator[bytes]:
    """Inflate to a thousand times what is sent, for ever."""
    squeezed = zlib.compressobj(9, wbits=31)
    yield HEAD + f"{ZIPPED}\r\n\r\n".encode()
    while True:
        yield squeezed.compress(b"0" * 2**20)


def inflates_to_nothing(_: Good) -> Iterator[bytes]:
    """Send blocks of gzip that hold nothing, for ever."""
    yield HEAD + f"{ZIPPED}\r\n\r\n".encode() + gzip.compress(b"", mtime=0)[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff" * 2**12


# ---- Of the good answer ----------------------------------------------------------------------


def grouping(good: Mapping[str, Any]) -> dict[str, Any]:
    """Give the one grouping that the good answer has."""
    (found,) = (value for value in good.values() if isinstance(value, dict))
    return found


def ids(good: Mapping[str, Any]) -> list[str]:
    """Give the ids that it counts, the oldest first."""
    return sorted(grouping(good), key=int)


def first_object(good: Mapping[str, Any]) -> dict[str, Any]:
    """Give the first object that holds counts."""
    within = grouping(good)
    while isinstance(inner := next(iter(within.values())), dict):
        within = inner
    return within


def as_it_is(*headers: str) -> Made:
    """Send it with these headers."""
    return lambda good: iter([http(json.dumps(good).encode(), JSON, *headers)])


def with_names(**beside: object) -> Made:
    """Put these names beside its groupings."""
    return changed(lambda good: good.update(beside))


def changed(change: Callable[[Good], object]) -> Made:
    """Change its object."""

    def made(good: Good) -> Iterator[bytes]:
        change(good)
        yield http(json.dumps(good).encode(), JSON)

    return made


def replaced(what: object) -> Made:
    """Put something in the place of its grouping."""

    def change(good: Good) -> None:
        (name,) = (key for key, value in good.items() if isinstance(value, dict))
        good[name] = what

    return changed(change)


def counts(*texts: str) -> tuple[Made, ...]:
    """Put each of these texts of JSON in the place of its first count."""
    return tuple(map(_count, texts))


def _count(text: str) -> Made:
    def made(good: Good) -> Iterator[bytes]:
        within = first_object(good)
        within[next(iter(within))] = "a count"
        yield http(json.dumps(good).replace('"a count"', text).encode(), JSON)

    return made


def twice(good: Good) -> Iterator[bytes]:
    """Say the first count twice, with two numbers."""
    within = first_object(good)
    name = next(iter(within))
    within[name] = "a count"
    body = json.dumps(good).replace('"a count"', f'"1", "{name}": "2"')
    yield http(body.encode(), JSON)


def with_gzip(change: Callable[[bytes], bytes], *headers: str) -> Made:
    """Compress it, and change the bytes that come of that."""

    def made(good: Good) -> Iterator[bytes]:
        whole = gzip.compress(json.dumps(good).encode(), mtime=0)
        yield http(change(whole), JSON, *headers)

    return made
