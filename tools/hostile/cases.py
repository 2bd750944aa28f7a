"""Every answer that is tried, beside those that the fuzz test makes up."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, Final

from tools.hostile.kinds import Case, Gives
from tools.hostile.made import (
    HEAD,
    HTML,
    JSON,
    OTHER,
    ZIPPED,
    as_it_is,
    bomb,
    changed,
    counts,
    endless,
    first_object,
    fixed,
    grouping,
    ids,
    inflates_to_nothing,
    replaced,
    said,
    trickle,
    twice,
    with_gzip,
    with_names,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Good = dict[str, Any]

__all__ = ["CASES"]

# What comes of many of them.
_NO_JSON: Final = (Gives.AGAIN, "InvalidResponseError", "The response is not a JSON object")
_NO_GROUPING: Final = (Gives.AGAIN, "InvalidResponseError", "none of the groupings of the request")
_NO_OBJECT: Final = (Gives.AGAIN, "InvalidResponseError", "where an object of counts was expected")
_NO_NUMBER: Final = (
    Gives.AGAIN,
    "InvalidResponseError",
    "A response has a count that is not a",
)
_NO_28_HOURS: Final = (Gives.AGAIN, "InvalidResponseError", "which is not 28 hours.")
_NO_START: Final = (
    Gives.AGAIN,
    "InvalidResponseError",
    "only one of start and end.",
)
_MORE_HOURS: Final = (Gives.AGAIN, "InvalidResponseError", "has counts of more than 28 hours.")
_TOO_LARGE: Final = (Gives.AGAIN, "InvalidResponseError", "The response is larger than")
_TOO_LONG: Final = (Gives.AGAIN, "ServiceError", "No complete response arrived: it took too long.")
_TORN: Final = (Gives.AGAIN, "ServiceError", "No complete response arrived: the connection")
_NOT_GZIP: Final = (Gives.AGAIN, "ServiceError", "its compression is broken")
_NO_CODING: Final = (
    Gives.AGAIN,
    "InvalidResponseError",
    "The response is compressed in another way",
)
_TWICE: Final = (Gives.AGAIN, "InvalidResponseError", "an object with the same name twice")
_SAME: Final = (Gives.AGAIN, "InvalidResponseError", "the same hour under two names")
_NO_DAY: Final = (Gives.AGAIN, "InvalidResponseError", "a key that is not a date")
_FAILED: Final = (Gives.AGAIN, "ServiceError", "The service failed.")
_NONE: Final = (Gives.FAILS, "IncompleteDataError", "0 of 5 Tweets were counted")
_NO_KEYS: Final = (
    Gives.FAILS,
    "AuthenticationError",
    "The service did not accept the credentials.",
)
_NO_ACCESS: Final = (Gives.FAILS, "PermissionDeniedError", "The service refused access.")
_REFUSED: Final = (Gives.FAILS, "RequestRejectedError", "The service rejected the request.")
_NOWHERE: Final = (Gives.FAILS, "RequestRejectedError", "The host has no such endpoint.")
_REDIRECTED: Final = (Gives.FAILS, "RequestRejectedError", "The host redirects to another")
_NO_API: Final = (Gives.AGAIN, "ServiceError", "so it is not the Engagement API's")
_IN_WORDS: Final = (Gives.FAILS, "RequestRejectedError", "The service said: no [31m xxx")
_TOO_LONG_A_WAIT: Final = (Gives.ENDS, "RateLimitError", "Rate limited for another")
_THROTTLED: Final = (Gives.AGAIN, "RateLimitError", "The service refused a request for its rate.")
_NO_TOKEN: Final = (Gives.AGAIN, "ServiceError", "did not send a bearer token")
_UNREACHABLE: Final = (Gives.AGAIN, "ServiceError", "The token endpoint could not be reached")
_NO_PAIR: Final = (Gives.FAILS, "AuthenticationError", "did not accept the app's key and secret")

_DEEP: Final = b'{"a": ' * 100_000 + b"1" + b"}" * 100_000
_CHUNKED: Final = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_ELSEWHERE: Final = "Location: http://[elsewhere"
_NO_DATES: Final = ("99 Foo 0000", "Mon, 01 Jan 0001 00:00:00 +2359", "soon")
_NO_IDS: Final = [OTHER, "x", None, 2.5, True, "-1", "9" * 40]


def _no_answers() -> Iterator[Case]:
    other = tuple(map(fixed, (b'["total"]', b'"total"', b"7", b"null")))
    deep = (fixed(_DEEP), fixed(b'{"a": ' + b"[" * 100_000))
    digits = (fixed(b'{"a": ' + b"9" * 10_000 + b"}"),)
    success = tuple(fixed(b"", status=status) for status in (201, 202, 204, 206))
    failures = tuple(fixed(HTML, status=status) for status in (408, 504, 520, 599))
    yield Case("nothing, with status 200", (fixed(b""),), *_NO_JSON)
    yield Case("an array, a text, a number or `null`", other, *_NO_JSON)
    yield Case("bytes that are no text", (fixed(b"\xff\xfe\x00\x80"),), *_NO_JSON)
    yield Case("objects or arrays, 100,000 deep", deep, *_NO_JSON)
    yield Case("a number of 10,000 digits", digits, *_NO_JSON)
    yield Case("an empty object", (fixed(b"{}", JSON),), *_NO_GROUPING)
    yield Case("other groupings than those asked for", (fixed(b'{"a": {}}'),), *_NO_GROUPING)
    yield Case("status 201, 202, 204 or 206, without a body", success, *_NO_GROUPING)
    yield Case("status 408, 504, 520 or 599, with a page of HTML", failures, *_FAILED)


def _broken_transports() -> Iterator[Case]:
    informed = trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    chunk = trickle(_CHUNKED, b"0"), trickle(_CHUNKED + b"0\r\n", b"X: 1\r\n")
    body = trickle(HEAD + b"\r\n", b" ")
    codings = ("gzip, gzip", "deflate", "br", "zstd")
    otherwise = tuple(with_gzip(gzip.compress, f"Content-Encoding: {name}") for name in codings)
    yield Case("a connection that is closed at once", (lambda _: iter([]),), *_TORN)
    yield Case("something else than HTTP", (lambda _: iter([b"220 ready\r\n\r\n"]),), *_TORN)
    yield Case("200 headers", (fixed(b"{}", *["X-More: 1"] * 200),), *_TORN)
    yield Case("silence, with the connection left open", (trickle(b"", b""),), *_TOO_LONG)
    yield Case("a header that trickles in for ever", (trickle(HEAD, b"X"),), *_TOO_LONG)
    yield Case("informational answers (100) for ever", (informed,), *_TOO_LONG)
    yield Case("a body that trickles in for ever", (body,), *_TOO_LONG)
    yield Case("the length of a chunk, or trailers, for ever", chunk, *_TOO_LONG)
    yield Case("a body without end", (endless(HEAD + b"\r\n", b" " * 2**16),), *_TOO_LARGE)
    yield Case("gzip that never ends", (bomb,), *_TOO_LARGE)
    yield Case("gzip that inflates to nothing, for ever", (inflates_to_nothing,), *_TOO_LARGE)
    yield Case("plain text that is said to be gzip", (fixed(b"plain", ZIPPED),), *_NOT_GZIP)
    yield Case("gzip that breaks off", (with_gzip(lambda one: one[:-9], ZIPPED),), *_NOT_GZIP)
    yield Case("gzip within gzip, deflate, br or zstd", otherwise, *_NO_CODING)


def _other_shapes() -> Iterator[Case]:
    shapes = tuple(map(replaced, ([], None, 7, {OTHER: 5}, {OTHER: None})))
    no_days = tuple(
        changed(_each_series({name: "5"})) for name in ("2026-02-30", "yesterday", "0000-01-01")
    )
    year = with_names(start="2025-01-01T00:00:00Z", end="2026-01-01T00:00:00Z")
    never = tuple(with_names(start=text) for text in ("soon", "0001-01-01T00:00:00+23:00"))
    yield Case("no object where counts were asked for", shapes, *_NO_OBJECT)
    yield Case("one name twice in an object, with two counts", (twice,), *_TWICE)
    yield Case("one hour under two names, `7` and `07`", (changed(_hour_twice),), *_SAME, "28hr")
    yield Case("a day that no calendar has", no_days, *_NO_DAY, "historical")
    yield Case("28 hours that last a year", (year,), *_NO_28_HOURS, "28hr")
    yield Case("28 hours that begin at no time", never, *_NO_START, "28hr")
    yield Case("hours a week apart, of no range", (_other_hours,), *_MORE_HOURS, "28hr")


def _counts() -> Iterator[Case]:
    others = counts("null", "true", "[]", "[1]", '{"2026-01-01": "1"}')
    fractions = counts("1.5", "1e3", "NaN", "-Infinity", '"1.5"', '"1e3"')
    texts = counts('"1,000"', '"0x1f"', '" 7"', '"7\\n"', '""', '"-"', '"+7"', '"1_000"')
    scripts = counts('"\u0663"', '"\\u0663"', '"\\ud800"')
    beyond = counts('"9223372036854775808"', "9223372036854775808", '"-9223372036854775809"')
    yield Case("`null`, `true`, an array or an object for a count", others, *_NO_NUMBER)
    yield Case("a fraction, an exponent, `NaN` or `Infinity`", fractions, *_NO_NUMBER)
    yield Case("text such as `1,000`, `0x1f`, `+7` or nothing", texts, *_NO_NUMBER)
    yield Case("digits of another script, half a character", scripts, *_NO_NUMBER)
    yield Case("a number beyond 64 bits", beyond, *_NO_NUMBER)
    yield Case("bare numbers for texts", (changed(_as_numbers),), Gives.NOTHING)


def _beside_the_counts() -> Iterator[Case]:
    names = with_names(next="x", meta={"a": [1]})
    empty = changed(lambda good: grouping(good).update({"x": {}, "": {}}))
    lists = with_names(unavailable_tweet_ids=_NO_IDS, unsupported_for_x_tweet_ids=[OTHER])
    times = with_names(start="soon", end=7), with_names(start="0001-01-01T00:00:00+23:00")
    few = tuple(as_it_is(f"x-per-minute-limit: {limit}") for limit in ("0.0001", "0", "-1", "nan"))
    odd = ("x-per-minute-remaining: 0", "x-per-minute-reset: -5", "Set-Cookie: a=b; Domain=.")
    dates = tuple(as_it_is(*odd, f"Date: {date}") for date in _NO_DATES)
    yield Case("unknown names beside the groupings", (names,), Gives.NOTHING)
    yield Case("names without counts, of no Tweets", (empty,), Gives.NOTHING, asked="historical")
    yield Case("lists of ids that are none, or not asked for", (lists,), Gives.NOTHING)
    yield Case("a start and end at no time", times, Gives.NOTHING, asked="historical")
    yield Case("a limit of next to no requests a minute", few, Gives.NOTHING)
    yield Case("headers that make no sense", dates, Gives.NOTHING)


def _partial_answers() -> Iterator[Case]:
    days = changed(_each_series({"2015-01-01": "7", "9999-12-31": "7"}))
    absent = changed(_forget_tweet), changed(_forget_type)
    yield Case("Tweets that were not asked for", (changed(_strange_tweet),), Gives.ASIDE)
    yield Case("types that were not asked for", (changed(_strange_types),), Gives.ASIDE)
    yield Case("days that were not asked for", (days,), Gives.ASIDE, asked="historical")
    yield Case("nothing of one Tweet, or of one of its types", absent, Gives.LISTED)
    yield Case("a Tweet listed as gone, and counted", (changed(_gone),), Gives.LISTED)
    yield Case("a Tweet refused, and counted", (changed(_refused),), Gives.LISTED)
    yield Case("`0` for a type listed as unsupported", (changed(_unsupported),), Gives.LISTED)
    future = changed(_unsupported_in_future)
    yield Case("a Tweet unsupported for a type of the future", (future,), Gives.LISTED)


def _refusals() -> Iterator[Case]:
    keys = said(401, "Your account could not be authenticated. Reason: Access token not found")
    others = said(400, "no"), said(418, "no"), said(413, "no")
    away = tuple(fixed(b"", _ELSEWHERE, status=status) for status in (301, 302, 307))
    body = f"HTTP/1.1 302 Found\r\n{_ELSEWHERE}\r\nConnection: close\r\n\r\n".encode()
    unnamed = said(403, "Forbidden to access tweets"), said(400, "5 Tweet ID(s) are unavailable")
    named = said(403, f"Forbidden to access tweets: {OTHER}")
    odd = said(400, "no\x1b[31m\n" + "x" * 100_000)
    pages = tuple(fixed(HTML, status=status) for status in (403, 404))
    day = fixed(b"", "Retry-After: 86400", status=429)
    none = tuple(fixed(b"", f"Retry-After: {told}", status=429) for told in ("-1e999", "soon"))
    yield Case("wrong keys or tokens: 401", (keys,), *_NO_KEYS)
    yield Case("another refusal: 403", (said(403, "no"),), *_NO_ACCESS)
    yield Case("another refusal: 400, 413, 418", others, *_REFUSED)
    yield Case("no such endpoint: 404", (said(404, "no"),), *_NOWHERE)
    yield Case("a page of another server: 403, 404", pages, *_NO_API)
    yield Case("a redirect: 301, 302, 307", away, *_REDIRECTED)
    yield Case("a redirect with a body without end", (endless(body, b" " * 2**16),), *_TOO_LARGE)
    yield Case("a refusal for Tweets that it does not name", unnamed, *_NONE)
    yield Case("a refusal for Tweets that were not asked for", (named,), *_NONE)
    yield Case("words with escapes, line breaks, 100,000 letters", (odd,), *_IN_WORDS)
    yield Case("429 with a wait of a day", (day,), *_TOO_LONG_A_WAIT)
    yield Case("429 with a wait that is none", none, *_THROTTLED)


def _tokens() -> Iterator[Case]:
    """Answer the exchange of key and secret for an app-only token."""
    texts = ('"a b"', '"a\\r\\nX-More: 1"', '"\\u20ac"', '""', "7", "null")
    bodies = (f'{{"token_type": "bearer", "access_token": {text}}}'.encode() for text in texts)
    odd = tuple(fixed(body, JSON) for body in bodies)
    none = fixed(HTML), fixed(b"[]"), fixed(_DEEP), bomb, endless(HEAD + b"\r\n", b" " * 2**16)
    no_end = trickle(HEAD, b"X"), trickle(HEAD + b"\r\n", b" "), fixed(b"plain", ZIPPED)
    refused = tuple(said(status, "no") for status in (400, 401, 403))
    yield Case("a token that no header can hold", odd, *_NO_TOKEN, "token")
    yield Case("HTML, other JSON or a body without end for a token", none, *_NO_TOKEN, "token")
    yield Case(
        "an answer without end, or of broken gzip, for a token", no_end, *_UNREACHABLE, "token"
    )
    yield Case("no token for this key and secret", refused, *_NO_PAIR, "token")


# ---- Changes of the good answer --------------------------------------------------------------


def _as_numbers(good: Good) -> None:
    for types in grouping(good).values():
        for name, value in types.items():
            types[name] = int(value)


def _hour_twice(good: Good) -> None:
    first_object(good).update({"7": "5", "07": "5"})


def _each_series(more: dict[str, str]) -> Callable[[Good], None]:
    def change(good: Good) -> None:
        for types in grouping(good).values():
            for series in types.values():
                series.update(more)

    return change


def _other_hours(good: Good) -> Iterator[bytes]:
    _each_series({"2026-01-01": {"07": "5"}, "2026-01-09": {"07": "5"}})(good)  # type: ignore[dict-item]  # hours
    del good["start"], good["end"]
    return as_it_is()(good)


def _strange_tweet(good: Good) -> None:
    grouping(good)[OTHER] = dict.fromkeys(first_object(good), "7")


def _strange_types(good: Good) -> None:
    for types in grouping(good).values():
        types |= {"bookmarks": "7", "url_clicks": "7"}


def _forget_tweet(good: Good) -> None:
    del grouping(good)[ids(good)[0]]


def _forget_type(good: Good) -> None:
    del grouping(good)[ids(good)[0]]["favorites"]


def _gone(good: Good) -> None:
    good["unavailable_tweet_ids"] = ids(good)[:1]


def _refused(good: Good) -> None:
    good["errors"] = [f"Forbidden to access tweets: {ids(good)[0]}"]


def _unsupported(good: Good) -> None:
    first = ids(good)[0]
    grouping(good)[first]["video_views"] = "0"
    good["unsupported_for_video_views_tweet_ids"] = [first]


def _unsupported_in_future(good: Good) -> None:
    good["unsupported_for_holograms_tweet_ids"] = ids(good)[:1]


CASES: Final = (
    *_no_answers(),
    *_broken_transports(),
    *_other_shapes(),
    *_counts(),
    *_beside_the_counts(),
    *_partial_answers(),
    *_refusals(),
    *_tokens(),
)
"""Every answer that is tried."""
