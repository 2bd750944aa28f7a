from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.rows.coverage import Coverage, Status, TweetOutcome
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema

SNAPSHOT = datetime(2026, 11, 21, tzinfo=UTC)
ENDED = datetime(2026, 11, 21, 0, 7, tzinfo=UTC)
ANSWERED = TweetOutcome(Status.ANSWERED, access=Access.OWNER)


def coverage_of(outcomes: list[TweetOutcome]) -> Coverage:
    coverage = Coverage([str(number) for number in range(1, len(outcomes) + 1)])
    for tweet_id, fate in zip(coverage.tweet_ids, outcomes, strict=True):
        coverage.settle([tweet_id], fate)
    return coverage


outcomes = st.builds(
    TweetOutcome,
    status=st.sampled_from(Status),
    reason=st.none() | st.sampled_from(["gone", "foreign", "too old"]),
    access=st.none() | st.sampled_from(Access),
    missing_types=st.sampled_from([(), ("impressions",), ("impressions", "engagements")]),
)


@given(st.lists(outcomes, max_size=200))
def test_every_id_is_counted_once(given: list[TweetOutcome]) -> None:
    coverage = coverage_of(given)
    told: Any = coverage.describe()
    assert told["asked"] == len(given)
    assert sum(told[str(status)] for status in Status) == len(given)
    assert Counter(fate.status for fate in given) == Counter(
        {status: count for status in Status if (count := coverage.count(status))}
    )
    reasons = {note["reason"]: note["tweets"] for note in told["reasons"]}
    assert reasons == Counter(fate.reason for fate in given if fate.reason)


def test_a_later_word_stands_over_an_earlier_one() -> None:
    coverage = coverage_of([TweetOutcome(Status.FORBIDDEN, "foreign")] * 3)
    coverage.settle(
        ["2"], TweetOutcome(Status.ANSWERED, "public only", Access.PUBLIC, ("impressions",))
    )
    told: Any = coverage.describe()
    assert (told["forbidden"], told["answered"], told["answered_public_only"]) == (2, 1, 1)


def test_examples_are_the_first_twenty_of_each_reason_the_commonest_first() -> None:
    rare = TweetOutcome(Status.UNAVAILABLE, "gone")
    coverage = coverage_of([rare, *[TweetOutcome(Status.FORBIDDEN, "foreign")] * 30, ANSWERED])
    told: Any = coverage.describe()
    assert [(note["reason"], note["tweets"]) for note in told["reasons"]] == [
        ("foreign", 30),
        ("gone", 1),
    ]
    assert told["reasons"][0]["examples"] == [str(number) for number in range(2, 22)]
    assert told["reasons"][1]["examples"] == ["1"]


def test_the_description_does_not_grow_with_the_collection() -> None:
    kinds = [TweetOutcome(status, f"a reason of {status}") for status in Status]
    ids = [str(1_600_000_000_000_000_000 + number) for number in range(50_000)]
    coverage = Coverage(ids)
    for place, kind in enumerate(kinds):
        coverage.settle(ids[place :: len(kinds)], kind)
    assert len(json.dumps(coverage.describe())) < 5_000


@given(st.lists(outcomes, max_size=30))
def test_the_table_has_a_row_for_every_id_in_the_order_asked(given: list[TweetOutcome]) -> None:
    table = coverage_of(given).table(
        account="acme",
        endpoint=EndpointName.TOTALS,
        snapshot_at=SNAPSHOT,
        period=None,
        collected_at=ENDED,
    )
    assert table.schema.equals(arrow_schema(COVERAGE))
    rows = table.to_pylist()
    assert [row["tweet_id"] for row in rows] == [str(n) for n in range(1, len(given) + 1)]
    for row, fate in zip(rows, given, strict=True):
        assert row == {
            "account": "acme",
            "endpoint": "totals",
            "date": date(2026, 11, 21),
            "window_start": None,
            "window_end": None,
            "snapshot_at": SNAPSHOT,
            "tweet_id": row["tweet_id"],
            "status": fate.status.value,
            "access": fate.access.value if fate.access else None,
            "reason": fate.reason,
            "missing_types": ",".join(fate.missing_types) or None,
            "collected_at": ENDED,
        }
