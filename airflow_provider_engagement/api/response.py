"""What the service said, read out of bytes that are not to be trusted.

A 200 may be partial, a 400 or 403 may be about single Tweets, and an HTML page may come with any
status: so the body and the status are judged together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
    InvalidResponseError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
)
from airflow_provider_engagement.api.spec import (
    ENGAGEMENT_TYPES,
    RESERVED_GROUPING_NAMES,
    RESERVED_GROUPING_PREFIX,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["EngagementResponse", "Reply", "TweetsRefusedError", "read_response"]

_IDS_SUFFIX: Final = "_tweet_ids"
_FORBIDDEN: Final = "forbidden to access tweets"
_UNAVAILABLE: Final = "tweet id(s) are unavailable"
_MOST_WORDS: Final = 5
_LONGEST_WORD: Final = 300
_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_OK: Final = HTTPStatus.OK
_SUCCESS: Final = 2  # the hundreds of a status
_REDIRECTION: Final = 3


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole and inflated.

    :param status: its status.
    :param headers: its headers, names in lower case.
    :param body: its body.
    :param received_at: when it had come, UTC.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class EngagementResponse:
    """The counts of one request.

    :param groupings: by name, the nested counts as the service sent them.
    :param unavailable: ids that are deleted, protected or suspended.
    :param forbidden: ids that belong to somebody else, where the service still served the rest.
    :param unsupported: by id, the types that the service lists as unsupported for it, though it
        may send ``"0"``.
    :param received_at: when it came, UTC.
    :param start: the first moment that it covers, UTC, where it says so.
    :param end: the first moment that it covers no more, UTC, where it says so.
    :param stands_once: tells whether no name stands twice in an object, given how many names were
        read in the groupings, below their own.
    """

    groupings: Mapping[str, Any]
    unavailable: frozenset[str]
    forbidden: frozenset[str]
    unsupported: Mapping[str, frozenset[str]]
    received_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    stands_once: Callable[[int], bool] = field(default=lambda _: True, repr=False, compare=False)


class TweetsRefusedError(PermissionDeniedError):
    """The service refused a whole request because of some of its Tweets.

    :param forbidden: those that belong to somebody else.
    :param unavailable: those that are gone or protected.

    Both are empty where the refusal names none.
    """

    forbidden: frozenset[str] = frozenset()
    unavailable: frozenset[str] = frozenset()


def read_response(
    reply: Reply, *, grouping_names: Collection[str], redact: Callable[[str], str]
) -> EngagementResponse:
    """Read the counts of a reply, or raise what it means instead.

    :param reply: what came.
    :param grouping_names: the groupings that were asked for.
    :param redact: takes secrets out of the service's words.
    :raises TweetsRefusedError: if some Tweets sink the request.
    :raises EngagementError: of the kind that the refusal or fault is.
    """
    document = _document(reply)
    errors = _errors(document)
    words = _shown(errors, redact)
    if reply.status == _OK and document is not None:
        found = {name: document[name] for name in grouping_names if name in document}
        unavailable = _ids(document.get("unavailable_tweet_ids"))
        if found or (unavailable and not errors):
            return EngagementResponse(
                groupings=found,
                unavailable=unavailable,
                forbidden=_forbidden_ids(errors),
                unsupported=_unsupported(document),
                received_at=reply.received_at,
                start=_moment(document.get("start")),
                end=_moment(document.get("end")),
                stands_once=partial(_stands_once, reply.body, {**document, **dict.fromkeys(found)}),
            )
    raise _refusal(reply, document, errors, words)


def _document(reply: Reply) -> dict[str, Any] | None:
    """Read the body's object; None where there is none, which only a refusal may."""
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    if reply.status == _OK:
        kind = "an HTML page" if reply.body.lstrip()[:1] == b"<" else "no JSON object"
        msg = f"The answer is {kind}, of {len(reply.body)} bytes."
        raise InvalidResponseError(
            msg,
            status=reply.status,
            advice="A proxy or the service's front door may have answered instead.",
        )
    return None


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object, whose names may each stand there once: of two counts none is right."""
    made = dict(pairs)
    if len(made) < len(pairs):
        msg = "a name stands there twice"
        raise ValueError(msg)
    return made


def _stands_once(body: bytes, rest: Mapping[str, Any], members: int) -> bool:
    """Tell whether each name stands once where it stands.

    To look at every object takes a third of the time that parsing does. So colons are counted
    first: where there are just as many as names, those in the rest of the document aside, none is
    left for a name that stood there before. But an escape in the rest may hide one.
    """
    try:
        if b"\\" not in body:
            elsewhere = json.dumps(rest, ensure_ascii=False).count(":")
            if body.count(b":") - elsewhere == members:
                return True
        json.loads(body, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        return False
    return True


def _errors(document: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Read ``errors``: strings from this API, objects with a message from the front door."""
    entries = document.get("errors") if document else None
    if not isinstance(entries, list):
        return ()
    texts = (
        entry if isinstance(entry, str) else entry.get("message")
        for entry in entries
        if isinstance(entry, (str, dict))
    )
    return tuple(text for text in texts if isinstance(text, str))


def _shown(errors: tuple[str, ...], redact: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(
        "".join(c if c.isprintable() else " " for c in redact(text)[:_LONGEST_WORD])
        for text in errors[:_MOST_WORDS]
    )


def _refusal(
    reply: Reply,
    document: Mapping[str, Any] | None,
    errors: tuple[str, ...],
    words: tuple[str, ...],
) -> EngagementError:
    status, said = reply.status, " ".join(errors).lower()
    if status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in said:
        return RateLimitError("The service refused a request for its rate.", status=status)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return ServiceError("The service failed.", status=status, words=words)
    if _FORBIDDEN in said or _UNAVAILABLE in said:
        return _tweets_refused(reply, document, errors, words)
    if "application id is not authorized" in said:
        return PermissionDeniedError(
            "The app is not enabled for the Engagement API.",
            status=status,
            words=words,
            advice="Ask X's account manager to enable the app's id.",
        )
    if status == HTTPStatus.UNAUTHORIZED or "could not be authenticated" in said:
        return AuthenticationError(
            "The service did not accept the credentials.",
            status=status,
            words=words,
            advice="Check the connection's keys and tokens, and this machine's clock; "
            "the owner may have revoked the app.",
        )
    if status == HTTPStatus.FORBIDDEN:
        return PermissionDeniedError("The service refused access.", status=status, words=words)
    if status // 100 == _SUCCESS:
        return InvalidResponseError(
            "The answer holds none of the groupings asked for.", status=status, words=words
        )
    return _other_refusal(status, words)


def _other_refusal(status: int, words: tuple[str, ...]) -> EngagementError:
    if status == HTTPStatus.NOT_FOUND or status // 100 == _REDIRECTION:
        return InvalidArgumentError(
            "There is no such endpoint at this host.",
            status=status,
            words=words,
            advice="Check the connection's host; redirects are not followed.",
        )
    if status == HTTPStatus.NOT_ACCEPTABLE:
        return ServiceError(
            "The service wants gzip, and was not told that we take it.",
            status=status,
            words=words,
            advice="Something between here and there takes the Accept-Encoding header away.",
        )
    return InvalidArgumentError("The service refused the request.", status=status, words=words)


def _tweets_refused(
    reply: Reply,
    document: Mapping[str, Any] | None,
    errors: tuple[str, ...],
    words: tuple[str, ...],
) -> TweetsRefusedError:
    error = TweetsRefusedError(
        "The service refused a request because of some of its Tweets.",
        status=reply.status,
        words=words,
    )
    error.forbidden = _forbidden_ids(errors)
    error.unavailable = _ids((document or {}).get("unavailable_tweet_ids"))
    return error


def _forbidden_ids(errors: tuple[str, ...]) -> frozenset[str]:
    """Read ids out of both wordings: after the last colon, since one has an author id before."""
    return frozenset(
        part.strip()
        for text in errors
        if text.lower().startswith(_FORBIDDEN) and ":" in text
        for part in text.rpartition(":")[2].split(",")
        if _DIGITS.fullmatch(part.strip())
    )


def _ids(value: object) -> frozenset[str]:
    """Read an array of ids, which may be absent, empty, or of numbers."""
    if not isinstance(value, list):
        return frozenset()
    return frozenset(
        str(item) for item in value if isinstance(item, (str, int)) and _DIGITS.fullmatch(str(item))
    )


def _moment(value: object) -> datetime | None:
    """Read ``start`` or ``end``, which may be absent. A time without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is None or moment.tzinfo is None:
            return moment and moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _unsupported(document: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Read every ``unsupported_for_…_tweet_ids``, those of the future too.

    The types stand in the key, joined with ``_``. One that names no type that we know is taken to
    mean every type: a count that may be no count is left out.
    """
    found: dict[str, frozenset[str]] = {}
    for key, value in document.items():
        if key in RESERVED_GROUPING_NAMES or not (
            key.startswith(RESERVED_GROUPING_PREFIX) and key.endswith(_IDS_SUFFIX)
        ):
            continue
        middle = key.removeprefix(RESERVED_GROUPING_PREFIX).removesuffix(_IDS_SUFFIX)
        types = frozenset(name for name in ENGAGEMENT_TYPES if f"_{name}_" in f"_{middle}_")
        for tweet_id in _ids(value):
            found[tweet_id] = found.get(tweet_id, frozenset()) | (
                types or frozenset(ENGAGEMENT_TYPES)
            )
    return found
