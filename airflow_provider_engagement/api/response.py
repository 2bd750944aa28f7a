"""Reads the service's replies, which are not trusted.

A 200 may be partial, a 400 or 403 may be about single Tweets, and an HTML page may have any status.
So the body and the status are read together.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import (
    ENGAGEMENT_TYPES,
    RESERVED_GROUPING_NAMES,
    RESERVED_GROUPING_PREFIX,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from airflow_provider_engagement.api.transport import Reply

__all__ = [
    "EngagementResponse",
    "error_texts",
    "forbidden_ids",
    "ids_in",
    "kind_of",
    "read_document",
    "read_response",
]

_IDS_SUFFIX: Final = "_tweet_ids"
_FORBIDDEN: Final = "forbidden to access tweets"
_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_OK: Final = HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class EngagementResponse:
    """The counts of one request.

    :param groupings: by name, the nested counts as the service sent them.
    :param unavailable: ids that are deleted, protected or suspended.
    :param forbidden: ids that belong to another account, where the service served the rest.
    :param unsupported: by id, the types that the service lists as unsupported for it, though it
        may send ``"0"`` for them.
    :param received_at: when the response arrived, UTC.
    :param start: the first moment that the response covers, UTC, if it says so.
    :param end: the first moment after it, UTC, if it says so.
    """

    groupings: Mapping[str, Any]
    unavailable: frozenset[str]
    forbidden: frozenset[str]
    unsupported: Mapping[str, frozenset[str]]
    received_at: datetime
    start: datetime | None = None
    end: datetime | None = None

    @property
    def uncounted(self) -> frozenset[str]:
        """Ids that the service says have no counts here, whatever it sends for them."""
        return self.unavailable | self.forbidden


def read_response(reply: Reply, *, grouping_names: Collection[str]) -> EngagementResponse | None:
    """Read the counts of a reply.

    :param reply: the HTTP response.
    :param grouping_names: the groupings of the request.
    :returns: None if the reply has no counts: then it is a refusal or a fault.
    :raises InvalidResponseError: if its status is 200 and it is not a JSON object, or an object in
        it has the same name twice.
    """
    document = read_document(reply)
    errors = error_texts(document)
    if reply.status == _OK and document is not None:
        found = {name: document[name] for name in grouping_names if name in document}
        unavailable = ids_in(document.get("unavailable_tweet_ids"))
        if found or (unavailable and not errors):
            _check_names_are_unique(reply.body, document, found.values())
            return EngagementResponse(
                groupings=found,
                unavailable=unavailable,
                forbidden=forbidden_ids(errors),
                unsupported=_unsupported(document),
                received_at=reply.received_at,
                start=_moment(document.get("start")),
                end=_moment(document.get("end")),
            )
    return None


def read_document(reply: Reply) -> dict[str, Any] | None:
    """Return the body's JSON object; None if there is none, which only a refusal may have.

    :raises InvalidResponseError: if there is none although the status is 200.
    """
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict):
        return document
    if reply.status == _OK:
        msg = f"The response is {kind_of(reply.body)}, of {len(reply.body)} bytes."
        raise InvalidResponseError(
            msg,
            status=reply.status,
            advice="A proxy or the service's front door may have answered instead.",
        )
    return None


def _check_names_are_unique(
    body: bytes, document: Mapping[str, Any], groupings: Iterable[object]
) -> None:
    """Refuse a response in which an object has the same name twice: neither count is right.

    To parse with a hook for every object takes a third longer. So colons are counted first. If
    the body has as many as there are names and colons in text, no name was overwritten. An escape
    may hide a colon, so a body with one is parsed again.

    :raises InvalidResponseError: if an object has the same name twice.
    """
    rest = {name: None if isinstance(value, dict) else value for name, value in document.items()}
    elsewhere = json.dumps(rest, ensure_ascii=False).count(":")
    members = _count_members(groupings)
    if b"\\" not in body and body.count(b":") == elsewhere + members:
        return
    try:
        json.loads(body, object_pairs_hook=_object_with_unique_names)
    except (ValueError, RecursionError):
        msg = "The response has an object with the same name twice."
        raise InvalidResponseError(msg) from None


def _count_members(values: Iterable[object]) -> int:
    """Count the names of nested objects, level by level."""
    members, level = 0, [value for value in values if isinstance(value, dict)]
    while level:
        members += sum(map(len, level))
        # Objects of one level are alike: either all of their values are objects, or none.
        deeper = [value for value in level if isinstance(next(iter(value.values()), None), dict)]
        level = [one for value in deeper for one in value.values() if isinstance(one, dict)]
    return members


def _object_with_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        msg = "the same name twice"
        raise ValueError(msg)
    return made


def error_texts(document: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the texts of ``errors``: strings from this API, objects from the front door."""
    entries = document.get("errors") if document else None
    if not isinstance(entries, list):
        return ()
    texts = (
        entry if isinstance(entry, str) else entry.get("message")
        for entry in entries
        if isinstance(entry, (str, dict))
    )
    return tuple(text for text in texts if isinstance(text, str))


def forbidden_ids(errors: tuple[str, ...]) -> frozenset[str]:
    """Read the ids of both wordings: after the last colon, because one has an author id before."""
    return frozenset(
        part.strip()
        for text in errors
        if text.lower().startswith(_FORBIDDEN) and ":" in text
        for part in text.rpartition(":")[2].split(",")
        if _DIGITS.fullmatch(part.strip())
    )


def ids_in(value: object) -> frozenset[str]:
    """Read an array of ids, which may be absent, empty, or of numbers."""
    if not isinstance(value, list):
        return frozenset()
    return frozenset(
        str(item) for item in value if isinstance(item, (str, int)) and _DIGITS.fullmatch(str(item))
    )


def kind_of(body: bytes) -> str:
    """Name what a body is, if it is not a JSON object."""
    return "an HTML page" if body.lstrip()[:1] == b"<" else "not a JSON object"


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
    """Read every ``unsupported_for_…_tweet_ids``, also those that are new.

    The key names the types, joined with ``_``. A key without a known type counts for every type:
    a count that may be wrong is left out.
    """
    found: dict[str, frozenset[str]] = {}
    for key, value in document.items():
        if key in RESERVED_GROUPING_NAMES or not (
            key.startswith(RESERVED_GROUPING_PREFIX) and key.endswith(_IDS_SUFFIX)
        ):
            continue
        middle = key.removeprefix(RESERVED_GROUPING_PREFIX).removesuffix(_IDS_SUFFIX)
        types = frozenset(name for name in ENGAGEMENT_TYPES if f"_{name}_" in f"_{middle}_")
        for tweet_id in ids_in(value):
            found[tweet_id] = found.get(tweet_id, frozenset()) | (
                types or frozenset(ENGAGEMENT_TYPES)
            )
    return found
