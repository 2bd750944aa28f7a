"""Answers made of good ones by changing them: names, values, bytes, compression, the frame."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Each list has as much of what does no harm that enough of the answers can be read.
STATUSES = (*[200] * 40, 206, 302, 400, 401, 403, 404, 429, 500, 503)

# JSON of all kinds in a count's place, and in others.
WEIRD = (
    *("null", "true", "false", "[]", "{}", "[[[[]]]]", '{"":{"":{}}}', '{"00":"1"}', "NaN"),
    *("0", "-0", "7", "-7", "007", "1.0", "1e3", "-1e-9", "Infinity", "9" * 19, "9" * 5000),
    *('""', '"7"', '"-7"', '"007"', '"+7"', '" 7"', '"7 "', '"7\\n"', '"0x7"', '"7_0"', '"1,0"'),
    *('"9223372036854775807"', '"9223372036854775808"', '"-9223372036854775808"', '"7.0"'),
    *('"\\ud800"', '"\\u0667"', '"\u0667"', '"\\u0037"', '"\\u0000"', '"<html>"'),
    *('"2026-01-01T00:00:00Z"', '"2026-01-01T00:00:00+09:00"', '"0001-01-01T00:00:00+23:59"'),
)
NAMES = (
    *("start", "end", "errors", "unavailable_tweet_ids", "unsupported_for_video_views_tweet_ids"),
    *("unsupported_for__tweet_ids", "unsupported_for_impressions_engagements_tweet_ids", "", ":"),
    *("7", "07", "24", "-1", "2026-02-30", "0000-01-01", "9999-12-31", "2015-01-01", "20", "x"),
    *("favorites", "url_clicks", "message", "\u0667", "token_type", "access_token"),
)
WORDS = (
    *("internal server error", "rate limit", "your application id is not authorized."),
    *("1 Tweet ID(s) are unavailable", "Forbidden to access tweets", "could not be authenticated"),
)
HEADERS = (
    *("x-per-minute-limit: 0.001", "x-per-minute-limit: 1e14", "x-per-minute-remaining: 0"),
    *("x-per-minute-reset: 7", "x-per-second-reset: -1", "Retry-After: soon", "Retry-After: -7"),
    *("Date: Mon, 01 Jan 0001 00:00:00 +2359", "Date: 7", "Location: http://[", "Set-Cookie: ="),
    *("Content-Type: text/html; charset=x", "Content-Encoding: identity", "Content-Encoding: br"),
    *("X-More: 1", "X-More: 2", "X-More: 3", "Content-Type: application/json", "Server: x"),
)
CODINGS = (*["plain", "gzip", "chunked"] * 6, "broken gzip", "short", "long")


class Text(str):
    """A piece of JSON, as it stands."""

    __slots__ = ()


@dataclass(frozen=True)
class Mutant:
    """An answer to send.

    :param wire: all of its bytes.
    :param status: its status.
    :param body: its body, inflated.
    :param is_whole: whether that is sure to arrive.
    """

    wire: bytes
    status: int
    body: bytes
    is_whole: bool


def opened(node: Any) -> Any:
    """Turn objects into lists of pairs, so that a name may stand there twice."""
    if isinstance(node, dict):
        return _Object([name, opened(value)] for name, value in node.items())
    return [opened(one) for one in node] if isinstance(node, list) else node


class _Object(list[list[Any]]):
    pass


def written(node: Any) -> str:
    if isinstance(node, _Object):
        members = (f"{json.dumps(name)}:{written(value)}" for name, value in node)
        return f"{{{','.join(members)}}}"
    if isinstance(node, list):
        return f"[{','.join(map(written, node))}]"
    return str(node) if isinstance(node, Text) else json.dumps(node)


def _places(node: Any) -> Iterator[list[Any]]:
    """Give every pair of the document, the outer ones first."""
    waiting = [node]
    for one in waiting:
        if isinstance(one, _Object):
            yield from one
            waiting += [value for _, value in one]


def strategy(
    document: dict[str, Any], ids: Sequence[str], types: Sequence[str], secrets: Sequence[str]
) -> st.SearchStrategy[Mutant]:
    """Make answers of a good one.

    :param document: its object.
    :param ids: the Tweets that it counts.
    :param types: the types that it counts.
    :param secrets: the secrets that a response may hold.
    """
    quoted = [json.dumps(secret) for secret in secrets]
    values = st.sampled_from((*WEIRD, *quoted, *map(json.dumps, (*ids, *WORDS)))).map(Text)
    lists = st.lists(st.sampled_from((*ids, "20", *WEIRD)), max_size=3).map(
        lambda ones: Text(f"[{','.join(ones)}]")
    )
    refusals = st.sampled_from((f"Forbidden to access tweets: {ids[0]}", *WORDS, *secrets)).map(
        lambda words: Text(json.dumps([words]))
    )
    number = st.integers(-(2**64), 2**64).map(lambda n: Text(json.dumps(str(n))))
    anything = number | number | lists | refusals | values
    names = st.sampled_from((*NAMES, *ids, *types, *secrets, *document))
    change = st.tuples(st.sampled_from(_CHANGES), st.integers(0, 2**16), anything, names)
    changes = st.lists(change, max_size=3)
    scratch = st.tuples(st.sampled_from(_SCRATCHES), st.integers(0, 2**16), st.binary(max_size=3))
    scratches = st.lists(scratch, max_size=1)
    body = st.builds(lambda c, s: _scratched(_changed(document, c), s), changes, scratches)
    headers = st.lists(st.sampled_from(HEADERS), max_size=1)
    nonsense = st.binary(max_size=99) | values.map(str.encode)
    made = st.integers(0, 9).flatmap(lambda n: body if n else nonsense)
    return st.builds(
        _framed,
        made,
        st.sampled_from(STATUSES),
        st.sampled_from(CODINGS),
        headers,
        st.integers(0, 2**16),
    )


# ---- Changes of the document -----------------------------------------------------------------


def _changed(document: dict[str, Any], changes: list[tuple[Any, int, Text, str]]) -> bytes:
    opened_ = opened(document)
    for change, place, value, name in changes:
        places = list(_places(opened_))
        if places:
            change(opened_, places[place % len(places)], value, name)
    return written(opened_).encode(errors="surrogatepass")


def _set(_: Any, pair: list[Any], value: Text, __: str) -> None:
    pair[1] = value


def _rename(_: Any, pair: list[Any], __: Text, name: str) -> None:
    pair[0] = name


def _drop(document: Any, pair: list[Any], _: Text, __: str) -> None:
    for one in _objects(document):
        one[:] = [other for other in one if other is not pair]


def _repeat(document: Any, pair: list[Any], value: Text, __: str) -> None:
    for one in _objects(document):
        if any(other is pair for other in one):
            one.append([pair[0], value])
            return


def _put(document: Any, _: list[Any], value: Text, name: str) -> None:
    document.append([name, value])


def _put_within(_: Any, pair: list[Any], value: Text, name: str) -> None:
    if isinstance(pair[1], _Object):
        pair[1].append([name, value])


def _copy(document: Any, pair: list[Any], _: Text, name: str) -> None:
    """Put the whole of it under another name, beside it."""
    for one in _objects(document):
        if any(other is pair for other in one):
            one.append([name, Text(written(pair[1]))])
            return


def _objects(document: Any) -> Iterator[_Object]:
    yield document
    for _, value in _places(document):
        if isinstance(value, _Object):
            yield value


_CHANGES: tuple[Callable[..., None], ...] = (
    *(_set, _set, _rename, _drop, _repeat),
    *(_put, _put_within, _copy),
)


# ---- Changes of the bytes --------------------------------------------------------------------


def _scratched(body: bytes, scratches: list[tuple[str, int, bytes]]) -> bytes:
    for how, place, more in scratches:
        at = place % (len(body) + 1)
        if how == "cut":
            body = body[:at]
        elif how == "drop":
            body = body[:at] + body[at + len(more) + 1 :]
        elif how == "insert":
            body = body[:at] + more + body[at:]
        elif how == "repeat":
            body = body[:at] + body[max(at - 40, 0) :]
        elif how == "utf-16":
            body = body.decode(errors="replace").encode("utf-16")
        elif how == "mark":
            body = b"\xef\xbb\xbf" + body
    return body


_SCRATCHES = (*["none"] * 16, "cut", "drop", "insert", "repeat", "utf-16", "mark")


def _framed(body: bytes, status: int, coding: str, headers: list[str], place: int) -> Mutant:
    sent, is_whole = body, True
    head = [f"HTTP/1.1 {status} Said", "Connection: close", *headers]
    if "gzip" in coding:
        sent = gzip.compress(body, compresslevel=1, mtime=0)
        head.append("Content-Encoding: gzip")
    if coding == "broken gzip":
        at = place % len(sent)
        sent = sent[:at] + bytes([sent[at] ^ (1 + place % 255)]) + sent[at + 1 :]
        is_whole = False
    if coding == "chunked":
        at = place % (len(sent) + 1)
        head.append("Transfer-Encoding: chunked")
        chunks = [piece for piece in (sent[:at], sent[at:]) if piece]
        sent = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in chunks) + b"0\r\n\r\n"
    else:
        stated = max(len(sent) + {"short": -1, "long": 1}.get(coding, 0) * (1 + place % 9), 0)
        head.append(f"Content-Length: {stated}")
        is_whole = is_whole and stated <= len(sent)
        body = body[:stated] if coding == "short" else body
    codings = [name for name in head if name.startswith("Content-Encoding")]
    is_whole = is_whole and len(codings) < 2 and not any("br" in name for name in codings)
    wire = "\r\n".join([*head, "", ""]).encode("latin-1") + sent
    return Mutant(wire, status, body, is_whole)
