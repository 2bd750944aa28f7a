"""Parses request bodies, and checks them against the limits in ``api/spec.py``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.spec import (
    ENGAGEMENT_TYPES,
    FOUR_LEVEL_ORDERS,
    MAX_GROUPINGS,
    RESERVED_GROUPING_NAMES,
    RESERVED_GROUPING_PREFIX,
    Endpoint,
    GroupBy,
)
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID
from airflow_provider_engagement.simulator import error_responses
from airflow_provider_engagement.simulator.window import Window, window_of

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["ValidRequest", "parse_request"]

_ALL_LEVELS = len(GroupBy)


@dataclass(frozen=True, slots=True)
class ValidRequest:
    """The body of a valid request.

    :param endpoint: the endpoint that received it.
    :param tweet_ids: the ids, each once.
    :param engagement_types: the types, each once.
    :param groupings: the levels of each grouping, by its name.
    :param window: the window; None on ``/totals``.
    """

    endpoint: Endpoint
    tweet_ids: tuple[str, ...]
    engagement_types: tuple[str, ...]
    groupings: dict[str, tuple[GroupBy, ...]]
    window: Window | None


def parse_request(endpoint: Endpoint, raw: bytes, now: datetime) -> ValidRequest:
    """Parse and check a request's body.

    :param endpoint: the endpoint that received it.
    :param raw: the body.
    :param now: the service's current time.
    :raises ErrorResponse: at the first rule that the body violates.
    """
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise error_responses.NOT_JSON.error() from None
    if not isinstance(body, dict):
        raise error_responses.NOT_JSON.error()
    return ValidRequest(
        endpoint=endpoint,
        tweet_ids=_tweet_ids(endpoint, body.get("tweet_ids")),
        engagement_types=_engagement_types(endpoint, body.get("engagement_types")),
        groupings=_groupings(endpoint, body.get("groupings")),
        window=window_of(endpoint, body, now),
    )


def _tweet_ids(endpoint: Endpoint, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise error_responses.IDS_MISSING.error()
    if len(value) > endpoint.max_tweet_ids:
        raise error_responses.TOO_MANY_IDS.error(
            given=len(value), endpoint=endpoint.name, limit=endpoint.max_tweet_ids
        )
    # Repeated ids count once; what the service does with them is unknown.
    return tuple(dict.fromkeys(_tweet_id(place, one) for place, one in enumerate(value)))


def _tweet_id(place: int, value: object) -> str:
    # Numbers are valid too: the getting-started sample and the official Ruby client send them.
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    plain = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 19  # noqa: PLR2004 - the pattern ^[0-9]{1,19}$
    if not plain or not 0 < int(str(text)) <= MAX_TWEET_ID:
        raise error_responses.BAD_ID.error(place=place)
    return str(int(str(text)))


def _engagement_types(endpoint: Endpoint, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise error_responses.TYPES_MISSING.error()
    # Repeated names are valid, because official demos send them.
    names = tuple(dict.fromkeys(str(name) for name in value))
    unknown = [name for name in names if name not in ENGAGEMENT_TYPES]
    if unknown:
        raise error_responses.UNKNOWN_TYPES.error(types=", ".join(unknown))
    elsewhere = [name for name in names if name not in endpoint.engagement_types]
    if elsewhere:
        raise error_responses.TYPES_NOT_HERE.error(
            endpoint=endpoint.name, types=", ".join(elsewhere)
        )
    return names


def _groupings(endpoint: Endpoint, value: object) -> dict[str, tuple[GroupBy, ...]]:
    if not isinstance(value, dict) or not value:
        raise error_responses.GROUPINGS_MISSING.error()
    if len(value) > MAX_GROUPINGS:
        raise error_responses.TOO_MANY_GROUPINGS.error(given=len(value), limit=MAX_GROUPINGS)
    groupings = {name: _levels(endpoint, name, one) for name, one in value.items()}
    if sum(len(levels) == _ALL_LEVELS for levels in groupings.values()) > 1:
        raise error_responses.TWO_FOUR_LEVEL.error()
    return groupings


def _levels(endpoint: Endpoint, name: str, grouping: object) -> tuple[GroupBy, ...]:
    if name in RESERVED_GROUPING_NAMES or name.startswith(RESERVED_GROUPING_PREFIX):
        raise error_responses.RESERVED_NAME.error(name=name)
    given = grouping.get("group_by") if isinstance(grouping, dict) else None
    if not isinstance(given, list) or not given:
        raise error_responses.BAD_GROUPING.error(name=name)
    illegal = [str(level) for level in given if level not in endpoint.group_by]
    if illegal:
        raise error_responses.GROUP_BY_NOT_SUPPORTED.error(levels=", ".join(illegal))
    levels = tuple(GroupBy(level) for level in given)
    if len(set(levels)) != len(levels):
        raise error_responses.REPEATED_LEVEL.error(name=name)
    if len(levels) == _ALL_LEVELS and levels not in FOUR_LEVEL_ORDERS:
        raise error_responses.FOUR_LEVEL_ORDER.error(name=name)
    return levels
