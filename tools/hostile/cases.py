"""The malformed responses that are tested, beside those that the fuzz test generates."""

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

# The outcomes of several cases.
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
    yield Case("an empty body with status 200", (fixed(b""),), *_NO_JSON)
    yield Case("an array, a string, a number or `null`", other, *_NO_JSON)
    yield Case("bytes that are not UTF-8", (fixed(b"\xff\xfe\x00\x80"),), *_NO_JSON)
    yield Case("objects or arrays nested 100,000 deep", deep, *_NO_JSON)
    yield Case("a number with 10,000 digits", digits, *_NO_JSON)
    yield Case("an empty object", (fixed(b"{}", JSON),), *_NO_GROUPING)
    yield Case("other groupings than the requested ones", (fixed(b'{"a": {}}'),), *_NO_GROUPING)
    yield Case("status 201, 202, 204 or 206 without a body", success, *_NO_GROUPING)
    yield Case("status 408, 504, 520 or 599 with an HTML page", failures, *_FAILED)


def _broken_transports() -> Iterator[Case]:
    informed = trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    chunk = trickle(_CHUNKED, b"0"), trickle(_CHUNKED + b"0\r\n", b"X: 1\r\n")
    body = trickle(HEAD + b"\r\n", b" ")
    codings = ("gzip, gzip", "deflate", "br", "zstd")
    otherwise = tuple(with_gzip(gzip.compress, f"Content-Encoding: {name}") for name in codings)
    yield Case("a connection that is closed at once", (lambda _: iter([]),), *_TORN)
    yield Case("bytes that are not HTTP", (lambda _: iter([b"220 ready\r\n\r\n"]),), *_TORN)
    yield Case("200 headers", (fixed(b"{}", *["X-More: 1"] * 200),), *_TORN)
    yield Case("no bytes, on an open connection", (trickle(b"", b""),), *_TOO_LONG)
    yield Case("a header that arrives slowly and never ends", (trickle(HEAD, b"X"),), *_TOO_LONG)
    yield Case("informational responses (100) without end", (informed,), *_TOO_LONG)
    yield Case("a body that arrives slowly and never ends", (body,), *_TOO_LONG)
    yield Case("a chunk length, or trailers, without end", chunk, *_TOO_LONG)
    yield Case("a body without end", (endless(HEAD + b"\r\n", b" " * 2**16),), *_TOO_LARGE)
    yield Case("a gzip bomb without end", (bomb,), *_TOO_LARGE)
    yield Case("gzip without end that decompresses to nothing", (inflates_to_nothing,), *_TOO_LARGE)
    yield Case("plain text with `Content-Encoding: gzip`", (fixed(b"plain", ZIPPED),), *_NOT_GZIP)
    yield Case("gzip that is cut off", (with_gzip(lambda one: one[:-9], ZIPPED),), *_NOT_GZIP)
    yield Case("gzip within gzip, deflate, br or zstd", otherwise, *_NO_CODING)


def _other_shapes() -> Iterator[Case]:
    shapes = tuple(map(replaced, ([], None, 7, {OTHER: 5}, {OTHER: None})))
    no_days = tuple(
        changed(_each_series({name: "5"})) for name in ("2026-02-30", "yesterday", "0000-01-01")
    )
    year = with_names(start="2025-01-01T00:00:00Z", end="2026-01-01T00:00:00Z")
    never = tuple(with_names(start=text) for text in ("soon", "0001-01-01T00:00:00+23:00"))
    yield Case("something else than an object of counts", shapes, *_NO_OBJECT)
    yield Case("the same name twice in an object, with two counts", (twice,), *_TWICE)
    yield Case(
        "the same hour under two names, `7` and `07`", (changed(_hour_twice),), *_SAME, "28hr"
    )
    yield Case("a day that does not exist", no_days, *_NO_DAY, "historical")
    yield Case("28 hours that last a year", (year,), *_NO_28_HOURS, "28hr")
    yield Case("28 hours whose start is not a time", never, *_NO_START, "28hr")
    yield Case(
        "hours that are a week apart, without start and end", (_other_hours,), *_MORE_HOURS, "28hr"
    )


def _counts() -> Iterator[Case]:
    others = counts("null", "true", "[]", "[1]", '{"2026-01-01": "1"}')
    fractions = counts("1.5", "1e3", "NaN", "-Infinity", '"1.5"', '"1e3"')
    texts = counts('"1,000"', '"0x1f"', '" 7"', '"7\\n"', '""', '"-"', '"+7"', '"1_000"')
    scripts = counts('"\u0663"', '"\\u0663"', '"\\ud800"')
    beyond = counts('"9223372036854775808"', "9223372036854775808", '"-9223372036854775809"')
    yield Case("`null`, `true`, an array or an object as a count", others, *_NO_NUMBER)
    yield Case("a fraction, an exponent, `NaN` or `Infinity`", fractions, *_NO_NUMBER)
    yield Case("text such as `1,000`, `0x1f`, `+7`, or empty text", texts, *_NO_NUMBER)
    yield Case("digits of another script, a lone surrogate", scripts, *_NO_NUMBER)
    yield Case("a number beyond 64 bits", beyond, *_NO_NUMBER)
    yield Case("numbers in place of text", (changed(_as_numbers),), Gives.NOTHING)


def _beside_the_counts() -> Iterator[Case]:
    names = with_names(next="x", meta={"a": [1]})
    empty = changed(lambda good: grouping(good).update({"x": {}, "": {}}))
    lists = with_names(unavailable_tweet_ids=_NO_IDS, unsupported_for_x_tweet_ids=[OTHER])
    times = with_names(start="soon", end=7), with_names(start="0001-01-01T00:00:00+23:00")
    few = tuple(as_it_is(f"x-per-minute-limit: {limit}") for limit in ("0.0001", "0", "-1", "nan"))
    odd = ("x-per-minute-remaining: 0", "x-per-minute-reset: -5", "Set-Cookie: a=b; Domain=.")
    dates = tuple(as_it_is(*odd, f"Date: {date}") for date in _NO_DATES)
    yield Case("unknown names beside the groupings", (names,), Gives.NOTHING)
    yield Case(
        "names that are not Tweets, without counts", (empty,), Gives.NOTHING, endpoint="historical"
    )
    yield Case("lists with ids that are invalid or were not requested", (lists,), Gives.NOTHING)
    yield Case("a start and end that are not times", times, Gives.NOTHING, endpoint="historical")
    yield Case("a rate limit near 0", few, Gives.NOTHING)
    yield Case("invalid headers", dates, Gives.NOTHING)


def _partial_answers() -> Iterator[Case]:
    days = changed(_each_series({"2015-01-01": "7", "9999-12-31": "7"}))
    absent = changed(_remove_tweet), changed(_remove_type)
    yield Case("Tweets that were not requested", (changed(_add_tweet),), Gives.ASIDE)
    yield Case("types that were not requested", (changed(_add_types),), Gives.ASIDE)
    yield Case("days that were not requested", (days,), Gives.ASIDE, endpoint="historical")
    yield Case("no counts of one Tweet, or of one of its types", absent, Gives.LISTED)
    yield Case(
        "a Tweet that is listed as unavailable, with counts",
        (changed(_list_as_unavailable),),
        Gives.LISTED,
    )
    yield Case(
        "a Tweet that is listed as forbidden, with counts",
        (changed(_list_as_forbidden),),
        Gives.LISTED,
    )
    yield Case(
        "`0` for a type that is listed as unsupported", (changed(_unsupported),), Gives.LISTED
    )
    future = changed(_unsupported_in_future)
    yield Case("a Tweet that is unsupported for an unknown type", (future,), Gives.LISTED)


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
    none = tuple(fixed(b"", f"Retry-After: {wait}", status=429) for wait in ("-1e999", "soon"))
    yield Case("status 401: wrong keys or tokens", (keys,), *_NO_KEYS)
    yield Case("status 403 with another message", (said(403, "no"),), *_NO_ACCESS)
    yield Case("status 400, 413 or 418 with another message", others, *_REFUSED)
    yield Case("status 404", (said(404, "no"),), *_NOWHERE)
    yield Case("status 403 or 404 with an HTML page", pages, *_NO_API)
    yield Case("a redirect: 301, 302 or 307", away, *_REDIRECTED)
    yield Case("a redirect with a body without end", (endless(body, b" " * 2**16),), *_TOO_LARGE)
    yield Case("a refusal for Tweets, without their ids", unnamed, *_NONE)
    yield Case("a refusal for Tweets that were not requested", (named,), *_NONE)
    yield Case("a message with escapes, line breaks and 100,000 letters", (odd,), *_IN_WORDS)
    yield Case("status 429 with a wait of a day", (day,), *_TOO_LONG_A_WAIT)
    yield Case("status 429 with an invalid wait", none, *_THROTTLED)


def _tokens() -> Iterator[Case]:
    """Yield responses to the exchange of key and secret for an app-only token."""
    texts = ('"a b"', '"a\\r\\nX-More: 1"', '"\\u20ac"', '""', "7", "null")
    bodies = (f'{{"token_type": "bearer", "access_token": {text}}}'.encode() for text in texts)
    odd = tuple(fixed(body, JSON) for body in bodies)
    none = fixed(HTML), fixed(b"[]"), fixed(_DEEP), bomb, endless(HEAD + b"\r\n", b" " * 2**16)
    no_end = trickle(HEAD, b"X"), trickle(HEAD + b"\r\n", b" "), fixed(b"plain", ZIPPED)
    refused = tuple(said(status, "no") for status in (400, 401, 403))
    yield Case("a token that is not valid in a header", odd, *_NO_TOKEN, "token")
    yield Case("HTML, other JSON or an endless body in place of a token", none, *_NO_TOKEN, "token")
    yield Case(
        "an endless response, or broken gzip, in place of a token", no_end, *_UNREACHABLE, "token"
    )
    yield Case("a refusal of the key and secret", refused, *_NO_PAIR, "token")


# ---- Changes to a good response --------------------------------------------------------------


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


def _add_tweet(good: Good) -> None:
    grouping(good)[OTHER] = dict.fromkeys(first_object(good), "7")


def _add_types(good: Good) -> None:
    for types in grouping(good).values():
        types |= {"bookmarks": "7", "url_clicks": "7"}


def _remove_tweet(good: Good) -> None:
    del grouping(good)[ids(good)[0]]


def _remove_type(good: Good) -> None:
    del grouping(good)[ids(good)[0]]["favorites"]


def _list_as_unavailable(good: Good) -> None:
    good["unavailable_tweet_ids"] = ids(good)[:1]


def _list_as_forbidden(good: Good) -> None:
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
"""Every malformed response that is tested."""
