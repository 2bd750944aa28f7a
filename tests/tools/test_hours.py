"""The table of hours by contract: n times the Tweets need n times the requests."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.api.window import Window
from tools import hours


@pytest.mark.parametrize(
    ("endpoint", "days"),
    [
        (EndpointName.TOTALS, None),
        (EndpointName.LAST_28_HOURS, None),
        (EndpointName.HISTORICAL, 365),
    ],
)
def test_requests_are_those_of_a_plan(endpoint: EndpointName, days: int | None) -> None:
    end = hours.NOW
    window = Window(end - timedelta(days=days), end) if days else None
    ids = hours.tweet_ids(30_000, window)
    plan = make_plan(build_query(endpoint, has_owner=True), ids, now=end, window=window)
    assert len(set(ids)) == 30_000
    assert not plan.too_old
    assert not plan.too_young
    assert hours.requests_for(endpoint, 30_000, days) == len(plan.requests)


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(0.05, "3 s"), (1.25, "1.2 min"), (59.9, "59.9 min"), (90, "1.5 h"), (72_000, "1,200 h")],
)
def test_durations_are_short(minutes: float, text: str) -> None:
    assert hours.duration(minutes) == text
