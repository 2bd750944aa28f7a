"""The world: ownership, outcomes, ids, and counts that add up."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID, created_at, first_id_at
from airflow_provider_engagement.simulator import World
from airflow_provider_engagement.simulator.counts import CORRECTED_TYPES
from airflow_provider_engagement.simulator.world import milliseconds

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC)
WORLD = World(seed=3, now=NOW)
STEADY = sorted(set(ENGAGEMENT_TYPES) - set(CORRECTED_TYPES))

moments = st.integers(0, 6000 * 86_400).map(lambda n: NOW + timedelta(days=80, seconds=-n))
snowflakes = st.integers(first_id_at(datetime(2026, 1, 1, tzinfo=UTC)), first_id_at(NOW)).map(str)
ids = snowflakes | st.integers(1, MAX_TWEET_ID).map(str)
types = st.sampled_from(ENGAGEMENT_TYPES)


@given(ids, types, st.lists(moments, min_size=2, max_size=6))
def test_events_of_adjoining_periods_add_up(
    tweet_id: str, name: str, edges: list[datetime]
) -> None:
    edges.sort()
    parts = sum(
        WORLD.count_between(tweet_id, name, *edges[n : n + 2]) for n in range(len(edges) - 1)
    )
    assert parts == WORLD.count_between(tweet_id, name, edges[0], edges[-1])


@given(snowflakes, types, moments)
def test_sum_of_all_events_is_the_lifetime_count(
    tweet_id: str, name: str, moment: datetime
) -> None:
    since = datetime(2015, 9, 15, tzinfo=UTC)
    events = WORLD.count_between(tweet_id, name, since, max(moment, since))
    assert events == WORLD.count(tweet_id, name, max(moment, since))


@given(ids, st.sampled_from(STEADY), moments, moments)
def test_counts_grow_over_time(tweet_id: str, name: str, one: datetime, other: datetime) -> None:
    first, last = sorted([one, other])
    assert 0 <= WORLD.count(tweet_id, name, first) <= WORLD.count(tweet_id, name, last)


@given(ids, st.sampled_from(CORRECTED_TYPES), moments)
def test_corrected_counts_stay_above_zero(tweet_id: str, name: str, moment: datetime) -> None:
    assert WORLD.count(tweet_id, name, moment) >= 0


@given(snowflakes, types)
def test_counts_do_not_change_before_creation_or_after_now(tweet_id: str, name: str) -> None:
    made = created_at(tweet_id)
    assert WORLD.count(tweet_id, name, made) == 0
    assert WORLD.count_between(tweet_id, name, made - timedelta(days=9), made) == 0
    assert WORLD.count_between(tweet_id, name, NOW, NOW + timedelta(days=9)) == 0
    assert WORLD.count(tweet_id, name, NOW + timedelta(days=9)) == WORLD.count(tweet_id, name)


@settings(max_examples=20)
@given(st.lists(ids, min_size=1, max_size=30), st.lists(moments, min_size=2, max_size=40))
def test_counts_of_many_tweets_equal_those_one_by_one(
    tweet_ids: list[str], edges: list[datetime]
) -> None:
    edges.sort()
    at_once = WORLD.series(
        tweet_ids, ENGAGEMENT_TYPES, np.array([milliseconds(edge) for edge in edges])
    )
    row, place = len(tweet_ids) - 1, len(edges) - 2
    alone = [
        WORLD.count_between(tweet_ids[row], name, *edges[place : place + 2])
        for name in ENGAGEMENT_TYPES
    ]
    assert at_once[row, :, place].tolist() == alone


def test_time_series_omit_events_before_their_recording_began() -> None:
    made = datetime(2015, 9, 14, tzinfo=UTC)
    busy = max(
        WORLD.tweets("acme", 50, since=made, until=made + timedelta(hours=1)),
        key=lambda tweet_id: WORLD.count(tweet_id, "favorites"),
    )
    recorded = made + timedelta(days=1)
    assert WORLD.count_between(busy, "favorites", made, recorded) == 0
    assert WORLD.count_between(busy, "impressions", made, recorded) > 0
    after = WORLD.count_between(busy, "favorites", recorded, NOW)
    assert after == WORLD.count_between(busy, "favorites", made, NOW)
    assert 0 < after < WORLD.count(busy, "favorites")


def test_ratios_of_types_are_plausible() -> None:
    tweets = WORLD.tweets("acme", 400, since=NOW - timedelta(days=60), until=NOW - timedelta(30))
    edges = np.array([milliseconds(NOW)])
    counts = dict(
        zip(ENGAGEMENT_TYPES, WORLD.counts(tweets, ENGAGEMENT_TYPES, edges)[:, :, 0].T, strict=True)
    )
    rate = counts["engagements"].sum() / counts["impressions"].sum()
    assert 0.01 < rate < 0.06
    totals = {name: int(values.sum()) for name, values in counts.items()}
    assert totals["favorites"] > totals["retweets"] > totals["replies"] > totals["quote_tweets"] > 0
    assert (counts["favorites"] >= counts["replies"]).all()
    assert (counts["engagements"] <= counts["impressions"]).all()
    # Heavy-tailed: the busiest tenth has most of it.
    busiest = np.sort(counts["impressions"])[-40:].sum()
    assert busiest > 0.5 * totals["impressions"]
    assert 0.2 < (counts["video_views"] > 0).mean() < 0.5


def test_day_is_busier_than_night() -> None:
    tweets = WORLD.tweets("acme", 300, since=NOW - timedelta(days=40), until=NOW - timedelta(28))
    midnight = datetime(2026, 2, 12, tzinfo=UTC)
    edges = np.array([milliseconds(midnight + timedelta(hours=n)) for n in range(28 * 24 + 1)])
    hours = WORLD.series(tweets, ("impressions",), edges).sum(axis=(0, 1)).reshape(28, 24).sum(0)
    assert hours[17] > 3 * hours[5] > 0


def test_some_hours_have_negative_counts() -> None:
    tweets = WORLD.tweets("acme", 400, since=NOW - timedelta(days=28), until=NOW - timedelta(14))
    edges = np.array([milliseconds(NOW - timedelta(hours=n)) for n in range(672, -1, -1)])
    hours = WORLD.series(tweets, ("engagements", "impressions"), edges)
    assert (hours[:, 0] < 0).any()
    assert (hours[:, 1] >= 0).all()


def test_tweets_grow_under_the_real_clock() -> None:
    world = World(seed=3)
    busy = max(
        world.tweets("acme", 100, since=world.now() - timedelta(hours=2), until=world.now()),
        key=lambda tweet_id: world.count(tweet_id, "impressions"),
    )
    earlier = world.count(busy, "impressions", world.now() - timedelta(minutes=30))
    assert earlier < world.count(busy, "impressions")


def test_clock_can_be_moved() -> None:
    world = World(seed=3, now=NOW)
    (tweet_id,) = world.tweets("acme", 1, since=NOW - timedelta(hours=2), until=NOW)
    before = world.count(tweet_id, "impressions")
    world.freeze(NOW + timedelta(hours=5))
    assert world.now() == NOW + timedelta(hours=5)
    assert world.count(tweet_id, "impressions") > before
    world.freeze(None)
    assert abs(world.now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_sample_tweets_have_the_requested_account_and_period() -> None:
    since, until = NOW - timedelta(days=365), NOW
    world = World(seed=5, accounts=("acme", "bolt", "corp"), now=NOW, deleted_share=0.2)
    tweets = world.tweets("bolt", 1000, since=since, until=until)
    assert tweets == world.tweets("bolt", 1000, since=since, until=until)
    assert len(set(tweets)) == 1000
    assert {world.owner_of(tweet_id) for tweet_id in tweets} == {"bolt"}
    made = [created_at(tweet_id) for tweet_id in tweets]
    assert made == sorted(made)
    assert since <= made[0]
    assert made[-1] < until
    longest = max(later - earlier for earlier, later in pairwise(made))
    assert longest < timedelta(days=1)
    deleted = sum(world.outcome(tweet_id) == "deleted" for tweet_id in tweets)
    assert 150 < deleted < 250


def test_many_sample_tweets_of_one_millisecond_are_distinct() -> None:
    tweets = WORLD.tweets("acme", 500, since=NOW, until=NOW + timedelta(milliseconds=1))
    assert len(set(tweets)) == 500


def test_shares_hold_for_arbitrary_ids() -> None:
    world = World(
        accounts=("acme", "bolt"),
        now=NOW,
        foreign_share=0.3,
        protected_share=0.1,
        deleted_share=0.1,
    )
    tweets = world.tweets(None, 2000, since=NOW - timedelta(days=9), until=NOW)
    owners = [world.owner_of(tweet_id) for tweet_id in tweets]
    foreign_owners = [owner for owner in owners if owner not in world.accounts]
    assert 0.25 < len(foreign_owners) / 2000 < 0.35
    assert len(set(foreign_owners)) == 7
    assert 0.3 < owners.count("acme") / 2000 < 0.4
    outcomes = [world.outcome(tweet_id) for tweet_id in tweets]
    assert 0.07 < outcomes.count("protected") / 2000 < 0.12
    assert 0.07 < outcomes.count("deleted") / 2000 < 0.13


def test_one_account_owns_all_tweets_that_are_not_foreign() -> None:
    world = World(now=NOW, foreign=[21], protected=[22], deleted=["23"])
    assert [world.owner_of(tweet_id) for tweet_id in ("20", "22", "23")] == ["acme"] * 3
    assert world.owner_of("21") not in world.accounts
    assert [world.outcome(str(tweet_id)) for tweet_id in range(20, 24)] == [
        "served",
        "served",
        "protected",
        "deleted",
    ]
    assert world.count("20", "favorites") > 0


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: World(accounts=()),
        lambda: World(accounts=("a", "a")),
        lambda: World(now=datetime(2026, 1, 1)),  # noqa: DTZ001 - the mistake
        lambda: WORLD.credentials("bolt"),
        lambda: WORLD.tweets("bolt", 1, since=NOW - timedelta(1), until=NOW),
        lambda: WORLD.tweets("acme", 1, since=NOW, until=NOW),
        lambda: World(foreign_share=1).tweets("acme", 1, since=NOW - timedelta(1), until=NOW),
        lambda: WORLD.count("20", "likes"),
        lambda: WORLD.count_between("20", "likes", NOW, NOW),
    ],
)
def test_invalid_arguments_are_named(mistake: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w{3}"):
        mistake()


def test_another_process_sees_the_same_world() -> None:
    program = (
        "from datetime import datetime, UTC, timedelta\n"
        "from airflow_provider_engagement.simulator import World\n"
        "import sys\n"
        "assert not any(name.split('.')[0] == 'airflow' for name in sys.modules)\n"
        "now = datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC)\n"
        "world = World(seed=3, now=now)\n"
        "ids = world.tweets('acme', 5, since=now - timedelta(days=9), until=now)\n"
        "print([(i, world.count(i, 'impressions'), world.count(i, 'favorites')) for i in ids])\n"
        "print(world.credentials('acme'))\n"
    )
    printed = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    tweets = WORLD.tweets("acme", 5, since=NOW - timedelta(days=9), until=NOW)
    counts = [(i, WORLD.count(i, "impressions"), WORLD.count(i, "favorites")) for i in tweets]
    assert printed == f"{counts}\n{WORLD.credentials('acme')}\n"


def test_counts_are_the_same_on_every_machine() -> None:
    # A change here changes every count that anyone has written into a test of their own.
    tweet_id = "2030000000000000000"
    pinned = {name: WORLD.count(tweet_id, name) for name in ENGAGEMENT_TYPES[:6]}
    assert pinned == {
        "impressions": 5096,
        "engagements": 242,
        "favorites": 89,
        "retweets": 18,
        "replies": 3,
        "quote_tweets": 2,
    }
