from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import expected_counts
from support import pull_rows, settings_for

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    IncompleteDataError,
    ServiceError,
)
from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import (
    AGE_LIMITS,
    AGE_MARGIN,
    ENDPOINTS,
    PUBLIC_TYPES,
    Access,
)
from airflow_provider_engagement.api.tweet_id import first_id_at
from airflow_provider_engagement.pull import PullStats
from airflow_provider_engagement.pull.pull import plan_requests
from airflow_provider_engagement.simulator import Faults, Simulator, World

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)
TYPES = ENDPOINTS["totals"].engagement_types
KINDS = ("429", "500", "502", "503", "truncated", "malformed", "html")


def values(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    found = {(row["tweet_id"], row["engagement_type"]): row["value"] for row in rows}
    assert len(found) == len(rows), "a count is there twice"
    return found


def young_world(**changes: Any) -> tuple[World, list[str]]:
    world = World(seed=3, accounts=("acme",), now=NOW, **changes)
    ids = world.tweets("acme", 1000, since=NOW - timedelta(days=80), until=NOW)
    return world, ids


@pytest.fixture
def mixed() -> tuple[World, list[str], set[str], set[str]]:
    """Give 1,000 Tweets with a foreign, a deleted and a protected one in every 250."""
    _, ids = young_world()
    foreign, deleted = set(ids[7::250]), set(ids[11::250])
    world = World(seed=3, accounts=("acme",), now=NOW, foreign=foreign, deleted=deleted)
    return world, ids, foreign, deleted


@pytest.mark.parametrize("share", [0.0, 0.2], ids=["calm", "a fifth of the answers faulty"])
def test_every_available_count_of_a_mixed_batch_is_fetched(
    mixed: tuple[World, list[str], set[str], set[str]], tmp_path: Path, share: float
) -> None:
    world, ids, foreign, deleted = mixed
    faults = Faults(share=share, kinds=KINDS, seed=5)
    with Simulator(world, faults=faults, requests_per_minute=100_000) as simulator:
        outcome, rows = pull_rows(simulator, ids, now=NOW, rate_state_directory=tmp_path)
    owned = [item for item in ids if item not in foreign | deleted]
    expected = expected_counts(world, owned, TYPES) | expected_counts(
        world, sorted(foreign), PUBLIC_TYPES
    )
    assert values(rows) == expected
    assert {row["access"] for row in rows if row["tweet_id"] in foreign} == {"public"}
    assert {row["access"] for row in rows if row["tweet_id"] in owned} == {"owner"}
    tweets: Any = outcome.summary["tweets"]
    assert (tweets["asked"], tweets["answered"], tweets["unavailable"]) == (1000, 996, 4)
    assert tweets["answered_public_only"] == 4


def test_the_summary_stays_small_at_any_size(tmp_path: Path) -> None:
    world = World(seed=4, accounts=("acme",), now=NOW, foreign_share=0.2, deleted_share=0.2)
    ids = world.tweets("acme", 3000, since=NOW - timedelta(days=2500), until=NOW)
    with Simulator(world) as simulator:
        outcome, _ = pull_rows(simulator, ids, now=NOW, rate_state_directory=tmp_path)
    assert len(json.dumps(outcome.summary)) < 10_000


def test_old_tweets_are_requested_with_the_types_of_their_age(tmp_path: Path) -> None:
    world = World(seed=3, accounts=("acme",), now=NOW)
    old = world.tweets("acme", 3, since=NOW - timedelta(days=400), until=NOW - timedelta(days=300))
    ancient = world.tweets(
        "acme", 3, since=NOW - timedelta(days=2500), until=NOW - timedelta(days=2000)
    )
    edge = world.tweets("acme", 3, since=NOW - timedelta(hours=2182), until=NOW - timedelta(90, 60))
    with Simulator(world) as simulator:
        outcome, rows = pull_rows(
            simulator, [*old, *ancient, *edge], now=NOW, rate_state_directory=tmp_path
        )
        bodies = [record.body for record in simulator.requests]
    quarter = tuple(name for name in TYPES if name not in {"impressions", "engagements"})
    expected = (
        expected_counts(world, old, quarter)
        | expected_counts(world, ancient, tuple(name for name in quarter if name != "video_views"))
        # At the edge they are asked for, and the service says that they are unsupported.
        | expected_counts(world, edge, quarter)
    )
    assert values(rows) == expected
    asked = {item: set(body["engagement_types"]) for body in bodies for item in body["tweet_ids"]}
    assert "impressions" not in asked[old[0]]
    assert "video_views" not in asked[ancient[0]]
    assert "impressions" in asked[edge[0]]
    tweets: Any = outcome.summary["tweets"]
    assert tweets["answered"] == 9
    assert {note["reason"]: note["tweets"] for note in tweets["reasons"]} == {
        "too old for some types": 6,
        "the service lists it as unsupported for some types": 3,
    }


def test_public_types_are_requested_app_only_with_one_token_exchange(
    tmp_path: Path,
) -> None:
    world, ids = young_world()
    with Simulator(world) as simulator:
        settings = settings_for(simulator, bearer=False)
        for _ in range(2):
            _, rows = pull_rows(
                simulator,
                ids[:300],
                now=NOW,
                rate_state_directory=tmp_path,
                settings=settings,
                engagement_types=["favorites"],
            )
        seen = [record.access for record in simulator.requests if record.endpoint == "totals"]
        exchanges = [record for record in simulator.requests if record.endpoint != "totals"]
    assert values(rows) == expected_counts(world, ids[:300], ("favorites",))
    assert set(seen) == {"public"}
    assert len(exchanges) == 1


def test_sums_over_tweets_cover_all_requests(tmp_path: Path) -> None:
    world, ids = young_world()
    with Simulator(world) as simulator:
        _, rows = pull_rows(
            simulator,
            ids,
            now=NOW,
            rate_state_directory=tmp_path,
            groupings={"all": {"group_by": ["engagement.type"]}},
        )
    assert {row["engagement_type"]: row["value"] for row in rows} == {
        name: sum(world.count(item, name) for item in ids) for name in TYPES
    }
    assert {row["tweet_id"] for row in rows} == {None}
    assert len(rows) == len(TYPES)


def test_pull_fails_if_no_tweet_was_counted(tmp_path: Path) -> None:
    _, ids = young_world()
    world = World(seed=3, accounts=("acme",), now=NOW, deleted=ids[:5])
    with Simulator(world) as simulator, pytest.raises(IncompleteDataError, match="0 of 5 Tweets"):
        pull_rows(simulator, ids[:5], now=NOW, rate_state_directory=tmp_path)


def test_pull_fails_if_too_few_tweets_were_counted(tmp_path: Path) -> None:
    _, ids = young_world()
    world = World(seed=3, accounts=("acme",), now=NOW, deleted=ids[:5])
    with Simulator(world) as simulator:
        with pytest.raises(IncompleteDataError, match=r"5 of 10 .*5 unavailable.*share is 0\.4"):
            pull_rows(
                simulator, ids[:10], now=NOW, rate_state_directory=tmp_path, max_missing_share=0.4
            )
        pull_rows(
            simulator, ids[:10], now=NOW, rate_state_directory=tmp_path, max_missing_share=0.5
        )


def test_wrong_tokens_fail_at_once(tmp_path: Path) -> None:
    world, ids = young_world()
    other = World(seed=99, accounts=("acme",), now=NOW)
    with Simulator(world) as simulator, Simulator(other) as elsewhere:
        wrong = settings_for(elsewhere)
        settings = settings_for(simulator)
        settings = type(settings)(credentials=wrong.credentials, account="acme", host=settings.host)
        with pytest.raises(AuthenticationError, match=r"did not accept the credentials.*HTTP 401"):
            pull_rows(simulator, ids[:5], now=NOW, rate_state_directory=tmp_path, settings=settings)
        assert len(simulator.requests) == 1


def test_nothing_is_written_if_the_service_stays_broken(tmp_path: Path) -> None:
    world, ids = young_world()
    retry = RetryPolicy(budget=0.02, first_wait=0.001, max_wait=0.001)
    with Simulator(world, faults=Faults(share=1.0, kinds=("503",))) as simulator:
        with pytest.raises(ServiceError, match="HTTP 503") as caught:
            pull_rows(simulator, ids[:5], now=NOW, rate_state_directory=tmp_path, retry=retry)
        assert len(simulator.requests) > 1
    assert caught.value.retryable


def test_requests_of_a_failed_pull_are_counted(tmp_path: Path) -> None:
    world, ids = young_world()
    retry, stats = RetryPolicy(budget=1.5, first_wait=0.001, max_wait=0.1), PullStats()
    faults = Faults(share=1.0, kinds=("503", "truncated"), script=("503", "429", "truncated"))
    with (
        Simulator(world, faults=faults) as simulator,
        pytest.raises(ServiceError),
    ):
        pull_rows(
            simulator, ids[:5], now=NOW, rate_state_directory=tmp_path, retry=retry, stats=stats
        )
    sent = len(simulator.requests)
    assert sent > 3
    assert (stats.requests, stats.retried, stats.rate_limited, stats.rows) == (sent, sent - 1, 1, 0)


def test_access_without_credentials_is_refused_when_it_is_prepared(tmp_path: Path) -> None:
    world, _ = young_world()
    with Simulator(world) as simulator:
        settings = settings_for(simulator, user_tokens=False)
        with (
            EngagementClient(settings, rate_state_directory=tmp_path) as client,
            pytest.raises(AuthenticationError, match="no tokens of the Tweets' owner"),
        ):
            client.prepare(ENDPOINTS["totals"].name, Access.OWNER)


def test_plan_of_a_run_does_not_change_while_its_tweets_grow_older() -> None:
    now, query = datetime.now(UTC), build_query("totals", has_owner=True)
    made = now - AGE_LIMITS["impressions"] - AGE_MARGIN - timedelta(minutes=10)
    settings = Settings(account="acme", credentials=Credentials(Secret("key"), Secret("secret")))
    for began, is_too_old in ((timedelta(minutes=20), False), (timedelta(days=2), True)):
        plan = plan_requests(
            query, [str(first_id_at(made))], ReportingPeriod(now - began), settings
        )
        assert plan is not None
        assert bool(plan.too_old) == is_too_old
