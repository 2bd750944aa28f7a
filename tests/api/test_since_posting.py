from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.query import Query, build_query
from airflow_provider_engagement.api.since_posting import (
    around_tweets,
    period_since_posting,
    plan_since_posting,
    until_now,
)
from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR
from airflow_provider_engagement.api.tweet_id import created_at, first_id_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, floor_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.api.plan import Plan

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
FOUR_WEEKS = timedelta(days=28)
STEPS = {"day": DAY, "hour": HOUR}
BEFORE_SNOWFLAKE = "20"


def query_by(granularity: str) -> Query:
    return build_query("historical", has_owner=True, granularity=granularity)


def plan_of(ids: Sequence[str], length: timedelta, granularity: str = "hour") -> Plan:
    query = query_by(granularity)
    period = around_tweets(period_since_posting(query, length, NOW), ids, query)
    held = until_now(period.period, NOW) if period.period else None
    if held is not None:
        held = Window(max(held.start, HISTORICAL_FLOOR), held.end)
    return plan_since_posting(query, ids, length, held)


def posted(moment: datetime, place: int = 0) -> str:
    return str(first_id_at(moment) + place)


def own_window(tweet_id: str, length: timedelta, granularity: str) -> Window:
    created = created_at(tweet_id)
    assert created is not None
    whole = align_to(Window(created, created + length), STEPS[granularity])
    return Window(whole.start, min(whole.end, floor_to(NOW, HOUR)))


def least_requests(windows: Sequence[Window]) -> int:
    """Return a number of requests that no plan can do without.

    A request holds at most 25 ids and one window of at most 28 days. A Tweet whose window is
    longer than 28 days times n is in more than n requests. So the ids of all requests together
    are at least the sum of ceil(window / 28 days), and a request has 25 of them at most.
    """
    return -(-sum(-(-window.length // FOUR_WEEKS) for window in windows) // 25)


@pytest.mark.parametrize("granularity", STEPS)
@pytest.mark.parametrize("length", [HOUR, DAY, 7 * DAY, 14 * DAY, 28 * DAY, 90 * DAY], ids=str)
@pytest.mark.parametrize("spread", ["evenly", "by chance"])
def test_a_year_of_a_thousand_tweets_takes_at_most_a_twentieth_more_than_the_least(
    spread: str, length: timedelta, granularity: str
) -> None:
    end = datetime(2026, 11, 1, tzinfo=UTC) - length
    chance = random.Random(7)  # noqa: S311 - a seed makes the test repeatable; nothing is secret
    places = (chance.random() if spread == "by chance" else n / 1000 for n in range(1000))
    ids = [posted(end - place * 365 * DAY, n) for n, place in enumerate(places)]
    plan = plan_of(ids, length, granularity)
    least = least_requests([own_window(item, length, granularity) for item in ids])
    assert least <= len(plan.requests) <= 1.05 * least


def least_where_few_windows_fit(windows: Sequence[Window]) -> int:
    """Return a number of requests that no plan can do without, for windows of at most 28 days.

    A Tweet that is in one request only was posted within the time that the request is longer than
    the Tweet's window. Let at most m Tweets be posted within such a time. Then R requests have at
    most 25 R ids, and at most m R Tweets are in one request only. All others are in two.
    """
    starts = sorted(window.start for window in windows)
    slack = FOUR_WEEKS - windows[0].length
    most = max(bisect_right(starts, start + slack) - n for n, start in enumerate(starts))
    number = 0
    while 25 * number < 2 * len(windows) - min(len(windows), min(most, 25) * number):
        number += 1
    return number


@pytest.mark.parametrize("granularity", STEPS)
@pytest.mark.parametrize("days", [20, 24, 27])
def test_windows_that_rarely_fit_together_take_at_most_a_tenth_more_than_the_least(
    days: int, granularity: str
) -> None:
    length, end = days * DAY, datetime(2026, 10, 1, tzinfo=UTC)
    ids = [posted(end - n / 1000 * 365 * DAY, n) for n in range(1, 1001)]
    plan = plan_of(ids, length, granularity)
    least = least_where_few_windows_fit([own_window(item, length, granularity) for item in ids])
    assert least <= len(plan.requests) <= 1.1 * least


@given(
    ages=st.lists(st.integers(-30, 120 * 24 * 60), min_size=1, max_size=120),
    hours=st.integers(1, 60 * 24),
    granularity=st.sampled_from(sorted(STEPS)),
)
def test_each_moment_of_each_tweets_window_is_requested_once(
    ages: list[int], hours: int, granularity: str
) -> None:
    length = hours * HOUR
    ids = [posted(NOW - timedelta(minutes=age), n) for n, age in enumerate(ages)]
    plan = plan_of(ids, length, granularity)
    for item in ids:
        parts = sorted(r.parts[item] for r in plan.requests if item in r.tweet_ids)
        window = own_window(item, length, granularity)
        if window.end <= window.start:
            assert item in plan.too_young
            assert parts == []
            continue
        assert (parts[0].start, parts[-1].end) == (window.start, window.end)
        assert all(one.end == two.start for one, two in pairwise(parts))
    for request in plan.requests:
        assert request.window is not None
        assert request.window.length <= FOUR_WEEKS
        assert request.window.end <= NOW
        assert 1 <= len(request.tweet_ids) <= 25
        assert set(request.parts) == set(request.tweet_ids)
        assert len(Counter(request.tweet_ids)) == len(request.tweet_ids)
        for part in request.parts.values():
            assert request.window.start <= part.start < part.end <= request.window.end


def test_tweets_from_before_the_services_history_are_not_requested() -> None:
    early = posted(HISTORICAL_FLOOR - 40 * DAY)
    across = posted(HISTORICAL_FLOOR - 2 * DAY)
    plan = plan_of([BEFORE_SNOWFLAKE, early, across], 28 * DAY)
    assert list(plan.too_old) == [BEFORE_SNOWFLAKE, early]
    (request,) = plan.requests
    assert request.tweet_ids == (across,)
    assert request.window == Window(HISTORICAL_FLOOR, HISTORICAL_FLOOR + 26 * DAY)
    assert plan_of([BEFORE_SNOWFLAKE], DAY).requests == ()


def test_the_period_is_the_same_at_each_try_and_spans_all_tweets() -> None:
    query = query_by("day")
    ids = [posted(NOW - 3 * DAY), BEFORE_SNOWFLAKE, posted(NOW - 90 * DAY)]
    period = around_tweets(period_since_posting(query, 28 * DAY, NOW), ids, query)
    assert period.describe() == {
        "since_posting": "P28D",
        "start": "2026-08-23T00:00:00Z",
        "end": "2026-12-17T00:00:00Z",
    }
    only_undated = around_tweets(period_since_posting(query, HOUR, NOW), ["20"], query)
    assert only_undated == ReportingPeriod(NOW, since_posting=HOUR)
    assert only_undated.describe()["since_posting"] == "PT1H"


def test_rows_at_most_are_those_of_the_tweets_own_windows() -> None:
    ids = [posted(NOW - 50 * DAY + n * HOUR, n) for n in range(10)]
    plan = plan_of(ids, DAY)
    # Posted within an hour, 24 hours reach into 25.
    assert plan.max_rows == 10 * 25 * 17
    assert "each Tweet for P1D from its posting" in str(plan)


@pytest.mark.parametrize(
    "groupings",
    [
        {"sum": {"group_by": ["tweet.id", "engagement.type"]}},
        {"sum": {"group_by": ["engagement.type", "engagement.day"]}},
        {"sum": {"group_by": ["tweet.id", "engagement.hour"]}},
    ],
)
def test_sums_over_tweets_or_days_are_refused(groupings: object) -> None:
    query = build_query("historical", has_owner=True, groupings=groupings)
    with pytest.raises(InvalidArgumentError, match="other hours than each Tweet's own"):
        period_since_posting(query, DAY, NOW)


@pytest.mark.parametrize("length", [timedelta(0), timedelta(days=-1)])
def test_a_length_that_is_not_positive_is_refused(length: timedelta) -> None:
    with pytest.raises(InvalidArgumentError, match="longer than zero"):
        period_since_posting(query_by("day"), length, NOW)
