"""Growth, from the request to the view: each Tweet is pulled from its posting, and compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, NOW, connect, run
from view_truth import AGES

from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, floor_to
from airflow_provider_engagement.hooks.report import report_engine
from airflow_provider_engagement.operators.engagement import EngagementHistoricalOperator
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("current_now", "airflow_home")

TYPES = ["impressions", "engagements"]
BEFORE_HISTORY = "400000000000000000"
"""Posted in November 2013, ten months before the service's first day."""


@pytest.mark.parametrize(
    ("tweets", "days"), [(150, 60), pytest.param(1000, 365, marks=pytest.mark.long)]
)
def test_each_growth_is_the_worlds_or_absent_because_it_is_not_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tweets: int, days: int
) -> None:
    """Compare every cell of the view, and every cell that it does not have.

    The least number of requests: 28 days from a moment within an hour reach into one hour more. A
    request reaches over 28 days and holds 25 Tweets. So a Tweet whose window is over is in two
    requests at least, and any other in one.
    """
    world, ids = world_of(tweets, days)
    not_counted = world.deleted | world.foreign
    newest = world.tweets("acme", 1, since=floor_to(NOW, HOUR), until=NOW + timedelta(seconds=1))
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        ran = run(growth_of([*ids, *newest, BEFORE_HISTORY], tmp_path / "growth.parquet"))
    posted = {item: moment for item in ids if (moment := created_at(item))}
    places = sum(1 + (floor_to(NOW, HOUR) - moment > 28 * DAY) for moment in posted.values())
    assert ran.summary["plan"]["requests"] <= 1.05 * -(-places // 25)

    expected: dict[tuple[str, str], Any] = {}
    for tweet_id, moment in posted.items():
        for name, hours in AGES.items():
            window = align_to(Window(moment, moment + hours * HOUR), HOUR)
            if tweet_id not in not_counted and window.end <= floor_to(NOW, HOUR):
                counts = [
                    world.count_between(tweet_id, name_, window.start, window.end)
                    for name_ in TYPES
                ]
                expected[tweet_id, name] = (window.end, "hour", *counts)
    assert growth(tmp_path) == expected


def world_of(tweets: int, days: int) -> tuple[World, list[str]]:
    options: dict[str, Any] = {"seed": 8, "accounts": ("acme",), "now": NOW}
    ids = World(**options).tweets("acme", tweets, since=NOW - days * DAY, until=NOW - HOUR)
    return World(**options, foreign=ids[5:6], deleted=ids[70:71]), ids


def growth_of(ids: list[str], path: Path) -> EngagementHistoricalOperator:
    return EngagementHistoricalOperator(
        task_id="growth",
        tweet_ids=ids,
        engagement_types=TYPES,
        granularity="hour",
        since_posting=28 * DAY,
        engagement_conn_id=CONN_ID,
        output_path=path.as_uri(),
    )


def growth(folder: Path) -> dict[tuple[str, str], tuple[datetime, str, int, int]]:
    engine = report_engine(f"{folder.as_uri()}/", gcp_conn_id="google_cloud_default")
    try:
        rows = engine.query("SELECT * FROM {growth}").to_pylist()
    finally:
        engine.close()
    found = {
        (r["tweet_id"], r["age"]): (r["window_end"], r["basis"], *(r[name] for name in TYPES))
        for r in rows
    }
    assert len(found) == len(rows)
    return found
