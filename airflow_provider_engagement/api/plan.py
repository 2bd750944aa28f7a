"""Which requests a pull needs: as few as the service's limits allow, and none without an answer."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.query import PlannedRequest
from airflow_provider_engagement.api.spec import AGE_MARGIN, Access, GroupBy
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_engagement.api.query import Query

__all__ = [
    "Plan",
    "ReportingPeriod",
    "batches",
    "bucket_size",
    "iso_text",
    "make_plan",
    "period_of_snapshot",
    "period_of_window",
    "public_requests",
    "utc_text",
]

log = logging.getLogger(__name__)

# A response of 28hr covers 28 hours and the current one.
_BUCKETS_OF_28HR = 29


@dataclass(frozen=True, slots=True)
class ReportingPeriod:
    """What the counts of a pull are about.

    :param snapshot_at: the moment that counts to date are of, UTC.
    :param period: the whole period of the run, aligned, UTC. The plan's window may be shorter, if
        the service does not hold all of it. None for counts to date.
    :param since_posting: how long each Tweet is counted from its posting on; the period then spans
        the windows of all Tweets. None if they share one window.
    """

    snapshot_at: datetime
    period: Window | None = None
    since_posting: timedelta | None = None

    def ages_at(self, now: datetime) -> datetime:
        """Return the moment at which the ages of Tweets decide what is requested.

        It is the same in each try of a run, because a retry resumes only requests that it plans
        again.

        :param now: the present, UTC; returned if the run is not of the last day.
        """
        return self.snapshot_at if timedelta() <= now - self.snapshot_at <= AGE_MARGIN / 2 else now

    def describe(self) -> dict[str, str]:
        """Return it as JSON-able text: ``snapshot_at``, or ``start`` and ``end``.

        ``since_posting``, an ISO 8601 duration, is there if each Tweet has a window of its own.
        """
        length = _describe_length(self.since_posting)
        if self.period is None:
            return {**length, "snapshot_at": utc_text(self.snapshot_at)}
        start, end = utc_text(self.period.start), utc_text(self.period.end)
        return {**length, "start": start, "end": end}


def utc_text(moment: datetime) -> str:
    """Return a UTC datetime as ISO 8601 text that ends in ``Z``."""
    return moment.isoformat().replace("+00:00", "Z")


def iso_text(length: timedelta) -> str:
    """Return a duration as ISO 8601 text, such as ``P28D`` or ``PT36H``."""
    if length % DAY == timedelta(0):
        return f"P{length // DAY}D"
    hours, rest = divmod(length, HOUR)
    return f"PT{hours}H" if not rest else f"PT{length.total_seconds():g}S"


def _describe_length(since_posting: timedelta | None) -> dict[str, str]:
    return {"since_posting": iso_text(since_posting)} if since_posting else {}


@dataclass(frozen=True, slots=True)
class Plan:
    """All requests of a pull, and what it requests nothing for.

    :param query: what is asked.
    :param tweet_ids: every id, each once.
    :param requests: what to send, the latest window first. If its response says that a Tweet
        belongs to another account, the other windows leave the Tweet out.
    :param too_old: by id, the types that the Tweet is too old for. A Tweet that is too old for
        all of them is in no request.
    :param too_young: ids of Tweets that were created after the window.
    :param window: the whole window; None if the endpoint takes no window.
    :param windows: how many parts it is split into.
    :param since_posting: how long each Tweet is counted from its posting on; None if they share
        one window.
    """

    query: Query
    tweet_ids: tuple[str, ...]
    requests: tuple[PlannedRequest, ...]
    too_old: dict[str, tuple[str, ...]]
    too_young: tuple[str, ...] = ()
    window: Window | None = None
    windows: int = 0
    since_posting: timedelta | None = None

    @property
    def max_rows(self) -> int:
        """How many rows the responses have, at most."""
        rows = 0
        for grouping in self.query.groupings:
            levels = set(grouping.group_by)
            for request in self.requests:
                counts = len(request.engagement_types) if GroupBy.ENGAGEMENT_TYPE in levels else 1
                tweets = len(request.tweet_ids) if GroupBy.TWEET_ID in levels else 1
                windows = request.parts.values() or [request.window] * tweets
                rows += counts * sum(_buckets(levels, window) for window in windows)
        return rows

    def minutes(self, requests_per_minute: float | None) -> float | None:
        """Return the minutes that the requests take at the contract's rate; None if unknown."""
        return len(self.requests) / requests_per_minute if requests_per_minute else None

    def __str__(self) -> str:
        query = self.query
        old = f", {len(self.too_old):,} of them too old for some types" if self.too_old else ""
        young = f", {len(self.too_young):,} of them created later" if self.too_young else ""
        when = f", {self.window} in {_counted(self.windows, 'window')}" if self.window else ""
        if self.since_posting:
            when += f", each Tweet for {iso_text(self.since_posting)} from its posting"
        return (
            f"{_counted(len(self.requests), 'request')} to {query.endpoint.name} for "
            f"{_counted(len(self.tweet_ids), 'Tweet')}{old}{young}{when}, "
            f"with {query.access} access: "
            f"{', '.join(query.engagement_types)} by "
            f"{' and '.join(grouping.canonical for grouping in query.groupings)}; "
            f"at most {self.max_rows:,} rows."
        )

    def describe(self) -> dict[str, object]:
        """Return the plan in figures, for the summary and ``plan_only``."""
        return {
            **_describe_length(self.since_posting),
            "endpoint": str(self.query.endpoint.name),
            "access": str(self.query.access),
            "engagement_types": list(self.query.engagement_types),
            "groupings": [grouping.canonical for grouping in self.query.groupings],
            "tweets": len(self.tweet_ids),
            "tweets_too_old_for_some_types": len(self.too_old),
            "tweets_created_later": len(self.too_young),
            "windows": self.windows,
            "requests": len(self.requests),
            "rows_at_most": self.max_rows,
        }


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def make_plan(
    query: Query, tweet_ids: Sequence[str], *, now: datetime, window: Window | None = None
) -> Plan:
    """Plan a pull.

    Tweets are batched by the types that the service still serves at their age. So no request
    contains a type that cannot be answered, and each is full but the last of its kind.

    :param query: what is asked.
    :param tweet_ids: the Tweets, each once.
    :param now: the moment that decides how old a Tweet is, UTC.
    :param window: the aligned window; only for ``historical``.
    """
    if window is not None:
        return _plan_of_windows(query, tweet_ids, window)
    by_types: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    too_old: dict[str, tuple[str, ...]] = {}
    for tweet_id in tweet_ids:
        skipped = _types_too_old_for(query, tweet_id, now=now)
        if skipped:
            too_old[tweet_id] = skipped
        types = tuple(name for name in query.engagement_types if name not in skipped)
        by_types[types].append(tweet_id)
    return Plan(
        query=query,
        tweet_ids=tuple(tweet_ids),
        requests=_requests(query, by_types, query.access),
        too_old=too_old,
    )


def _plan_of_windows(query: Query, tweet_ids: Sequence[str], window: Window) -> Plan:
    """Plan requests for each part of the window, with the Tweets that existed by its end.

    Tweets are batched by age, so that a batch's first window can begin with its oldest Tweet.
    """
    step, longest = bucket_size(query), query.endpoint.max_window
    if longest is None:
        msg = f"{query.endpoint.name} takes no window"
        raise ValueError(msg)
    created_times = {tweet_id: created_at(tweet_id) for tweet_id in tweet_ids}
    by_age = sorted(tweet_ids, key=int)
    parts = split(window, longest, step)
    requests: list[PlannedRequest] = []
    for part in parts:
        existing = [
            item for item in by_age if _creation(created_times[item], window.start) < part.end
        ]
        for batch in batches(existing, query.endpoint.max_tweet_ids):
            oldest = _creation(created_times[batch[0]], window.start)
            start = max(part.start, align_to(Window(oldest, oldest + HOUR), step).start)
            requests.append(
                PlannedRequest(
                    tweet_ids=batch,
                    engagement_types=query.engagement_types,
                    access=query.access,
                    window=Window(start, part.end),
                )
            )
    return Plan(
        query=query,
        tweet_ids=tuple(tweet_ids),
        requests=tuple(requests),
        too_old={},
        too_young=tuple(
            i for i in tweet_ids if _creation(created_times[i], window.start) >= window.end
        ),
        window=window,
        windows=len(parts),
    )


def public_requests(plan: Plan, foreign: Sequence[str]) -> tuple[Query, tuple[PlannedRequest, ...]]:
    """Plan app-only requests for the public counts of foreign Tweets.

    Only rows of single Tweets and types are requested. A sum over other types, or over other
    people's Tweets, would be another number under the same name.

    :param plan: the pull's plan.
    :param foreign: ids of Tweets that belong to another account.
    :returns: the query with the groupings that remain, and the requests; none if app-only access
        has no such counts.
    """
    query = plan.query
    groupings = tuple(
        grouping
        for grouping in query.groupings
        if {GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE}.issubset(grouping.group_by)
    )
    types = [name for name in query.engagement_types if name in query.endpoint.public_types]
    by_types: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for tweet_id in foreign if groupings else ():
        skipped = plan.too_old.get(tweet_id, ())
        by_types[tuple(name for name in types if name not in skipped)].append(tweet_id)
    return replace(query, groupings=groupings), _requests(query, by_types, Access.PUBLIC)


def _requests(
    query: Query, ids_by_types: Mapping[tuple[str, ...], Sequence[str]], access: Access
) -> tuple[PlannedRequest, ...]:
    return tuple(
        PlannedRequest(tweet_ids=batch, engagement_types=types, access=access)
        for types, ids in ids_by_types.items()
        if types
        for batch in batches(ids, query.endpoint.max_tweet_ids)
    )


def _creation(created: datetime | None, earliest: datetime) -> datetime:
    """Return when a Tweet was created; the earliest moment if its id does not say."""
    return earliest if created is None else created


def period_of_window(window: Window, query: Query) -> ReportingPeriod:
    """Return what the counts of a window are about: whole days or hours, as the query needs.

    :param window: the window, of any precision.
    :param query: what is asked.
    :raises InvalidArgumentError: if the window is empty.
    """
    aligned = align_to(window, bucket_size(query))
    log.info("Window: %s.", aligned)
    return ReportingPeriod(aligned.end, aligned)


def period_of_snapshot(moment: datetime) -> ReportingPeriod:
    """Return what counts to date are about.

    :param moment: the moment that they are of, UTC.
    """
    log.info("Counts as of %s UTC.", f"{moment:%Y-%m-%d %H:%M}")
    return ReportingPeriod(moment)


def bucket_size(query: Query) -> timedelta:
    """Return the length of a query's buckets, to which its windows are aligned."""
    whole_days = any(
        GroupBy.DAY in grouping.group_by and GroupBy.HOUR not in grouping.group_by
        for grouping in query.groupings
    )
    return DAY if whole_days else HOUR


def batches(tweet_ids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """Split a list of ids into batches of at most ``size``."""
    return [tuple(tweet_ids[at : at + size]) for at in range(0, len(tweet_ids), size)]


def _buckets(levels: Iterable[GroupBy], window: Window | None) -> int:
    days = -(-window.length // DAY) + 1 if window else 3
    hours = -(-window.length // HOUR) if window else _BUCKETS_OF_28HR
    if GroupBy.HOUR in levels:
        return hours if GroupBy.DAY in levels else min(hours, 24)
    return days if GroupBy.DAY in levels else 1


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
