"""Answers: true counts, in every grouping, over the window that they say."""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_engagement.api.spec import (
    ENDPOINTS,
    FOUR_LEVEL_ORDERS,
    GROUP_BY_ORDER,
    Access,
)
from airflow_provider_engagement.simulator import World, request_validation
from airflow_provider_engagement.simulator.auth import Caller
from airflow_provider_engagement.simulator.responses import respond

if TYPE_CHECKING:
    from tests.simulator.conftest import Client, Start

LEVELS = [level.value for level in GROUP_BY_ORDER]
SERIES_ORDERS = [order for n in (1, 2, 3) for order in itertools.permutations(LEVELS, n)] + [
    tuple(level.value for level in order) for order in FOUR_LEVEL_ORDERS
]
WINDOW = {"start": "2026-03-07T21:00:00Z", "end": "2026-03-09T02:00:00Z"}
TYPES = ["impressions", "favorites", "engagements"]


def moment(text: str) -> Any:
    return datetime.fromisoformat(text).astimezone(UTC)


def hours_of(answer: Any) -> Any:
    start, end = moment(answer["start"]), moment(answer["end"])
    while start < end:
        following = start.replace(minute=0, second=0) + timedelta(hours=1)
        yield start, min(following, end)
        start = following


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {p: v for key, sub in tree.items() for p, v in leaves(sub, (*path, key)).items()}


def expected(
    world: World, answer: Any, ids: list[str], types: list[str], order: tuple[str, ...]
) -> Any:
    """Sum the world's own hours by the levels of a grouping, the slow way."""
    sums = defaultdict(int)
    for start, end in hours_of(answer):
        for tweet_id, name in itertools.product(ids, types):
            keys = {
                "tweet.id": tweet_id,
                "engagement.type": name,
                "engagement.day": f"{start:%Y-%m-%d}",
                "engagement.hour": f"{start:%H}",
            }
            value = world.count_between(tweet_id, name, start, end)
            sums[tuple(keys[level] for level in order)] += value
    return {path: str(value) for path, value in sums.items()}


@pytest.mark.parametrize("order", SERIES_ORDERS, ids="/".join)
def test_every_grouping_of_a_window_has_the_expected_counts(
    client: Client, world: World, own: list[str], order: tuple[str, ...]
) -> None:
    ids = own[-2:]
    answer = client.counts("historical", client.body(ids, TYPES, *order, **WINDOW))
    assert leaves(answer["requested"]) == expected(world, answer, ids, TYPES, order)


@pytest.mark.parametrize(
    "order",
    [("tweet.id",), ("engagement.type",), ("engagement.type", "tweet.id"), tuple(LEVELS[:2])],
)
@pytest.mark.parametrize("account", ["acme", None])
def test_every_grouping_of_totals_has_the_expected_counts(
    client: Client, world: World, own: list[str], order: tuple[str, ...], account: str | None
) -> None:
    types = ["favorites", "retweets", "quote_tweets"]
    answer = client.counts("totals", client.body(own, types, *order), account=account)
    sums = defaultdict(int)
    for tweet_id, name in itertools.product(own, types):
        keys = {"tweet.id": tweet_id, "engagement.type": name}
        sums[tuple(keys[level] for level in order)] += world.count(tweet_id, name)
    assert leaves(answer["requested"]) == {path: str(value) for path, value in sums.items()}
    assert set(answer) == {"requested"}


def test_three_groupings_agree(client: Client, own: list[str]) -> None:
    body = client.body(own, TYPES, *LEVELS, **WINDOW)
    body["groupings"]["by type"] = {"group_by": ["engagement.type"]}
    body["groupings"]["Profile-1"] = {"group_by": ["engagement.type", "engagement.hour"]}
    answer = client.counts("historical", body)
    for name in TYPES:
        total = sum(int(n) for path, n in leaves(answer["requested"]).items() if path[1] == name)
        assert int(answer["by type"][name]) == total
        assert sum(map(int, answer["Profile-1"][name].values())) == total
        assert len(answer["Profile-1"][name]) == 24


@pytest.mark.parametrize(
    ("since", "until", "echo"),
    [
        ("2026-03-01", "2026-03-02", ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")),
        (
            "2026-03-01T12:24:00Z",
            "2026-03-02T08:37:01Z",
            ("2026-03-01T12:00:00Z", "2026-03-02T09:00:00Z"),
        ),
        # Both ends of what is allowed; the hour that runs now is aligned past now.
        ("2026-02-10T13:00:00Z", "2026-03-10T12:34:56Z", (..., "2026-03-10T13:00:00Z")),
        ("2014-09-01", "2014-09-02", ("2014-09-01T00:00:00Z", "2014-09-02T00:00:00Z")),
        (None, None, ("2026-02-10T13:00:00Z", "2026-03-10T12:34:00Z")),
    ],
)
def test_window_of_the_request_is_in_the_response(
    client: Client,
    own: list[str],
    since: str | None,
    until: str | None,
    echo: tuple[Any, str],
) -> None:
    body = client.body(own[-1:], ["impressions"], *LEVELS, start=since, end=until)
    answer = client.counts("historical", body)
    wanted = (since, echo[1]) if echo[0] is ... else echo
    assert (answer["start"], answer["end"]) == wanted
    world = client.simulator.world
    assert leaves(answer["requested"]) == expected(world, answer, own[-1:], ["impressions"], LEVELS)


@pytest.mark.parametrize(
    ("now", "echo", "hours"),
    [
        ("2015-09-15T21:45:00+00:00", ("2015-09-14T17:00:00Z", "2015-09-15T22:00:00Z"), 29),
        ("2026-03-10T12:00:00+00:00", ("2026-03-09T08:00:00Z", "2026-03-10T12:00:00Z"), 28),
    ],
)
def test_last_28_hours_are_28_or_29(
    start: Start, now: datetime, echo: tuple[Any, str], hours: int
) -> None:
    now = moment(now)
    world = World(now=now)
    client = start(world)
    ids = world.tweets("acme", 2, since=now - timedelta(hours=40), until=now)
    answer = client.counts("28hr", client.body(ids, TYPES, *LEVELS))
    assert (answer["start"], answer["end"]) == echo
    assert leaves(answer["requested"]) == expected(world, answer, ids, TYPES, LEVELS)
    assert len(leaves(answer["requested"])) == hours * len(ids) * len(TYPES)


def test_counts_are_strings_and_hours_zero_filled(client: Client) -> None:
    answer = client.counts("historical", client.body(["20"], ["email_tweet"], *LEVELS, **WINDOW))
    days = answer["requested"]["20"]["email_tweet"]
    assert {day: len(hours) for day, hours in days.items()} == {
        "2026-03-07": 3,
        "2026-03-08": 24,
        "2026-03-09": 2,
    }
    assert set(leaves(days).values()) == {"0"}


def test_order_differs_from_the_request_and_is_stable(
    client: Client, world: World, own: list[str], start: Start
) -> None:
    types = list(ENDPOINTS["totals"].engagement_types)
    body = client.body(own, types)
    texts = {client.ask("totals", body).text for _ in range(3)}
    texts.add(start(world).ask("totals", body).text)
    assert len(texts) == 1
    answer = client.counts("totals", body)["requested"]
    assert list(answer) != own
    assert list(answer[own[0]]) != types
    turned = client.body(own[::-1], types[::-1])
    assert list(client.counts("totals", turned)["requested"]) == list(answer)


def test_largest_responses_take_less_than_their_limit(world: World) -> None:
    # Generous: what it guards against is a loop over 285,600 counts one by one.
    endpoint = ENDPOINTS["historical"]
    now = world.now()
    ids = world.tweets("acme", 25, since=now - timedelta(days=40), until=now)
    body = {
        "tweet_ids": ids,
        "engagement_types": list(endpoint.engagement_types),
        "groupings": {"g": {"group_by": LEVELS}},
        "start": "2026-02-10",
        "end": "2026-03-10",
    }
    what = request_validation.parse_request(endpoint, json.dumps(body).encode(), now)
    began = time.process_time()
    found = respond(world, Caller(Access.OWNER, "acme"), what)
    assert time.process_time() - began < 2
    assert len(leaves(found["g"])) == 25 * 17 * 672
