"""Who may see what: the table in the fact sheet, row by row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.simulator import World

if TYPE_CHECKING:
    from datetime import datetime

    from tests.simulator.conftest import Client, Start

SERIES = ["28hr", "historical"]
ALL = ["totals", *SERIES]


@pytest.fixture
def foreign(own: list[str]) -> list[str]:
    return own[:3]


@pytest.fixture
def mixed(start: Start, foreign: list[str], now: datetime) -> Client:
    """Give a client of a world in which the first three of acme's Tweets are by others."""
    return start(World(seed=11, accounts=("acme", "bolt"), now=now, foreign=foreign))


def test_own_post_public_metrics(client: Client, own: list[str]) -> None:
    for account in ("acme", None):
        answer = client.counts("totals", client.body(own, ["favorites"]), account=account)
        assert set(answer["requested"]) == set(own)
    for endpoint in SERIES:
        assert set(client.counts(endpoint, client.body(own, ["favorites"]))["requested"]) == set(
            own
        )


def test_own_post_private_metrics_need_the_owner(client: Client, own: list[str]) -> None:
    body = client.body(own, ["favorites", "impressions", "engagements"])
    assert "errors" not in client.counts("totals", body)
    refused = client.ask("totals", body, account=None)
    assert refused.status_code == 403
    assert refused.json()["errors"] == ["Forbidden to access metrics: impressions, engagements"]
    assert "x-simulator-invented" not in refused.headers


def test_old_post_has_no_impressions_on_totals(
    client: Client, world: World, own: list[str], now: datetime
) -> None:
    (old,) = world.tweets(
        "acme", 1, since=now - timedelta(days=200), until=now - timedelta(days=100)
    )
    types = ["impressions", "favorites"]
    answer = client.counts("totals", client.body([old, own[0]], types))
    assert answer["unsupported_for_impressions_engagements_tweet_ids"] == [old]
    assert answer["errors"] == [
        "Impressions & engagements for tweets older than 90 days (90 days) are not supported"
    ]
    assert answer["requested"][old] == {
        "impressions": "0",
        "favorites": str(world.count(old, "favorites")),
    }
    assert answer["requested"][own[0]]["impressions"] == str(world.count(own[0], "impressions"))
    # Types that were not requested are not listed, and time series have no age limit.
    assert set(client.counts("totals", client.body([old], ["favorites"]))) == {"requested"}
    window = {"start": "2025-08-20", "end": "2025-09-10"}
    assert set(client.counts("historical", client.body([old], types, **window))) == {
        "requested",
        "start",
        "end",
    }


def test_age_limit_is_90_days_to_the_millisecond(
    client: Client, world: World, now: datetime
) -> None:
    ids = world.tweets("acme", 300, since=now - timedelta(days=91), until=now - timedelta(days=89))
    answer = client.counts("totals", client.body(ids[:250], ["engagements"]))
    listed = set(answer["unsupported_for_impressions_engagements_tweet_ids"])
    cut = ((int(now.timestamp() * 1000) - 90 * 86_400_000 - 1288834974657) << 22) - 1
    assert listed == {tweet_id for tweet_id in ids[:250] if int(tweet_id) < cut}


def test_very_old_post_has_no_video_views(client: Client, own: list[str]) -> None:
    answer = client.counts("totals", client.body(["20", own[0]], ["video_views"]), account=None)
    assert answer["unsupported_for_video_views_tweet_ids"] == ["20"]
    assert answer["requested"]["20"] == {"video_views": "0"}
    assert "errors" not in answer


def test_foreign_post_public_metrics(mixed: Client, foreign: list[str]) -> None:
    body = mixed.body(foreign, ["favorites"])
    assert set(mixed.counts("totals", body, account=None)["requested"]) == set(foreign)


@pytest.mark.parametrize("endpoint", ALL)
@pytest.mark.parametrize("n", [3, 6])
def test_foreign_post_fails_a_request_with_user_tokens(
    mixed: Client, own: list[str], endpoint: str, n: int
) -> None:
    world = mixed.simulator.world
    refused = mixed.ask(endpoint, mixed.body(own[:n], ["favorites"]))
    assert refused.status_code == 403
    by_author = {}
    for tweet_id in own[:3]:
        by_author.setdefault(world.author_id(world.owner_of(tweet_id)), []).append(tweet_id)
    assert refused.json() == {
        "errors": [
            f"Forbidden to access tweets for author id {author}: {', '.join(ids)}"
            for author, ids in by_author.items()
        ]
    }
    assert "x-simulator-invented" not in refused.headers


def test_posts_of_another_account_are_foreign_too(
    client: Client, own: list[str], world: World
) -> None:
    refused = client.ask("totals", client.body(own, ["favorites"]), account="bolt")
    author = world.author_id("acme")
    assert refused.json()["errors"] == [
        f"Forbidden to access tweets for author id {author}: {', '.join(own)}"
    ]


def test_posts_of_several_authors_are_served_app_only(mixed: Client, own: list[str]) -> None:
    answer = mixed.counts("totals", mixed.body(own, ["favorites"]), account=None)
    assert set(answer["requested"]) == set(own)


@pytest.mark.parametrize("endpoint", ALL)
def test_protected_post_fails_a_request_with_user_tokens(
    client: Client, world: World, own: list[str], endpoint: str
) -> None:
    world.protected.update(own[1:3])
    world.deleted.add(own[3])
    refused = client.ask(endpoint, client.body(own, ["favorites"]))
    assert refused.status_code == 400
    assert refused.json() == {
        "unavailable_tweet_ids": own[1:4],
        "errors": ["3 Tweet ID(s) are unavailable"],
    }


def test_protected_post_is_left_out_app_only(client: Client, world: World, own: list[str]) -> None:
    world.protected.add(own[1])
    answer = client.counts("totals", client.body(own, ["favorites"]), account=None)
    assert answer["unavailable_tweet_ids"] == [own[1]]
    assert set(answer["requested"]) == {*own} - {own[1]}


@pytest.mark.parametrize(
    ("endpoint", "account"), [(name, "acme") for name in ALL] + [("totals", None)]
)
def test_deleted_post_is_left_out(
    client: Client, world: World, own: list[str], endpoint: str, account: str | None
) -> None:
    world.deleted.add(own[2])
    answer = client.counts(endpoint, client.body(own, ["favorites"]), account=account)
    assert answer["unavailable_tweet_ids"] == [own[2]]
    assert answer["errors"] == ["1 Tweet ID(s) are unavailable"]
    assert set(answer["requested"]) == {*own} - {own[2]}


@pytest.mark.parametrize(
    ("endpoint", "account"), [(name, "acme") for name in ALL] + [("totals", None)]
)
def test_request_of_only_unavailable_posts_is_refused(
    client: Client, world: World, own: list[str], endpoint: str, account: str | None
) -> None:
    world.deleted.update(own)
    refused = client.ask(endpoint, client.body(own, ["favorites"]), account=account)
    assert refused.status_code == 400
    assert refused.json()["unavailable_tweet_ids"] == own
    assert refused.json()["errors"] == ["6 Tweet ID(s) are unavailable"]


def test_deleted_foreign_post_is_unavailable_not_forbidden(
    mixed: Client, own: list[str], foreign: list[str]
) -> None:
    mixed.simulator.world.deleted.update(foreign)
    answer = mixed.counts("totals", mixed.body(own, ["favorites"]))
    assert answer["unavailable_tweet_ids"] == foreign


def test_post_of_the_future_is_unavailable(
    client: Client, own: list[str], world: World, now: datetime
) -> None:
    (unmade,) = world.tweets("acme", 1, since=now + timedelta(1), until=now + timedelta(2))
    assert world.outcome(unmade) == "deleted"
    answer = client.counts("totals", client.body([unmade, own[0]], ["favorites"]))
    assert answer["unavailable_tweet_ids"] == [unmade]
