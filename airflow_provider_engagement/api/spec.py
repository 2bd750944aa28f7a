"""What the Engagement API allows, in one table.

Validation, planning, the simulator and the docs read every limit here.

Comments name the source: *documented* is X's own reference, *seen* is real client code or a trace,
*inferred* is concluded from documented examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AGE_LIMITS",
    "AGE_MARGIN",
    "ENDPOINTS",
    "ENGAGEMENT_TYPES",
    "FALSE_ZEROS_BEFORE",
    "FOUR_LEVEL_ORDERS",
    "GROUP_BY_ORDER",
    "HISTORICAL_FLOOR",
    "HISTORICAL_REACH",
    "MAX_GROUPINGS",
    "PUBLIC_TYPES",
    "RESERVED_GROUPING_NAMES",
    "RESERVED_GROUPING_PREFIX",
    "Access",
    "Endpoint",
    "EndpointName",
    "GroupBy",
    "check_one_of",
]


class EndpointName(StrEnum):
    """The three endpoints, by the last part of their path."""

    TOTALS = "totals"
    LAST_28_HOURS = "28hr"
    HISTORICAL = "historical"


class Access(StrEnum):
    """The credentials that a count was fetched with."""

    OWNER = "owner"
    """OAuth 1.0a with the tokens of the Tweets' owner: every type, own Tweets only."""
    PUBLIC = "public"
    """App-only bearer token: the public types of any public Tweet, on ``/totals`` only."""


class GroupBy(StrEnum):
    """The levels that counts can be grouped by. Counts are summed over the other levels."""

    TWEET_ID = "tweet.id"
    ENGAGEMENT_TYPE = "engagement.type"
    DAY = "engagement.day"
    HOUR = "engagement.hour"


# Every engagement type, in the order of the wide layout's columns (documented).
ENGAGEMENT_TYPES: Final = (
    "impressions",
    "engagements",
    "favorites",
    "retweets",
    "replies",
    "quote_tweets",
    "video_views",
    "media_views",
    "media_engagements",
    "url_clicks",
    "hashtag_clicks",
    "detail_expands",
    "permalink_clicks",
    "app_install_attempts",
    "app_opens",
    "email_tweet",
    "user_follows",
    "user_profile_clicks",
)

# Served app-only, for any public Tweet, on /totals (documented: authentication guide).
PUBLIC_TYPES: Final = ("favorites", "retweets", "replies", "quote_tweets", "video_views")

# The canonical order of levels. It names a grouping, whatever the order in the request.
GROUP_BY_ORDER: Final = tuple(GroupBy)

# At most three named groupings a request (documented; the ten of a 2016 README is out of date).
MAX_GROUPINGS: Final = 3

# Four levels are accepted in these orders only, and one such grouping a request (documented).
FOUR_LEVEL_ORDERS: Final = (
    (GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE, GroupBy.DAY, GroupBy.HOUR),
    (GroupBy.ENGAGEMENT_TYPE, GroupBy.TWEET_ID, GroupBy.DAY, GroupBy.HOUR),
)

# A grouping's name becomes a top-level key of the response, beside these (inferred).
RESERVED_GROUPING_NAMES: Final = frozenset({"start", "end", "errors", "unavailable_tweet_ids"})
RESERVED_GROUPING_PREFIX: Final = "unsupported_for_"

# The age of a Tweet beyond which /totals no longer serves a type (documented: API reference,
# changelog of 2021-08-16).
AGE_LIMITS: Final = {
    "impressions": timedelta(days=90),
    "engagements": timedelta(days=90),
    "video_views": timedelta(days=1800),
}

# /historical sends 0 for these types on earlier days, whatever happened then (documented).
FALSE_ZEROS_BEFORE: Final = dict.fromkeys(
    ("favorites", "retweets", "replies"), datetime(2015, 9, 15, tzinfo=UTC)
)

# How the service rounds an age is unknown. Within this margin beyond the limit, a type is still
# requested, and the response decides.
AGE_MARGIN: Final = timedelta(days=2)

# /historical has nothing older (documented). Another page says that it has the last 365 days.
HISTORICAL_FLOOR: Final = datetime(2014, 9, 1, tzinfo=UTC)
HISTORICAL_REACH: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What one endpoint allows.

    :param name: which endpoint.
    :param max_tweet_ids: ids in one request, at most.
    :param engagement_types: the types that it serves.
    :param public_types: the types that it serves app-only, for any public Tweet.
    :param group_by: the levels that its groupings may use.
    :param max_window: the longest ``end - start``; None where a request takes no window.
    """

    name: EndpointName
    max_tweet_ids: int
    engagement_types: tuple[str, ...]
    public_types: tuple[str, ...]
    group_by: tuple[GroupBy, ...]
    max_window: timedelta | None = None

    @property
    def path(self) -> str:
        """The path below the host."""
        return f"/insights/engagement/{self.name}"

    @property
    def age_limits(self) -> dict[str, timedelta]:
        """The age limits of its types. Only ``/totals`` has any."""
        return AGE_LIMITS if self.name is EndpointName.TOTALS else {}


# 28hr and historical serve all types but quote_tweets, to the owner only (documented).
_TIME_SERIES_TYPES = tuple(name for name in ENGAGEMENT_TYPES if name != "quote_tweets")

ENDPOINTS: Final = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint(
            name=EndpointName.TOTALS,
            max_tweet_ids=250,
            engagement_types=("impressions", "engagements", *PUBLIC_TYPES),
            public_types=PUBLIC_TYPES,
            group_by=(GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE),
        ),
        Endpoint(
            name=EndpointName.LAST_28_HOURS,
            max_tweet_ids=25,
            engagement_types=_TIME_SERIES_TYPES,
            public_types=(),
            group_by=tuple(GroupBy),
        ),
        Endpoint(
            name=EndpointName.HISTORICAL,
            max_tweet_ids=25,
            engagement_types=_TIME_SERIES_TYPES,
            public_types=(),
            group_by=tuple(GroupBy),
            max_window=timedelta(days=28),
        ),
    )
}


def check_one_of(value: object, allowed: Iterable[str], *, name: str) -> None:
    """Refuse a value that is not in a fixed list.

    :param value: what was given.
    :param allowed: the list.
    :param name: the parameter, for the message.
    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    choices = [str(choice) for choice in allowed]
    if value not in choices:
        given = repr(str(value) if isinstance(value, str) else value)
        msg = f"{name} is {given}; it must be one of: {', '.join(map(repr, choices))}."
        raise InvalidArgumentError(msg)
