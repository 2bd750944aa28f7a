from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
from airflow_provider_engagement.api.query import PlannedRequest, Query
from airflow_provider_engagement.api.spec import ENDPOINTS, Access, EndpointName
from airflow_provider_engagement.rows.coverage import Coverage, Status, TweetOutcome
from airflow_provider_engagement.rows.flatten import RequestResult
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema

SNAPSHOT = datetime(2026, 11, 21, tzinfo=UTC)
ENDED = datetime(2026, 11, 21, 0, 7, tzinfo=UTC)
ANSWERED = TweetOutcome(Status.ANSWERED, access=Access.OWNER)


def coverage_of(outcomes: list[TweetOutcome]) -> Coverage:
    coverage = Coverage([str(number) for number in range(1, len(outcomes) + 1)])
    coverage.outcomes.update(zip(coverage.tweet_ids, outcomes, strict=True))
    return coverage


outcomes = st.builds(
    TweetOutcome,
    status=st.sampled_from(Status),
    reason=st.none() | st.sampled_from(["deleted", "foreign", "too old"]),
    access=st.none() | st.sampled_from(Access),
    missing_types=st.sampled_from([(), ("impressions",), ("impressions", "engagements")]),
)


@given(st.lists(outcomes, max_size=200))
def test_every_id_is_counted_once(given: list[TweetOutcome]) -> None:
    coverage = coverage_of(given)
    described: Any = coverage.describe()
    assert described["asked"] == len(given)
    assert sum(described[str(status)] for status in Status) == len(given)
    assert Counter(outcome.status for outcome in given) == Counter(
        {status: count for status in Status if (count := coverage.count(status))}
    )
    reasons = {note["reason"]: note["tweets"] for note in described["reasons"]}
    assert reasons == Counter(outcome.reason for outcome in given if outcome.reason)


def test_public_counts_replace_that_a_tweet_is_forbidden() -> None:
    types = ("impressions", "favorites")
    query = Query(ENDPOINTS[EndpointName.TOTALS], types, (), Access.OWNER)
    plan = Plan(query, ("1", "2", "3"), (), {})
    coverage = coverage_of([TweetOutcome(Status.FORBIDDEN, "foreign")] * 3)
    request = PlannedRequest(("2",), ("favorites",), Access.PUBLIC)
    coverage.record(RequestResult(request, counted={"2"}), plan)
    described: Any = coverage.describe()
    assert (described["forbidden"], described["answered"], described["answered_public_only"]) == (
        2,
        1,
        1,
    )


def test_examples_are_the_first_twenty_of_each_reason_the_commonest_first() -> None:
    rare = TweetOutcome(Status.UNAVAILABLE, "deleted")
    coverage = coverage_of([rare, *[TweetOutcome(Status.FORBIDDEN, "foreign")] * 30, ANSWERED])
    described: Any = coverage.describe()
    assert [(note["reason"], note["tweets"]) for note in described["reasons"]] == [
        ("foreign", 30),
        ("deleted", 1),
    ]
    assert described["reasons"][0]["examples"] == [str(number) for number in range(2, 22)]
    assert described["reasons"][1]["examples"] == ["1"]


def test_the_description_does_not_grow_with_the_collection() -> None:
    kinds = [TweetOutcome(status, f"a reason of {status}") for status in Status]
    ids = [str(1_600_000_000_000_000_000 + number) for number in range(50_000)]
    coverage = Coverage(ids)
    for place, kind in enumerate(kinds):
        coverage.outcomes.update(dict.fromkeys(ids[place :: len(kinds)], kind))
    assert len(json.dumps(coverage.describe())) < 5_000


@given(st.lists(outcomes, max_size=30))
def test_table_has_a_row_for_every_id_in_its_order(given: list[TweetOutcome]) -> None:
    tables = coverage_of(given).tables(
        account="acme",
        endpoint=EndpointName.TOTALS,
        period=ReportingPeriod(SNAPSHOT),
        collected_at=ENDED,
    )
    rows = []
    for table in tables:
        assert table.schema.equals(arrow_schema(COVERAGE))
        rows += table.to_pylist()
    assert [row["tweet_id"] for row in rows] == [str(n) for n in range(1, len(given) + 1)]
    for row, outcome in zip(rows, given, strict=True):
        assert row == {
            "account": "acme",
            "endpoint": "totals",
            "date": date(2026, 11, 21),
            "window_start": None,
            "window_end": None,
            "snapshot_at": SNAPSHOT,
            "tweet_id": row["tweet_id"],
            "status": outcome.status.value,
            "access": outcome.access.value if outcome.access else None,
            "reason": outcome.reason,
            "missing_types": ",".join(outcome.missing_types) or None,
            "collected_at": ENDED,
        }


@given(st.lists(outcomes, min_size=1, max_size=30))
def test_the_same_figures_are_read_from_the_table(given: list[TweetOutcome]) -> None:
    coverage = coverage_of(given)
    tables = coverage.tables(
        account="acme",
        endpoint=EndpointName.TOTALS,
        period=ReportingPeriod(SNAPSHOT),
        collected_at=ENDED,
    )
    read = Coverage.from_table(pa.concat_tables(tables))
    assert read.tweet_ids == coverage.tweet_ids
    assert read.describe() == coverage.describe()
