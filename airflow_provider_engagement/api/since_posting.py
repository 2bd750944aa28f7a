"""Plans pulls of each Tweet's first hours or days: every Tweet has a window of its own."""

from __future__ import annotations

import heapq
import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.plan import Plan, ReportingPeriod, bucket_size, iso_text
from airflow_provider_engagement.api.query import PlannedRequest
from airflow_provider_engagement.api.spec import GroupBy
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import HOUR, Window, align_to, floor_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_engagement.api.query import Query

__all__ = ["around_tweets", "period_since_posting", "plan_since_posting", "until_now"]

log = logging.getLogger(__name__)


def period_since_posting(query: Query, length: timedelta, moment: datetime) -> ReportingPeriod:
    """Return what the counts of each Tweet's first hours or days are about.

    :param query: what is asked.
    :param length: how long after its posting each Tweet is counted.
    :param moment: the moment of the run, UTC. It names what the run writes.
    :raises InvalidArgumentError: if the length is not positive, or a grouping adds up counts of
        several Tweets or days. One request serves Tweets of several ages, so such a sum would
        cover other hours than those asked for.
    """
    if length <= timedelta(0):
        msg = f"since_posting is {length}; it must be longer than zero."
        raise InvalidArgumentError(msg)
    needed = {GroupBy.TWEET_ID, GroupBy.DAY}
    for grouping in query.groupings:
        if not needed.issubset(grouping.group_by):
            raise InvalidArgumentError(
                f"since_posting is given, and the counts are grouped by {grouping.canonical}: "
                "Tweets posted at different times share a request, so that such sums would be of "
                "other hours than each Tweet's own.",
                advice='Use granularity "day" or "hour", or group by tweet.id and engagement.day.',
            )
    log.info("Window: each Tweet from its posting, for %s.", iso_text(length))
    return ReportingPeriod(moment, since_posting=length)


def around_tweets(
    period: ReportingPeriod, tweet_ids: Sequence[str], query: Query
) -> ReportingPeriod:
    """Return a period that spans the windows of all Tweets, if each has a window of its own.

    It depends on the ids only, so that each try of a run has the same.

    :param period: what the pull is about.
    :param tweet_ids: the Tweets.
    :param query: what is asked.
    """
    if period.since_posting is None:
        return period
    windows = _windows(tweet_ids, period.since_posting, bucket_size(query)).values()
    if not windows:
        return period
    hull = Window(min(w.start for w in windows), max(w.end for w in windows))
    return replace(period, period=hull)


def until_now(window: Window, now: datetime) -> Window:
    """Return the part of a window that is over, in whole hours.

    :param window: an aligned window.
    :param now: the present, UTC.
    """
    return Window(window.start, max(window.start, min(window.end, floor_to(now, HOUR))))


def plan_since_posting(
    query: Query, tweet_ids: Sequence[str], length: timedelta, window: Window | None
) -> Plan:
    """Plan requests for each Tweet's window.

    A Tweet's id says when it was posted. Ids from before 2010-11-04 do not, and the service holds
    nothing that old, so they are not requested.

    :param query: what is asked.
    :param tweet_ids: the Tweets, each once.
    :param length: how long after its posting each Tweet is counted.
    :param window: what the service holds of all windows together; None if no id says its time.
    """
    windows = _windows(tweet_ids, length, bucket_size(query))
    asked: dict[str, Window] = {}
    too_old, too_young = [], []
    for tweet_id in tweet_ids:
        own = windows.get(tweet_id)
        if own is None or window is None or own.end <= window.start:
            too_old.append(tweet_id)
        elif own.start >= window.end:
            too_young.append(tweet_id)
        else:
            asked[tweet_id] = Window(max(own.start, window.start), min(own.end, window.end))
    requests = tuple(_requests(query, asked))
    return Plan(
        query=query,
        tweet_ids=tuple(tweet_ids),
        requests=requests,
        too_old=dict.fromkeys(too_old, query.engagement_types),
        too_young=tuple(too_young),
        window=window,
        windows=len({request.window for request in requests}),
        since_posting=length,
    )


def _windows(tweet_ids: Sequence[str], length: timedelta, step: timedelta) -> Mapping[str, Window]:
    """Return each Tweet's window in whole steps, without the ids that do not say their time."""
    return {
        tweet_id: align_to(Window(posted, posted + length), step)
        for tweet_id in tweet_ids
        if (posted := created_at(tweet_id)) is not None
    }


def _requests(query: Query, windows: Mapping[str, Window]) -> Iterator[PlannedRequest]:
    """Yield requests that together cover each Tweet's window, each moment of it once.

    Each request begins at the earliest moment that no request covers yet, and takes the Tweets
    whose uncovered time begins first. So a Tweet that does not fit into a request's window is
    continued by a later one, together with younger Tweets, and few requests are not full.
    """
    longest, size = query.endpoint.max_window, query.endpoint.max_tweet_ids
    if longest is None:
        msg = f"{query.endpoint.name} takes no window"
        raise ValueError(msg)
    waiting = [(window.start, int(tweet_id)) for tweet_id, window in windows.items()]
    heapq.heapify(waiting)
    while waiting:
        start = waiting[0][0]
        end = start + longest
        parts: dict[str, Window] = {}
        while waiting and len(parts) < size and waiting[0][0] < end:
            first, number = heapq.heappop(waiting)
            parts[str(number)] = Window(first, min(end, windows[str(number)].end))
        for tweet_id, part in parts.items():
            if part.end < windows[tweet_id].end:
                heapq.heappush(waiting, (part.end, int(tweet_id)))
        yield PlannedRequest(
            tweet_ids=tuple(parts),
            engagement_types=query.engagement_types,
            access=query.access,
            window=Window(start, max(part.end for part in parts.values())),
            parts=parts,
        )
