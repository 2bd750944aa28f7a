"""The backfill example through Airflow's own backfill: scheduler, workers, runs side by side."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.env import ROOT
from tools.services import google_environment, simulator
from tools.standalone import Standalone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# A whole Airflow on SQLite, on which scheduler and workers wait for each other.
pytestmark = pytest.mark.long

DAG_ID = "engagement_backfill"
START = datetime(2025, 11, 1, tzinfo=UTC)  # the DAG's
MONTH = timedelta(days=28)
NOW = datetime.now(UTC).replace(microsecond=0)
TYPES = ENDPOINTS["historical"].engagement_types
RUNS_WITHIN = 900.0


@dataclass(frozen=True, slots=True)
class Case:
    """How much is filled in.

    :param tweets: how many Tweets.
    :param first: the first interval, counted from the DAG's start.
    :param intervals: how many of them.
    """

    tweets: int
    first: int
    intervals: int

    @property
    def start(self) -> datetime:
        return START + self.first * MONTH

    @property
    def end(self) -> datetime:
        return self.start + self.intervals * MONTH

    def world(self) -> tuple[World, list[str]]:
        """Make Tweets all over the range, two in a hundred of them foreign, and two deleted."""
        options: dict[str, Any] = {"seed": 31, "accounts": ("acme",), "now": NOW}
        ids = World(**options).tweets("acme", self.tweets, since=self.start, until=self.end)
        return World(**options, foreign=ids[3::50], deleted=ids[7::50]), ids


@pytest.fixture(
    params=[
        pytest.param(Case(tweets=40, first=9, intervals=3), id="a quarter"),
        pytest.param(Case(tweets=300, first=0, intervals=13), id="a year"),
    ]
)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@dataclass(frozen=True, slots=True)
class Site:
    airflow: Standalone
    bigquery: BigQuery
    table: str
    requests: Any


@pytest.fixture
def site(
    case: Case, request: pytest.FixtureRequest, tmp_path: Path, dataset: str
) -> Iterator[Site]:
    gcs_url = request.getfixturevalue("_gcs_emulator").url
    bigquery_url = request.getfixturevalue("_bigquery_emulator").url
    gcs = Gcs(gcs_url, request.getfixturevalue("emulated") / "store")
    bucket = gcs.make_bucket()
    world, ids = case.world()
    bucket.blob("ids.txt").upload_from_string("\n".join(ids))
    options = ["--seed", "31", "--account", "acme", "--now", NOW.isoformat()]
    options += ["--foreign", ",".join(world.foreign), "--deleted", ",".join(world.deleted)]
    with simulator(tmp_path, *options) as service:
        settings = {
            **google_environment(bigquery=bigquery_url, gcs=gcs_url),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connections["acme"]),
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": f"{dataset}.days",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/ids.txt",
            "TMPDIR": str(tmp_path),
        }
        with Standalone(tmp_path, ROOT / "example_dags", settings) as airflow:
            pool = {"name": "engagement_api", "slots": 4, "include_deferred": True}
            airflow.call("POST", "pools", pool)
            yield Site(airflow, BigQuery(bigquery_url), f"{dataset}.days", service)


def fill_in(airflow: Standalone, case: Case) -> list[str]:
    """Start a backfill as the UI does, wait for its runs, and give their states."""
    wait_for(lambda: is_known(airflow))
    airflow.call("PATCH", f"dags/{DAG_ID}", {"is_paused": False})
    made = create(
        airflow,
        {
            "dag_id": DAG_ID,
            "from_date": case.start.isoformat(),
            # The last interval begins a month before the end; midnight itself would be left out.
            "to_date": (case.end - MONTH + timedelta(hours=23)).isoformat(),
            "reprocess_behavior": "completed",
            "max_active_runs": 4,
        },
    )
    return list(wait_for(lambda: states(airflow, made["id"], case)))


def create(airflow: Standalone, backfill: dict[str, Any]) -> Any:
    """Create a backfill, again where SQLite was locked by the scheduler."""
    for _ in range(10):
        try:
            return airflow.call("POST", "backfills", backfill)
        except requests.HTTPError as error:
            if error.response.status_code < 500:
                raise
            time.sleep(1)
    raise AssertionError("Airflow's database stays locked")


def is_known(airflow: Standalone) -> bool:
    return DAG_ID in {dag["dag_id"] for dag in airflow.call("GET", "dags")["dags"]}


def states(airflow: Standalone, backfill: int, case: Case) -> list[str]:
    """Give the states of a backfill's runs, once all have ended."""
    if airflow.call("GET", f"backfills/{backfill}")["completed_at"] is None:
        return []
    runs = airflow.call("GET", f"dags/{DAG_ID}/dagRuns?limit=100")["dag_runs"]
    begun = [run for run in runs if run["data_interval_start"] >= f"{case.start:%Y-%m-%d}"]
    ended = [run["state"] for run in begun if run["state"] in {"success", "failed"}]
    return ended if len(ended) == len(begun) >= case.intervals else []


def wait_for(ready: Any) -> Any:
    deadline = time.monotonic() + RUNS_WITHIN
    while not (found := ready()):
        assert time.monotonic() < deadline, "Airflow did not get there"
        time.sleep(1)
    return found


def truth(case: Case) -> dict[tuple[str, str, datetime], int]:
    """Tell the counts of every day of the range that a Tweet of ours lived in."""
    world, ids = case.world()
    days = (case.end - case.start).days
    ours = [item for item in ids if item not in world.foreign | world.deleted]
    starts = [case.start + timedelta(days=n) for n in range(days + 1)]
    edges = np.array([int(start.timestamp() * 1000) for start in starts])
    counts = world.series(ours, TYPES, edges)
    return {
        (item, name, start): int(counts[row, column, n])
        for row, item in enumerate(ours)
        for column, name in enumerate(TYPES)
        for n, start in enumerate(starts[:-1])
        if start + timedelta(days=1) > (created_at(item) or start)
    }


def cells(site: Site, case: Case) -> dict[tuple[str, str, datetime], int]:
    rows = site.bigquery.rows(
        "SELECT tweet_id, engagement_type, period_start, value, complete "  # noqa: S608 - ours
        # Airflow's own latest run, which the schedule makes, may lie behind the range.
        f"FROM {site.table} WHERE period_start < TIMESTAMP '{case.end:%Y-%m-%d}'"
    )
    found = {(r["tweet_id"], r["engagement_type"], r["period_start"]): r["value"] for r in rows}
    assert len(found) == len(rows), "a count is there twice"
    assert all(row["complete"] for row in rows)
    return found


def test_a_stretch_of_history_equals_the_truth_and_still_does_when_filled_in_again(
    case: Case, site: Site
) -> None:
    expected = truth(case)
    for _ in range(2):
        assert set(fill_in(site.airflow, case)) == {"success"}
        assert cells(site, case) == expected
    statuses = site.bigquery.rows(
        f"SELECT status, COUNT(DISTINCT tweet_id) AS n FROM {site.table}_coverage GROUP BY status"  # noqa: S608 - a table of this test
    )
    world, _ = case.world()
    found = {row["status"]: row["n"] for row in statuses}
    assert found["forbidden"] == len(world.foreign)
    assert found["unavailable"] == len(world.deleted)
