"""Which requests a pull needs: as few as the service's limits allow, none without an answer."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.spec import AGE_MARGIN, Access, GroupBy
from airflow_provider_engagement.api.tweet_id import created_at

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_provider_engagement.api.query import Query

__all__ = ["Plan", "PlannedRequest", "batches", "make_plan"]


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request to send.

    :param tweet_ids: the Tweets, at most as many as the endpoint takes.
    :param engagement_types: the counts.
    :param access: with whose eyes.
    """

    tweet_ids: tuple[str, ...]
    engagement_types: tuple[str, ...]
    access: Access


@dataclass(frozen=True, slots=True)
class Plan:
    """All requests of a pull, and what is not worth one.

    :param query: what is asked.
    :param tweet_ids: every id asked for, each once.
    :param requests: what to send.
    :param too_old: by id, the types that the Tweet is too old for. A Tweet that is too old for
        all of them is in no request.
    """

    query: Query
    tweet_ids: tuple[str, ...]
    requests: tuple[PlannedRequest, ...]
    too_old: dict[str, tuple[str, ...]]

    @property
    def max_rows(self) -> int:
        """How many rows at most the answers can give, time levels aside."""
        rows = 0
        for grouping in self.query.groupings:
            by_type = GroupBy.ENGAGEMENT_TYPE in grouping.group_by
            if GroupBy.TWEET_ID in grouping.group_by:
                rows += sum(
                    len(request.tweet_ids) * (len(request.engagement_types) if by_type else 1)
                    for request in self.requests
                )
            else:
                rows += len(self.query.engagement_types) if by_type else 1
        return rows

    def __str__(self) -> str:
        query = self.query
        old = f", {len(self.too_old):,} of them too old for some types" if self.too_old else ""
        return (
            f"{len(self.requests):,} requests to {query.endpoint.name} for "
            f"{len(self.tweet_ids):,} Tweets{old}, with {query.access} access: "
            f"{', '.join(query.engagement_types)} by "
            f"{' and '.join(grouping.canonical for grouping in query.groupings)}; "
            f"at most {self.max_rows:,} rows."
        )

    def describe(self) -> dict[str, object]:
        """Tell the plan in figures, for the log, the summary and ``plan_only``."""
        return {
            "endpoint": str(self.query.endpoint.name),
            "access": str(self.query.access),
            "engagement_types": list(self.query.engagement_types),
            "groupings": [grouping.canonical for grouping in self.query.groupings],
            "tweets": len(self.tweet_ids),
            "tweets_too_old_for_some_types": len(self.too_old),
            "requests": len(self.requests),
            "rows_at_most": self.max_rows,
        }


def make_plan(query: Query, tweet_ids: Sequence[str], *, now: datetime) -> Plan:
    """Plan a pull of counts to date.

    Tweets are batched by what their age still lets them give, so that no request asks for what
    cannot be answered, and each is full but the last of its kind.

    :param query: what is asked.
    :param tweet_ids: of which Tweets, each once.
    :param now: the present, UTC.
    """
    by_types: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    too_old: dict[str, tuple[str, ...]] = {}
    for tweet_id in tweet_ids:
        spared = _types_too_old_for(query, tweet_id, now=now)
        if spared:
            too_old[tweet_id] = spared
        types = tuple(name for name in query.engagement_types if name not in spared)
        by_types[types].append(tweet_id)
    requests = tuple(
        PlannedRequest(tweet_ids=batch, engagement_types=types, access=query.access)
        for types, ids in by_types.items()
        if types
        for batch in batches(ids, query.endpoint.max_tweet_ids)
    )
    return Plan(query=query, tweet_ids=tuple(tweet_ids), requests=requests, too_old=too_old)


def batches(tweet_ids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Cut a list of ids into runs of at most ``size``."""
    return [tuple(tweet_ids[at : at + size]) for at in range(0, len(tweet_ids), size)]


def _types_too_old_for(query: Query, tweet_id: str, *, now: datetime) -> tuple[str, ...]:
    limits = query.endpoint.age_limits
    if not limits:
        return ()
    created = created_at(tweet_id)
    return tuple(
        name
        for name in query.engagement_types
        # An id from before Snowflake is older than every limit.
        if name in limits and (created is None or now - created > limits[name] + AGE_MARGIN)
    )
