"""How long a collection takes at a contract's rate: a table of docs/how-to/many-workers.md."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.spec import ENDPOINTS, EndpointName
from airflow_provider_engagement.api.tweet_id import first_id_at
from airflow_provider_engagement.api.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTRACTS", "NOW", "TWEETS", "duration", "requests_for", "rows", "tweet_ids"]

CONTRACTS: Final = (60, 300, 600, 1200)
"""Requests per minute."""

TWEETS: Final = (10_000, 100_000, 1_000_000, 10_000_000)

# A plan of ten million Tweets takes long, so this many are planned and the result is multiplied.
_PLANNED: Final = 10_000

NOW: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""When the plans are made."""

# Tenths of an hour are left out from here on.
_MANY_HOURS: Final = 100

_DAYS: Final = {EndpointName.HISTORICAL: (28, 365)}


def rows() -> Iterator[list[str]]:
    """Yield the rows: endpoint, days, Tweets, requests, and a duration for each contract."""
    for endpoint in ENDPOINTS:
        for days in _DAYS.get(endpoint, (None,)):
            for tweets in TWEETS:
                requests = requests_for(endpoint, tweets, days)
                what = f"`/{endpoint}`" + (f", {days} days" if days else "")
                times = [duration(requests / contract) for contract in CONTRACTS]
                yield [what, f"{tweets:,}", f"{requests:,}", *times]


def requests_for(endpoint: EndpointName, tweets: int, days: int | None) -> int:
    """Return the number of requests that the planner needs.

    :param endpoint: the endpoint.
    :param tweets: the number of Tweets, a multiple of 10,000.
    :param days: the days of the window; None if the endpoint takes no window.
    """
    return _planned(endpoint, days) * (tweets // _PLANNED)


@cache
def _planned(endpoint: EndpointName, days: int | None) -> int:
    window = Window(NOW - timedelta(days=days), NOW) if days else None
    ids = tweet_ids(_PLANNED, window)
    plan = make_plan(build_query(endpoint, has_owner=True), ids, now=NOW, window=window)
    return len(plan.requests)


def tweet_ids(number: int, window: Window | None) -> list[str]:
    """Return ids of Tweets that were posted before the window, and are not too old for any type.

    :param number: how many.
    :param window: the window; None for now.
    """
    first = first_id_at((window.start if window else NOW) - timedelta(days=10))
    return [str(first + place) for place in range(number)]


def duration(minutes: float) -> str:
    """Return a duration as a reader compares it: seconds, then minutes, then hours.

    :param minutes: how long.
    """
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    hours = minutes / 60
    if hours < 1:
        return f"{minutes:.1f} min"
    return f"{hours:.1f} h" if hours < _MANY_HOURS else f"{hours:,.0f} h"
