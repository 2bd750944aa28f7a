"""The queries that docs/ gives to read: what they find is what is so."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from tools.env import ROOT

if TYPE_CHECKING:
    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("airflow_home")

TYPES = ENDPOINTS["totals"].engagement_types
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def queries(page: str, heading: str, dataset: str) -> list[str]:
    """Give the queries below a heading of a page, on another dataset than theirs."""
    (section,) = re.findall(
        rf"^## {heading}\n(.*?)(?=^## |\Z)",
        (ROOT / "docs" / page).read_text(),
        flags=re.MULTILINE | re.DOTALL,
    )
    found = re.findall(r"^```sql\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    return [query.replace("reporting.", f"{dataset}.") for query in found]


def load(tweet_ids: list[str], dataset: str, **more: Any) -> None:
    at = more.pop("at", NOW - HOUR)
    operator = EngagementToBigQueryOperator(
        task_id="load",
        tweet_ids=tweet_ids,
        destination_table=f"{dataset}.engagement_totals",
        engagement_conn_id=CONN_ID,
        **more,
    )
    run(operator, at=at)


def test_the_owners_who_were_asked_this_month(
    bigquery: BigQuery, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (query,) = queries("how-to/totals-to-bigquery.md", "How many owners .*?", dataset)
    world = World(seed=6, accounts=("acme", "bolt", "cato", "dora"), now=NOW)
    made = NOW - 60 * DAY
    ids = {name: world.tweets(name, 3, since=made, until=made + DAY) for name in world.accounts}
    earlier = {"endpoint": "historical", "start": NOW - 41 * DAY, "end": NOW - 40 * DAY}
    with Simulator(world) as service:
        for name in ("acme", "dora"):  # asked today, for the counts of a month before
            connect(monkeypatch, service.connection(name))
            load(ids[name], dataset, **earlier)
        connect(monkeypatch, service.connection("bolt"))
        load(ids["bolt"], dataset)
        connect(monkeypatch, service.connection("cato", user_tokens=False))
        load(ids["cato"], dataset)
    bigquery.rows(
        f"UPDATE {dataset}.engagement_totals_coverage "  # noqa: S608 - a table of this test
        "SET collected_at = TIMESTAMP_SUB(collected_at, INTERVAL 40 DAY) WHERE account = 'bolt'"
    )
    assert bigquery.rows(query) == [{"owners": 2}]


def test_the_latest_counts(
    bigquery: BigQuery, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    view, reading = queries("reference/rows.md", "The latest counts", dataset)
    world = World(seed=6, accounts=("acme",), now=NOW - DAY)
    ids = world.tweets("acme", 6, since=NOW - 9 * DAY, until=NOW - 8 * DAY)
    with Simulator(world) as service:
        connect(monkeypatch, service.connection("acme"))
        load(ids, dataset, at=NOW - 4 * HOUR)
        before = expected_counts(world, ids, TYPES)
        world.freeze(NOW)
        load(ids[:4], dataset, at=NOW - 2 * HOUR)  # two are no longer asked for
        after = expected_counts(world, ids[:4], TYPES)
        # Days are of no snapshot, and no business of the view's.
        load(ids, dataset, endpoint="historical", at=NOW.replace(hour=0, minute=0, second=0))
    bigquery.rows(view)
    rows = bigquery.rows(reading)
    assert counts(rows) == before | after
    assert before | after != before
    moments = {row["tweet_id"]: row["snapshot_at"] for row in rows}
    assert [moments[item] for item in ids] == [*[NOW - 2 * HOUR] * 4, *[NOW - 4 * HOUR] * 2]
