"""``make scale`` notices every wrong cell, and a small form of it holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import World
from tools.deployment import VERSIONS
from tools.scale.__main__ import missed
from tools.scale.scenario import Options, measure
from tools.scale.truth import Truth, coverage_differences, differences, load

if TYPE_CHECKING:
    from pathlib import Path

    from tools.clients import BigQuery

NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
SNAPSHOT = datetime(2026, 11, 25, tzinfo=UTC)
LAYOUTS = ("wide", "long")

COMMON = """
    'acme' AS account, 'owner' AS access, 'totals' AS endpoint,
    'tweet.id/engagement.type' AS grouping, tweet_id, 'lifetime' AS granularity,
    DATE '2026-11-25' AS date, CAST(NULL AS TIMESTAMP) AS period_start,
    CAST(NULL AS TIMESTAMP) AS period_end, CAST(NULL AS INT64) AS hour_of_day,
    TIMESTAMP '2026-11-25 00:00:00+00' AS snapshot_at, TRUE AS complete,
    tweet_created_at, TIMESTAMP '2026-11-25 12:30:00+00' AS collected_at
"""


@pytest.fixture
def truth() -> Truth:
    world = World(7, ("acme",), NOW, deleted_share=0.2)
    ids = world.tweets("acme", 60, since=NOW - timedelta(days=120), until=NOW)
    return Truth(world, "acme", ids)


def make_table(bigquery: BigQuery, dataset: str, truth: Truth, layout: str) -> str:
    """Make a table that holds what it must."""
    source = f"{dataset}.source"
    load(bigquery, truth.table(), source)
    if layout == "wide":
        query = f"SELECT {COMMON}, {', '.join(ENGAGEMENT_TYPES)} FROM {source}"  # noqa: S608 - the test chose the names
    else:
        query = " UNION ALL ".join(
            f"SELECT {COMMON}, '{name}' AS engagement_type, {name} AS value FROM {source}"  # noqa: S608 - the test chose the names
            f" WHERE {name} IS NOT NULL"
            for name in ENGAGEMENT_TYPES
        )
    bigquery.rows(f"CREATE TABLE {dataset}.counts AS {query}")
    return f"{dataset}.counts"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_wrong_cell_is_noticed(
    bigquery: BigQuery, dataset: str, truth: Truth, layout: str
) -> None:
    assert 0 < len(truth.served) < len(truth.tweet_ids)
    table = make_table(bigquery, dataset, truth, layout)
    assert differences(bigquery, table, truth, SNAPSHOT) == {}
    cells = {"wide": "favorites = favorites + 1", "long": "value = value + 1"}[layout]
    of = {"wide": "TRUE", "long": "engagement_type = 'favorites'"}[layout]
    first, second, third = truth.served[:3]
    for statement in (
        f"UPDATE {table} SET {cells} WHERE tweet_id = '{first}' AND {of}",  # noqa: S608 - the test chose the names
        f"UPDATE {table} SET account = 'other' WHERE tweet_id = '{first}' AND {of}",  # noqa: S608 - the test chose the names
        f"INSERT INTO {table} SELECT * FROM {table} WHERE tweet_id = '{second}' AND {of}",  # noqa: S608 - the test chose the names
        f"DELETE FROM {table} WHERE tweet_id = '{third}' AND {of}",  # noqa: S608 - the test chose the names
    ):
        bigquery.rows(statement)
    assert differences(bigquery, table, truth, SNAPSHOT) == {
        "favorites": 1,
        "account": 1,
        "rows": 2,
    }


def test_count_that_the_service_does_not_hold_is_noticed(
    bigquery: BigQuery, dataset: str, truth: Truth
) -> None:
    table = make_table(bigquery, dataset, truth, "wide")
    bigquery.rows(f"UPDATE {table} SET impressions = 0 WHERE impressions IS NULL")  # noqa: S608 - the test chose the names
    (old,) = differences(bigquery, table, truth, SNAPSHOT).items()
    assert old == ("impressions", sum(is_old(item) for item in truth.served))


def is_old(tweet_id: str) -> bool:
    made = created_at(tweet_id)
    assert made is not None
    return NOW - made > timedelta(days=90)


def test_coverage_must_have_each_tweet_once(bigquery: BigQuery, dataset: str, truth: Truth) -> None:
    table = f"{dataset}.coverage"
    statuses = {item: truth.world.outcome(item) == "served" for item in truth.tweet_ids}
    rows = ", ".join(
        f"STRUCT('{item}' AS tweet_id, '{'answered' if served else 'unavailable'}' AS status)"
        for item, served in statuses.items()
    )
    bigquery.rows(f"CREATE TABLE {table} AS SELECT * FROM UNNEST([{rows}])")  # noqa: S608 - the test chose the names
    assert coverage_differences(bigquery, table, truth) == {}
    first, second, *_ = truth.served
    bigquery.rows(f"UPDATE {table} SET tweet_id = '{second}' WHERE tweet_id = '{first}'")  # noqa: S608 - the test chose the names
    assert coverage_differences(bigquery, table, truth) == {"repeated": 1}
    bigquery.rows(f"DELETE FROM {table} WHERE tweet_id = '{second}'")  # noqa: S608 - the test chose the names
    assert coverage_differences(bigquery, table, truth) == {"answered": -2}


@pytest.mark.long
@pytest.mark.e2e
def test_table_is_right_though_a_worker_is_killed(tmp_path: Path) -> None:
    airflow = next(known for known in VERSIONS if version("apache-airflow").startswith(known))
    options = Options(tweets=20_000, airflow=airflow, requests_per_minute=300)
    figures = measure(options, tmp_path)
    assert list(missed(figures)) == []
    assert figures.killed
    assert any(each.number > 1 for each in figures.tries)
