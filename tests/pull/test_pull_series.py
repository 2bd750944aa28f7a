from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import QUICK, settings_for

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import ReportingPeriod, bucket_size, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, clip_to_available
from airflow_provider_engagement.pull import PullResult, pull
from airflow_provider_engagement.simulator import Faults, Simulator, World
from airflow_provider_engagement.simulator.world import milliseconds
from airflow_provider_engagement.sinks.memory import MemorySink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime.now(UTC).replace(second=0, microsecond=0)
TODAY = NOW.replace(hour=0, minute=0)
TYPES = ("impressions", "favorites", "url_clicks")


def pull_series(
    simulator: Simulator,
    tweet_ids: list[str],
    folder: Path,
    *,
    endpoint: str = "historical",
    range_: Window | None = None,
    keep_incomplete: bool = True,
    **asked: Any,
) -> tuple[PullResult, list[dict[str, Any]]]:
    query = build_query(endpoint, has_owner=True, **{"engagement_types": TYPES, **asked})
    period = align_to(range_, bucket_size(query)) if range_ else None
    window = clip_to_available(period, now=NOW, strict=False)[0] if period else None
    sink = MemorySink()
    with EngagementClient(
        settings_for(simulator), retry=QUICK, rate_state_directory=folder
    ) as client:
        outcome = pull(
            client,
            make_plan(query, tweet_ids, now=NOW, window=window),
            sink,
            period=ReportingPeriod(NOW, period),
            keep_incomplete=keep_incomplete,
        )
    return outcome, sink.rows()


def buckets(window: Window, step: timedelta) -> list[datetime]:
    return [window.start + n * step for n in range(-(-window.length // step))]


def parsed(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["period_start"])


def truth(
    world: World, tweet_ids: list[str], window: Window, step: timedelta
) -> dict[tuple[str, str, datetime], int]:
    """Give the counts of every bucket that a Tweet lived in."""
    starts = buckets(window, step)
    edges = np.array([milliseconds(moment) for moment in (*starts, window.end)])
    values = world.series(tweet_ids, TYPES, edges).ravel().tolist()
    places = itertools.product(tweet_ids, TYPES, starts)
    return {
        (item, name, start): value
        for (item, name, start), value in zip(places, values, strict=True)
        if (created_at(item) or start) < start + step
    }


def found(rows: list[dict[str, Any]]) -> dict[tuple[str, str, datetime], int]:
    result = {(r["tweet_id"], r["engagement_type"], parsed(r)): r["value"] for r in rows}
    assert len(result) == len(rows), "a count is there twice"
    return result


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[World, Simulator, list[str]]]:
    world = World(seed=11, accounts=("acme",), now=NOW)
    ids = world.tweets("acme", 60, since=TODAY - timedelta(days=120), until=TODAY)
    with Simulator(world, requests_per_minute=1_000_000) as simulator:
        yield world, simulator, ids


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    start=st.integers(1, 150 * 24),
    hours=st.integers(1, 90 * 24),
    minutes=st.integers(0, 59),
    count=st.integers(1, 60),
    granularity=st.sampled_from(["day", "hour"]),
)
def test_any_window_gives_every_bucket_once_with_the_services_count(  # noqa: PLR0917 - hypothesis names them
    served: tuple[World, Simulator, list[str]],
    tmp_path: Path,
    start: int,
    hours: int,
    minutes: int,
    count: int,
    granularity: str,
) -> None:
    world, simulator, ids = served
    begin = TODAY - start * HOUR + timedelta(minutes=minutes)
    step = DAY if granularity == "day" else HOUR
    # By the hour a long range is a lot of rows, and shows nothing that a short one does not.
    length = hours * HOUR if granularity == "day" else hours * HOUR / 30
    range_ = Window(begin, min(begin + length, NOW - HOUR))
    if not range_.start < range_.end:
        return
    some = ids[:count]
    window, _ = clip_to_available(align_to(range_, step), now=NOW, strict=False)
    assert window is not None
    if all((created_at(item) or window.end) >= window.end for item in some):
        return
    outcome, rows = pull_series(simulator, some, tmp_path, range_=range_, granularity=granularity)
    assert found(rows) == truth(world, some, window, step)
    assert outcome.summary["unrequested_counts"] == 0
    unended = [row for row in rows if not row["complete"]]
    assert all(parsed(row) + step > window.end for row in unended)


def test_total_of_a_long_period_is_summed_over_its_windows(
    served: tuple[World, Simulator, list[str]], tmp_path: Path
) -> None:
    world, simulator, ids = served
    range_ = Window(TODAY - timedelta(days=100), TODAY)
    _, rows = pull_series(simulator, ids, tmp_path, range_=range_, granularity="total")
    assert {(r["tweet_id"], r["engagement_type"]): r["value"] for r in rows} == {
        (item, name): world.count_between(item, name, range_.start, range_.end)
        for item, name in itertools.product(ids, TYPES)
    }
    assert {row["granularity"] for row in rows} == {"window"}
    assert {row["period_end"] for row in rows} == {f"{TODAY:%Y-%m-%dT%H:%M:%SZ}"}
    assert all(row["complete"] for row in rows)


def test_hours_without_days_are_a_profile_of_the_day(
    served: tuple[World, Simulator, list[str]], tmp_path: Path
) -> None:
    world, simulator, ids = served
    range_ = Window(TODAY - timedelta(days=40), TODAY)
    few = ids[:26]  # two batches
    _, rows = pull_series(
        simulator,
        few,
        tmp_path,
        range_=range_,
        groupings={
            "profile": {"group_by": ["engagement.type", "tweet.id", "engagement.hour"]},
            "all": {"group_by": ["engagement.type", "engagement.day"]},
        },
    )
    profile = [row for row in rows if row["granularity"] == "hour_of_day"]
    for row in profile[::40]:
        expected = sum(
            world.count_between(row["tweet_id"], row["engagement_type"], start, start + HOUR)
            for start in buckets(range_, HOUR)
            if start.hour == row["hour_of_day"]
        )
        assert row["value"] == expected
    assert len(profile) == len(few) * len(TYPES) * 24
    days = [row for row in rows if row["granularity"] == "day"]
    assert {(row["engagement_type"], parsed(row)): row["value"] for row in days} == {
        (name, start): sum(world.count_between(item, name, start, start + DAY) for item in few)
        for name, start in itertools.product(TYPES, buckets(range_, DAY))
    }


def test_first_and_last_of_the_28_hours_are_incomplete(tmp_path: Path) -> None:
    # On the real clock: frozen, the last hour would be over once it is on the client's.
    world = World(seed=11, accounts=("acme",))
    old = world.tweets("acme", 60, since=NOW - 120 * DAY, until=NOW - 3 * DAY)
    with Simulator(world, requests_per_minute=1_000_000) as simulator:
        _, rows = pull_series(simulator, old, tmp_path, endpoint="28hr")
        outcome, whole = pull_series(
            simulator, old, tmp_path, endpoint="28hr", keep_incomplete=False
        )
    starts = sorted({parsed(row) for row in rows})
    assert len(starts) in {28, 29}
    parts = {parsed(row) for row in rows if not row["complete"]}
    assert parts == {starts[0], starts[-1]}
    for row in rows:
        if row["complete"]:
            start = parsed(row)
            expected = world.count_between(
                row["tweet_id"], row["engagement_type"], start, start + HOUR
            )
            assert row["value"] == expected
    assert len(whole) == len(rows) * (len(starts) - 2) // len(starts)
    assert outcome.summary["rows_incomplete_dropped"] == len(rows) - len(whole)


def test_foreign_tweet_is_requested_in_one_window_only(tmp_path: Path) -> None:
    world = World(seed=11, accounts=("acme",), now=NOW)
    ids = world.tweets("acme", 50, since=TODAY - timedelta(days=300), until=TODAY - DAY)
    world = World(seed=11, accounts=("acme",), now=NOW, foreign=ids[3:5], deleted=ids[7:8])
    range_ = Window(TODAY - timedelta(days=280), TODAY)
    faults = Faults(share=0.2, kinds=("500", "truncated", "html"), seed=2)
    with Simulator(world, faults=faults, requests_per_minute=1_000_000) as simulator:
        outcome, rows = pull_series(simulator, ids, tmp_path, range_=range_)
        asked = [r for r in simulator.requests if set(ids[3:5]) & set(r.tweet_ids)]
    good = [item for item in ids if item not in {*ids[3:5], ids[7]}]
    assert found(rows) == truth(world, good, range_, DAY)
    tweets: Any = outcome.summary["tweets"]
    assert (tweets["answered"], tweets["forbidden"], tweets["unavailable"]) == (47, 2, 1)
    # At most the requests that were in flight before the first refusal came, and their retries.
    assert len(asked) <= 16
