from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.plan import Plan, ReportingPeriod, batches, make_plan
from airflow_provider_engagement.api.query import Query, build_query
from airflow_provider_engagement.api.spec import AGE_LIMITS, AGE_MARGIN, ENDPOINTS, Access
from airflow_provider_engagement.api.tweet_id import LAST_SEQUENTIAL_ID, created_at, first_id_at

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
TYPES = ENDPOINTS["totals"].engagement_types
QUERY = build_query("totals", has_owner=True)

ages = st.floats(min_value=0.001, max_value=5800).map(lambda days: timedelta(days=days))
snowflakes = st.builds(
    lambda age, low: str(first_id_at(NOW - age) + low), ages, st.integers(0, 2**22 - 1)
)
sequential = st.integers(1, LAST_SEQUENTIAL_ID).map(str)
collections = st.lists(snowflakes | sequential, unique=True, max_size=700)


def aged(days: float, n: int = 1) -> list[str]:
    first = first_id_at(NOW - timedelta(days=days))
    return [str(first + number) for number in range(n)]


def plan_of(ids: list[str], query: Query = QUERY) -> Plan:
    return make_plan(query, ids, now=NOW)


@given(collections)
def test_every_tweet_is_requested_once_with_the_types_of_its_age(ids: list[str]) -> None:
    plan = plan_of(ids)
    asked = {item: set(r.engagement_types) for r in plan.requests for item in r.tweet_ids}
    assert Counter(item for r in plan.requests for item in r.tweet_ids) == Counter(ids)
    for tweet_id, types in asked.items():
        made = created_at(tweet_id)
        old = {n for n, most in AGE_LIMITS.items() if not made or NOW - made > most + AGE_MARGIN}
        assert types == set(TYPES) - old
        assert set(plan.too_old.get(tweet_id, ())) == old


@given(collections)
def test_requests_are_within_the_limits_and_as_few_as_possible(ids: list[str]) -> None:
    plan = plan_of(ids)
    groups = Counter(plan.too_old.get(item, ()) for item in ids)
    assert len(plan.requests) == sum(ceil(size / 250) for size in groups.values())
    assert all(1 <= len(request.tweet_ids) <= 250 for request in plan.requests)
    assert all(request.access is Access.OWNER for request in plan.requests)
    assert plan.max_rows == sum(len(r.tweet_ids) * len(r.engagement_types) for r in plan.requests)


def test_tweet_too_old_for_every_type_is_in_no_request() -> None:
    query = build_query("totals", has_owner=True, engagement_types=["impressions", "engagements"])
    young, old = aged(10, 3), aged(93, 3)
    plan = plan_of([*young, *old], query)
    assert [request.tweet_ids for request in plan.requests] == [tuple(young)]
    assert plan.too_old == dict.fromkeys(old, ("impressions", "engagements"))
    assert plan.tweet_ids == (*young, *old)
    assert plan_of(old, query).requests == ()


@pytest.mark.parametrize(("name", "days"), [("impressions", 90), ("video_views", 1800)])
def test_within_two_days_beyond_a_limit_the_service_decides(name: str, days: int) -> None:
    (before,), (after,) = aged(days + 1.99), aged(days + 2.01)
    plan = plan_of([before, after])
    assert name not in plan.too_old.get(before, ())
    assert name in plan.too_old[after]


def test_retry_plans_the_same_requests_though_tweets_have_aged_meanwhile() -> None:
    period, limit = ReportingPeriod(NOW), AGE_LIMITS["impressions"] + AGE_MARGIN
    ids = [str(first_id_at(NOW - limit + timedelta(minutes=n))) for n in range(-20, 20)]
    query = build_query("totals", has_owner=True)
    first, again, by_the_clock = (
        make_plan(query, ids, now=now).requests
        for now in (
            period.ages_at(NOW + timedelta(seconds=1)),
            period.ages_at(NOW + timedelta(minutes=10)),
            NOW + timedelta(minutes=10),
        )
    )
    assert first == again != by_the_clock
    for days in (-1, 2):  # a run of the future, and one of which the counts are late
        assert period.ages_at(NOW + timedelta(days=days)) == NOW + timedelta(days=days)


def test_plan_preserves_the_order_of_the_collection() -> None:
    ids = [*aged(5, 300), *aged(3, 300)]
    plan = plan_of(ids)
    assert [item for request in plan.requests for item in request.tweet_ids] == ids
    assert [len(request.tweet_ids) for request in plan.requests] == [250, 250, 100]


def test_plan_is_described_in_figures_at_any_size() -> None:
    plan = plan_of([*aged(5, 2000), *aged(200, 500)])
    described = json.dumps(plan.describe())
    assert len(described) < 2_000
    facts = {
        "endpoint": "totals",
        "access": "owner",
        "tweets": 2500,
        "tweets_too_old_for_some_types": 500,
        "requests": 10,
        "rows_at_most": 2000 * 7 + 500 * 5,
    }
    assert {name: plan.describe()[name] for name in facts} == facts
    assert "10 requests to totals for 2,500 Tweets, 500 of them too old" in str(plan)
    assert "at most 16,500 rows" in str(plan)


@given(st.lists(st.integers()), st.integers(min_value=1, max_value=30))
def test_batches_contain_every_id_once(items: list[int], size: int) -> None:
    cut = batches([str(item) for item in items], size)
    assert [item for batch in cut for item in batch] == [str(item) for item in items]
    assert all(len(batch) == size for batch in cut[:-1])
    assert all(cut)
