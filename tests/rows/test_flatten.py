from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.query import Grouping, PlannedRequest, Query, build_query
from airflow_provider_engagement.api.response import EngagementResponse, read_response
from airflow_provider_engagement.api.spec import (
    ENDPOINTS,
    ENGAGEMENT_TYPES,
    Access,
    EndpointName,
    GroupBy,
)
from airflow_provider_engagement.api.transport import Reply
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.rows.decode import Counts, read_counts
from airflow_provider_engagement.rows.flatten import flatten

if TYPE_CHECKING:
    from airflow_provider_engagement.rows.flatten import RequestResult

GOLDEN = Path(__file__).parents[1] / "golden"
NOW = datetime(2026, 11, 21, 8, 0, 0, 5, tzinfo=UTC)
SNAPSHOT = datetime(2026, 11, 21, tzinfo=UTC)
TYPE, TWEET, DAY, HOUR = (
    GroupBy.ENGAGEMENT_TYPE,
    GroupBy.TWEET_ID,
    GroupBy.DAY,
    GroupBy.HOUR,
)


def answer_of(name: str, grouping: Grouping) -> EngagementResponse:
    body = (GOLDEN / name).read_bytes()
    reply = Reply(status=200, headers={}, body=body, received_at=NOW)
    response = read_response(reply, grouping_names=[grouping.name])
    assert response is not None
    return response


def flattened(
    response: EngagementResponse, grouping: Grouping, ids: list[str], types: Any
) -> RequestResult:
    return flatten(
        response,
        query=Query(ENDPOINTS[EndpointName.TOTALS], tuple(types), (grouping,), Access.OWNER),
        request=PlannedRequest(tuple(ids), tuple(types), Access.OWNER),
        account="acme",
        period=ReportingPeriod(SNAPSHOT),
    )


def counts(result: RequestResult) -> dict[tuple[str | None, str | None], int]:
    return {(r["tweet_id"], r["engagement_type"]): r["value"] for r in rows_of(result).to_pylist()}


def rows_of(result: RequestResult) -> pa.Table:
    return pa.concat_tables([result.rows, result.partial_sums])


def dicts(counts: Counts) -> list[dict[str, Any]]:
    columns = {name: level.strings().to_pylist() for name, level in counts.levels.items()}
    columns["value"] = counts.values.to_pylist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def test_the_documented_public_answer() -> None:
    grouping = Grouping("perTweetMetricsUnowned", (TWEET, TYPE))
    tweet = "1067094924124872705"
    result = flattened(
        answer_of("totals-public.json", grouping), grouping, [tweet], ENGAGEMENT_TYPES
    )
    assert counts(result) == {
        (tweet, "favorites"): 1360,
        (tweet, "quote_tweets"): 29,
        (tweet, "replies"): 56,
        (tweet, "retweets"): 178,
        (tweet, "video_views"): 5754512,
    }
    row = rows_of(result).to_pylist()[0]
    assert row == {
        "account": "acme",
        "access": "owner",
        "endpoint": "totals",
        "grouping": "tweet.id/engagement.type",
        "tweet_id": tweet,
        "engagement_type": "favorites",
        "granularity": "lifetime",
        "date": SNAPSHOT.date(),
        "period_start": None,
        "period_end": None,
        "hour_of_day": None,
        "snapshot_at": SNAPSHOT,
        "value": 1360,
        "complete": True,
        "tweet_created_at": datetime(2018, 11, 26, 16, 37, 10, 233000, tzinfo=UTC),
        "collected_at": NOW,
    }


def test_unrequested_type_is_left_out_and_counted() -> None:
    grouping = Grouping("perTweetMetricsOwned", (TWEET, TYPE))
    asked = ["impressions", "engagements", "favorites", "retweets", "replies", "video_views"]
    tweet = "1060976163948904448"
    result = flattened(answer_of("totals-owned.json", grouping), grouping, [tweet], asked)
    expected = dict(zip(asked, [148, 4, 0, 9, 1, 0], strict=True))
    assert counts(result) == {(tweet, name): value for name, value in expected.items()}
    assert result.unrequested == 1


def test_grand_totals_have_no_tweet() -> None:
    grouping = Grouping("Grand Totals", (TYPE,))
    result = flattened(answer_of("grand-totals.json", grouping), grouping, ["5"], ENGAGEMENT_TYPES)
    assert counts(result) == {(None, "favorites"): 12, (None, "replies"): 2, (None, "retweets"): 2}


def test_an_unavailable_tweet_and_a_bare_number() -> None:
    grouping = Grouping("group1", (TWEET, TYPE))
    answer = answer_of("totals-unavailable.json", grouping)
    assert answer.unavailable == {"323456789"}
    result = flattened(answer, grouping, ["323456789", "423456789"], ENGAGEMENT_TYPES)
    assert counts(result)["423456789", "retweets"] == 26
    assert result.counted == {"423456789"}
    assert rows_of(result)["tweet_created_at"].null_count == 4


def test_unsupported_count_is_absent_though_it_is_sent_as_zero() -> None:
    grouping = Grouping("grouping name", (TWEET, TYPE))
    ids = ["479311209565413376", "477139122520219648", "1397568983931392004"]
    result = flattened(
        answer_of("totals-unsupported.json", grouping), grouping, ids, ENGAGEMENT_TYPES
    )
    found = counts(result)
    assert len(found) == 10
    assert (ids[0], "video_views") not in found
    assert found[ids[2], "video_views"] == 17902


@pytest.mark.parametrize(
    ("name", "grouping", "rows", "one"),
    [
        (
            "historical-by-tweet.json",
            Grouping("types-by-tweet-id", (TWEET, TYPE)),
            12,
            {TWEET: "223456789", TYPE: "detail_expands", "value": 1323},
        ),
        (
            "historical-hour-of-day.json",
            Grouping("hourly_timeseries", (TYPE, TWEET, HOUR)),
            4,
            {TYPE: "impressions", TWEET: "695310089847111681", HOUR: "18", "value": 167},
        ),
        (
            "28hr-by-hour.json",
            Grouping("hourly-time-series", (TWEET, TYPE, DAY, HOUR)),
            14,
            {TWEET: "123456789", TYPE: "impressions", DAY: "2015-09-14", HOUR: "17", "value": 551},
        ),
    ],
)
def test_documented_time_series_are_read_at_every_level(
    name: str, grouping: Grouping, rows: int, one: dict[str, Any]
) -> None:
    table = read_counts(answer_of(name, grouping).groupings[grouping.name], grouping)
    assert len(table) == rows
    assert one in dicts(table)


levels = st.permutations(list(GroupBy)).flatmap(
    lambda order: st.integers(1, 3).map(lambda depth: tuple(order[:depth]))
)
numbers = st.integers(-(2**63), 2**63 - 1)


@given(data=st.data(), group_by=levels)
def test_any_nesting_gives_every_count_once(data: st.DataObject, group_by: Any) -> None:
    keys = st.text("abc123", min_size=1, max_size=3)
    nested = st.dictionaries(keys, st.one_of(numbers, numbers.map(str)), max_size=4)
    for _ in group_by[1:]:
        nested = st.dictionaries(keys, nested, max_size=4)  # type: ignore[assignment]
    document = data.draw(nested)
    table = read_counts(document, Grouping("g", group_by))

    def walk(part: Any, path: tuple[str, ...]) -> list[tuple[Any, ...]]:
        if len(path) == len(group_by):
            return [(*path, int(part))]
        return [row for key, inner in part.items() for row in walk(inner, (*path, key))]

    found = [tuple(row[name] for name in (*group_by, "value")) for row in dicts(table)]
    assert found == walk(document, ())


@pytest.mark.parametrize(
    "nested",
    [
        {"1": {"favorites": "0x1f"}},
        {"1": {"favorites": "1.5"}},
        {"1": {"favorites": 1.5}},
        {"1": {"favorites": ""}},
        {"1": {"favorites": " 7"}},
        {"1": {"favorites": "7\n"}},
        {"1": {"favorites": None}},
        {"1": {"favorites": True}},
        {"1": {"favorites": [1]}},
        {"1": {"favorites": {"2026-01-01": "1"}}},
        {"1": {"favorites": "9223372036854775808"}},
        {"1": {"favorites": 10**30}},
        {"1": "7"},
        {"1": []},
        [],
        None,
        "text",
    ],
)
def test_value_that_is_not_a_count_never_becomes_a_row(nested: Any) -> None:
    with pytest.raises(InvalidResponseError):
        read_counts(nested, Grouping("g", (TWEET, TYPE)))


def test_empty_response_has_no_rows() -> None:
    grouping = Grouping("g", (TWEET, TYPE))
    assert len(read_counts({}, grouping)) == 0
    answer = EngagementResponse({"g": {"5": {}}}, frozenset(), frozenset(), {}, NOW)
    assert flattened(answer, grouping, ["5"], ENGAGEMENT_TYPES).rows.num_rows == 0


def test_unrequested_ids_and_types_are_left_out_and_counted() -> None:
    grouping = Grouping("g", (TWEET, TYPE))
    groupings = json.loads('{"g": {"5": {"favorites": "1"}, "6": {"favorites": "2", "x": "3"}}}')
    answer = EngagementResponse(groupings, frozenset(), frozenset(), {}, NOW)
    result = flattened(answer, grouping, ["5"], ["favorites"])
    assert counts(result) == {("5", "favorites"): 1}
    assert result.unrequested == 2


# ---- Documented false zeros --------------------------------------------------------------------

BOUNDARY = datetime(2015, 9, 15, tzinfo=UTC)
FIVE_DAYS = Window(BOUNDARY - timedelta(days=3), BOUNDARY + timedelta(days=2))
TYPES = ("impressions", "favorites", "retweets", "replies")


def historical(granularity: str, counts_by_type: Any) -> RequestResult:
    query = build_query(
        "historical", has_owner=True, engagement_types=TYPES, granularity=granularity
    )
    response = EngagementResponse(
        {granularity: {"500000000000000000": counts_by_type}}, frozenset(), frozenset(), {}, NOW
    )
    request = PlannedRequest(("500000000000000000",), TYPES, Access.OWNER, FIVE_DAYS)
    period = ReportingPeriod(FIVE_DAYS.end, FIVE_DAYS)
    return flatten(response, query=query, request=request, account="acme", period=period)


@pytest.mark.parametrize("granularity", ["day", "hour"])
def test_false_zeros_before_2015_09_15_have_no_rows(granularity: str) -> None:
    days = [f"{FIVE_DAYS.start + timedelta(days=n):%Y-%m-%d}" for n in range(5)]
    buckets = {day: "0" if granularity == "day" else {"23": "0"} for day in days}
    result = historical(granularity, dict.fromkeys(TYPES, buckets))
    found = [(row["engagement_type"], row["period_start"]) for row in result.rows.to_pylist()]
    assert len(found) == len(set(found)) == 5 + 3 * 2
    assert min(start for name, start in found if name == "impressions") < BOUNDARY
    assert min(start for name, start in found if name != "impressions") >= BOUNDARY
    assert not result.missing


def test_a_sum_that_contains_false_zeros_is_absent() -> None:
    result = historical("total", dict.fromkeys(TYPES, "7"))
    rows = rows_of(result).to_pylist()
    assert [row["engagement_type"] for row in rows] == ["impressions"]
