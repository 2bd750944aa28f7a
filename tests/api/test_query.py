from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError
from airflow_provider_engagement.api.query import PlannedRequest, build_query
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES, Access

GOLDEN = Path(__file__).parents[1] / "golden"


def test_the_body_is_the_documented_one() -> None:
    documented = json.loads((GOLDEN / "request-getting-started.json").read_text())
    query = build_query(
        "totals",
        has_owner=False,
        engagement_types=documented["engagement_types"],
        groupings=documented["groupings"],
    )
    body = query.body(
        PlannedRequest(tuple(documented["tweet_ids"]), query.engagement_types, query.access)
    )
    assert body == documented


def test_all_types_that_the_credentials_allow_are_the_default() -> None:
    assert build_query("totals", has_owner=False).engagement_types == PUBLIC_TYPES
    owned = build_query("totals", has_owner=True)
    assert owned.engagement_types == ENDPOINTS["totals"].engagement_types
    assert len(build_query("historical", has_owner=True).engagement_types) == 17


@pytest.mark.parametrize(
    ("types", "has_owner", "access"),
    [
        (["favorites"], False, Access.PUBLIC),
        (["favorites"], True, Access.PUBLIC),
        (["favorites", "impressions"], True, Access.OWNER),
        (None, True, Access.OWNER),
    ],
)
def test_engagement_types_choose_the_access(
    types: list[str] | None, has_owner: bool, access: Access
) -> None:
    query = build_query("totals", has_owner=has_owner, engagement_types=types)
    assert query.access is access


@pytest.mark.parametrize(
    "given",
    [
        ["favorites", " replies ", "favorites"],
        ("favorites", "replies"),
    ],
)
def test_each_engagement_type_is_requested_once(given: object) -> None:
    query = build_query("totals", has_owner=False, engagement_types=given)
    assert query.engagement_types == ("favorites", "replies")


def test_private_counts_without_the_owners_tokens_say_so() -> None:
    with pytest.raises(
        AuthenticationError,
        match=r"impressions needs the tokens of the Tweets' owner.*access_token",
    ):
        build_query("totals", has_owner=False, engagement_types=["favorites", "impressions"])
    with pytest.raises(AuthenticationError, match="historical needs the tokens"):
        build_query("historical", has_owner=False)


def named(*levels: str) -> dict[str, Any]:
    return {"mine": {"group_by": list(levels)}}


@pytest.mark.parametrize(
    ("endpoint", "arguments", "message"),
    [
        ("total", {}, "endpoint is 'total'.*'totals', '28hr', 'historical'"),
        ("totals", {"engagement_types": ["likes"]}, "'likes', which is not an engagement type"),
        ("totals", {"engagement_types": ["url_clicks"]}, "'url_clicks', which is not served by"),
        ("historical", {"engagement_types": ["quote_tweets"]}, "not served by historical"),
        ("totals", {"engagement_types": []}, "engagement_types is empty"),
        ("totals", {"engagement_types": [7]}, r"engagement_types\[0\] is of type int"),
        ("totals", {"engagement_types": {"a": 1}}, "engagement_types is of type dict"),
        ("totals", {"granularity": "day"}, "granularity on totals is 'day'"),
        ("28hr", {"granularity": "day"}, "granularity on 28hr is 'day'.*'hour', 'total'"),
        ("totals", {"groupings": named("engagement.day")}, "on totals a level is one of"),
        ("totals", {"groupings": named("Tweet.id")}, "groups by 'Tweet.id'"),
        ("totals", {"groupings": named("tweet.id", "tweet.id")}, "names a level twice"),
        ("totals", {"groupings": {}}, "0 groupings"),
        ("totals", {"groupings": {n: named("tweet.id")["mine"] for n in "abcd"}}, "4 groupings"),
        ("totals", {"groupings": {"errors": named("tweet.id")["mine"]}}, "cannot have this name"),
        (
            "totals",
            {"groupings": {"unsupported_for_x": named("tweet.id")["mine"]}},
            "cannot have this name",
        ),
        ("totals", {"groupings": {"a": ["tweet.id"]}}, "must be an object like"),
        ("totals", {"groupings": "{"}, "groupings is str"),
        ("totals", {"groupings": named("tweet.id"), "granularity": "total"}, "both given"),
        (
            "totals",
            {
                "groupings": {
                    "a": {"group_by": ["tweet.id", "engagement.type"]},
                    "b": {"group_by": ["engagement.type", "tweet.id"]},
                }
            },
            "count everything twice",
        ),
        (
            "historical",
            {
                "groupings": named(
                    "engagement.day", "tweet.id", "engagement.type", "engagement.hour"
                )
            },
            "four levels in the order",
        ),
    ],
)
def test_queries_that_the_service_refuses_are_refused_before_sending(
    endpoint: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        build_query(endpoint, has_owner=True, **arguments)


def test_a_grouping_has_one_name_whatever_its_order() -> None:
    query = build_query(
        "28hr",
        has_owner=True,
        groupings={
            "x": {"group_by": ["engagement.type", "engagement.hour", "tweet.id"]},
            "y": {"group_by": ["engagement.type"]},
        },
    )
    assert [grouping.canonical for grouping in query.groupings] == [
        "tweet.id/engagement.type/engagement.hour",
        "engagement.type",
    ]
