"""Make the bytes of malformed responses, from nothing or from a good response."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Good = dict[str, Any]
    """The object of a good response."""

    Made = Callable[[Good], Iterator[bytes]]
    """Makes the bytes to send from it, piece by piece."""

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
"""The id of a Tweet that was not requested."""

HEAD: Final = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
HTML: Final = b"<!DOCTYPE html><html><body>We are having a moment</body></html>"
JSON: Final = "Content-Type: application/json"
ZIPPED: Final = "Content-Encoding: gzip"


def http(body: bytes, *headers: str, status: int = 200) -> bytes:
    """Return an HTTP response.

    :param headers: in addition to the length.
    """
    first = (f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join([*first, *headers, "", ""]).encode("latin-1") + body


# ---- From nothing ----------------------------------------------------------------------------


def fixed(body: bytes, *headers: str, status: int = 200) -> Made:
    """Send exactly this."""
    return lambda _: iter([http(body, *headers, status=status)])


def said(status: int, *errors: object) -> Made:
    """Refuse with these messages."""
    return fixed(json.dumps({"errors": errors}).encode(), JSON, status=status)


def endless(start: bytes, drop: bytes) -> Made:
    """Send the start, and then the drop without end."""

    def made(_: Good) -> Iterator[bytes]:
        yield start
        while True:
            yield drop

    return made


def trickle(start: bytes, drop: bytes) -> Made:
    """Send the start, and then the drop without end, with pauses."""

    def made(_: Good) -> Iterator[bytes]:
        yield start
        while True:
            yield b""  # the server pauses here
            yield drop

    return made


def bomb(_: Good) -> Iterator[bytes]:
    """Send gzip without end that decompresses to a thousand times its size."""
    squeezed = zlib.compressobj(9, wbits=31)
    yield HEAD + f"{ZIPPED}\r\n\r\n".encode()
    while True:
        yield squeezed.compress(b"0" * 2**20)


def inflates_to_nothing(_: Good) -> Iterator[bytes]:
    """Send empty gzip blocks without end."""
    yield HEAD + f"{ZIPPED}\r\n\r\n".encode() + gzip.compress(b"", mtime=0)[:10]
    while True:
        yield b"\x00\x00\x00\xff\xff" * 2**12


# ---- From a good response --------------------------------------------------------------------


def grouping(good: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only grouping of the response."""
    (found,) = (value for value in good.values() if isinstance(value, dict))
    return found


def ids(good: Mapping[str, Any]) -> list[str]:
    """Return the ids with counts, the oldest first."""
    return sorted(grouping(good), key=int)


def first_object(good: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first object that holds counts."""
    within = grouping(good)
    while isinstance(inner := next(iter(within.values())), dict):
        within = inner
    return within


def as_it_is(*headers: str) -> Made:
    """Send the response with these headers."""
    return lambda good: iter([http(json.dumps(good).encode(), JSON, *headers)])


def with_names(**beside: object) -> Made:
    """Add these names beside the grouping."""
    return changed(lambda good: good.update(beside))


def changed(change: Callable[[Good], object]) -> Made:
    """Send the response with a change to its object."""

    def made(good: Good) -> Iterator[bytes]:
        change(good)
        yield http(json.dumps(good).encode(), JSON)

    return made


def replaced(what: object) -> Made:
    """Replace the grouping."""

    def change(good: Good) -> None:
        (name,) = (key for key, value in good.items() if isinstance(value, dict))
        good[name] = what

    return changed(change)


def counts(*texts: str) -> tuple[Made, ...]:
    """Replace the first count with each of these JSON texts."""
    return tuple(map(_count, texts))


def _count(text: str) -> Made:
    def made(good: Good) -> Iterator[bytes]:
        within = first_object(good)
        within[next(iter(within))] = "a count"
        yield http(json.dumps(good).replace('"a count"', text).encode(), JSON)

    return made


def twice(good: Good) -> Iterator[bytes]:
    """Send the first name twice, with two counts."""
    within = first_object(good)
    name = next(iter(within))
    within[name] = "a count"
    body = json.dumps(good).replace('"a count"', f'"1", "{name}": "2"')
    yield http(body.encode(), JSON)


def with_gzip(change: Callable[[bytes], bytes], *headers: str) -> Made:
    """Compress the response, and change the compressed bytes."""

    def made(good: Good) -> Iterator[bytes]:
        whole = gzip.compress(json.dumps(good).encode(), mtime=0)
        yield http(change(whole), JSON, *headers)

    return made
