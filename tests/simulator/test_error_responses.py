"""Every rule that a request can violate, and its error response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import error_responses

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator import World
    from tests.simulator.conftest import Client, Start

DAY, HOUR = "engagement.day", "engagement.hour"
ID, TYPE = "tweet.id", "engagement.type"
FOUR = {"group_by": [ID, TYPE, DAY, HOUR]}


def many(n: int) -> Any:
    return [str(10**18 + place) for place in range(n)]


def groupings(**named: Any) -> Any:
    return {"groupings": named}


def levels(*group_by: str) -> Any:
    return groupings(g={"group_by": list(group_by)})


# name of the words, endpoint, what is changed in a good request, a part of the message
CASES = [
    ("IDS_MISSING", "totals", {"tweet_ids": None}, "tweet_ids"),
    ("IDS_MISSING", "28hr", {"tweet_ids": []}, "tweet_ids"),
    ("IDS_MISSING", "totals", {"tweet_ids": "20"}, "tweet_ids"),
    ("BAD_ID", "totals", {"tweet_ids": ["20", "x"]}, "tweet_ids[1]"),
    ("BAD_ID", "totals", {"tweet_ids": [str(2**63)]}, "tweet_ids[0]"),
    ("BAD_ID", "totals", {"tweet_ids": ["0"]}, "tweet_ids[0]"),
    ("BAD_ID", "totals", {"tweet_ids": [True]}, "tweet_ids[0]"),
    ("BAD_ID", "totals", {"tweet_ids": [1.5]}, "tweet_ids[0]"),
    ("BAD_ID", "totals", {"tweet_ids": ["²"]}, "tweet_ids[0]"),
    ("TOO_MANY_IDS", "totals", {"tweet_ids": many(251)}, "251 were given"),
    ("TOO_MANY_IDS", "28hr", {"tweet_ids": many(26)}, "at most 25"),
    ("TOO_MANY_IDS", "historical", {"tweet_ids": many(26)}, "at most 25"),
    ("TYPES_MISSING", "totals", {"engagement_types": None}, "engagement_types"),
    ("TYPES_MISSING", "totals", {"engagement_types": []}, "engagement_types"),
    ("UNKNOWN_TYPES", "totals", {"engagement_types": ["likes"]}, "likes"),
    ("UNKNOWN_TYPES", "28hr", {"engagement_types": [" engagements"]}, " engagements"),
    ("UNKNOWN_TYPES", "28hr", {"engagement_types": ["media_clicks", 5]}, "media_clicks, 5"),
    ("TYPES_NOT_HERE", "totals", {"engagement_types": ["url_clicks"]}, "totals does not"),
    ("TYPES_NOT_HERE", "28hr", {"engagement_types": ["quote_tweets"]}, "28hr does not"),
    ("TYPES_NOT_HERE", "historical", {"engagement_types": ["quote_tweets"]}, "quote_tweets"),
    ("GROUPINGS_MISSING", "totals", {"groupings": None}, "groupings"),
    ("GROUPINGS_MISSING", "totals", {"groupings": {}}, "groupings"),
    ("GROUPINGS_MISSING", "totals", {"groupings": [ID]}, "groupings"),
    (
        "TOO_MANY_GROUPINGS",
        "totals",
        {"groupings": {f"g{n}": {"group_by": [ID]} for n in range(4)}},
        "4 were given, at most 3",
    ),
    ("BAD_GROUPING", "totals", {"groupings": {"g": [ID]}}, "'g'"),
    ("BAD_GROUPING", "totals", {"groupings": {"g": {}}}, "'g'"),
    ("BAD_GROUPING", "totals", {"groupings": {"g": {"group_by": []}}}, "'g'"),
    ("BAD_GROUPING", "totals", {"groupings": {"g": {"group_by": ID}}}, "'g'"),
    ("RESERVED_NAME", "totals", groupings(errors={"group_by": [ID]}), "'errors'"),
    ("RESERVED_NAME", "totals", groupings(unsupported_for_x={"group_by": [ID]}), "_for_x"),
    ("REPEATED_LEVEL", "totals", levels(ID, ID), "twice"),
    ("GROUP_BY_NOT_SUPPORTED", "totals", levels(ID, HOUR), "(engagement.hour)"),
    ("GROUP_BY_NOT_SUPPORTED", "totals", levels(DAY, HOUR), "(engagement.day, engagement.hour)"),
    ("GROUP_BY_NOT_SUPPORTED", "28hr", levels("Tweet.id"), "(Tweet.id)"),
    ("GROUP_BY_NOT_SUPPORTED", "historical", levels("week", ID), "(week)"),
    ("FOUR_LEVEL_ORDER", "28hr", levels(ID, TYPE, HOUR, DAY), "order"),
    ("FOUR_LEVEL_ORDER", "historical", levels(DAY, ID, TYPE, HOUR), "order"),
    ("TWO_FOUR_LEVEL", "historical", groupings(a=FOUR, b=FOUR), "Only one"),
    ("NO_WINDOW_HERE", "totals", {"start": "2026-03-01"}, "totals takes no start"),
    (
        "NO_WINDOW_HERE",
        "28hr",
        {"start": "2026-03-01", "end": "2026-03-02"},
        "28hr takes no start and end",
    ),
    ("HALF_A_WINDOW", "historical", {"start": "2026-03-01"}, "both"),
    ("HALF_A_WINDOW", "historical", {"end": "2026-03-01"}, "both"),
    ("BAD_MOMENT", "historical", {"start": "yesterday", "end": "2026-03-01"}, "start must read"),
    ("BAD_MOMENT", "historical", {"start": "2026-02-01", "end": "2026-02-30"}, "end must read"),
    (
        "BAD_MOMENT",
        "historical",
        {"start": "2026-03-01T00:00:00+01:00", "end": "2026-03-02"},
        "start must read",
    ),
    ("BAD_MOMENT", "historical", {"start": 20260301, "end": "2026-03-02"}, "start must read"),
    ("END_IN_FUTURE", "historical", {"start": "2026-03-10", "end": "2026-03-11"}, "future"),
    (
        "END_IN_FUTURE",
        "historical",
        {"start": "2026-03-10", "end": "2026-03-10T12:34:57Z"},
        "future",
    ),
    ("END_NOT_AFTER_START", "historical", {"start": "2026-03-02", "end": "2026-03-02"}, "after"),
    ("END_NOT_AFTER_START", "historical", {"start": "2026-03-02", "end": "2026-03-01"}, "after"),
    (
        "START_TOO_EARLY",
        "historical",
        {"start": "2014-08-31T23:59:59Z", "end": "2014-09-02"},
        "2014-09-01T00:00:00Z",
    ),
    (
        "WINDOW_TOO_LONG",
        "historical",
        # 28 days, but aligned to the hour it is 28 days and an hour.
        {"start": "2026-02-01T00:30:00Z", "end": "2026-03-01T00:30:00Z"},
        "28 days",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_violated_rule_is_named(
    client: Client, own: list[str], case: tuple[str, str, dict[str, Any], str]
) -> None:
    name, endpoint, changes, part = case
    words = error_responses.all_templates()[name]
    answer = client.ask(endpoint, {**client.body(own, ["favorites"]), **changes})
    assert answer.status_code == words.status == 400
    (message,) = answer.json()["errors"]
    fixed = words.text.partition("{")[0]
    assert message.startswith(fixed)
    assert part in message
    assert answer.headers.get("x-simulator-invented") == (None if words.known else "true")
    assert answer.headers["content-encoding"] == "gzip"


# Shown by a test of their own: here, in test_auth.py, test_visibility.py, test_faults.py.
ELSEWHERE = {
    *("NO_SUCH_PAGE", "NO_GZIP", "NOT_JSON", "NOT_JSON_TYPE", "NO_LENGTH", "TOO_LARGE"),
    *("UNKNOWN_TOKEN", "UNKNOWN_AUTHORIZATION", "TOKEN_NOT_GRANTED", "UNKNOWN_CONSUMER"),
    *("APP_NOT_ENABLED", "BAD_SIGNATURE", "BAD_METHOD", "BAD_OAUTH", "STALE", "NONCE_USED"),
    "NO_USER_CONTEXT",
    *("NO_CALLBACK", "WRONG_PIN"),
    *("FORBIDDEN_TWEETS", "FORBIDDEN_METRICS", "UNAVAILABLE", "TOO_OLD"),
    *("RATE_LIMITED", "INTERNAL_ERROR", "BAD_GATEWAY", "SERVICE_UNAVAILABLE"),
}


def test_every_error_response_has_a_test() -> None:
    assert {case[0] for case in CASES} | ELSEWHERE == set(error_responses.all_templates())


def test_request_at_each_limit_is_accepted(client: Client, own: list[str]) -> None:
    for name, endpoint in ENDPOINTS.items():
        full = [*own, *client.simulator.world.tweets("acme", 300, **period(client))]
        body = client.body(full[: endpoint.max_tweet_ids], list(endpoint.engagement_types))
        body["groupings"] = {f"g{n}": body["groupings"]["requested"] for n in range(3)}
        answer = client.counts(name, body)
        assert len(answer["g2"]) == endpoint.max_tweet_ids


def period(client: Client) -> Any:
    now = client.simulator.world.now()
    return {"since": now.replace(month=1), "until": now}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000])
def test_body_must_be_a_json_object(client: Client, raw: bytes) -> None:
    answer = client.post(
        "/insights/engagement/totals",
        data=raw,
        auth=client.auth(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400
    assert answer.json() == {"errors": ["The request body is not a JSON object."]}
    assert client.simulator.requests[-1].tweet_ids == []


def test_content_type_must_be_json_if_given(client: Client, own: list[str]) -> None:
    wrong = client.ask(
        "totals", client.body(own, ["favorites"]), headers={"Content-Type": "text/plain"}
    )
    assert wrong.status_code == 400
    assert "text/plain" in wrong.json()["errors"][0]


@pytest.mark.parametrize("accepted", ["identity", "deflate, br", "gzip;q=0"])
def test_gzip_must_be_accepted(client: Client, own: list[str], accepted: str) -> None:
    headers = {"Accept-Encoding": accepted}
    answer = client.ask("totals", client.body(own, ["favorites"]), headers=headers)
    assert answer.status_code == 406
    (message,) = answer.json()["errors"]
    assert message == (
        "This request requires gzip compression. Retry the request after setting "
        "'Accept-Encoding' header in the request to 'gzip'."
    )
    assert "content-encoding" not in answer.headers


def test_gzip_requirement_can_be_turned_off(world: World, start: Start, own: list[str]) -> None:
    client = start(world, require_gzip=False)
    headers = {"Accept-Encoding": "identity"}
    answer = client.ask("totals", client.body(own, ["favorites"]), headers=headers)
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/insights/engagement"),
        ("POST", "/insights/engagement/28hour"),
        ("GET", "/insights/engagement/totals"),
        ("PUT", "/insights/engagement/totals"),
        ("POST", "/oauth2/invalidate_token"),
        ("GET", "/nothing"),
    ],
)
def test_other_paths_do_not_exist(client: Client, method: str, path: str) -> None:
    answer = client.session.request(method, client.simulator.url + path, timeout=10)
    assert answer.status_code == 404
    assert answer.json() == {"errors": [{"message": "Sorry, that page does not exist", "code": 34}]}


def test_body_without_content_length_is_refused(client: Client) -> None:
    answer = client.post("/insights/engagement/totals", data=iter([b"{}"]))
    assert answer.status_code == 411
    assert answer.headers["connection"] == "close"


def test_body_above_the_limit_is_refused(client: Client) -> None:
    headers = {"Content-Length": "1000001"}
    answer = client.post("/insights/engagement/totals", data=b"", headers=headers)
    assert answer.status_code == 413


def test_ids_can_be_numbers_and_repeated(client: Client, own: list[str]) -> None:
    body = client.body([int(own[0]), own[0], own[1]], ["favorites", "favorites"])
    answer = client.counts("totals", body)
    assert set(answer["requested"]) == set(own[:2])
