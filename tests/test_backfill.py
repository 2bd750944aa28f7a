"""The backfill example through Airflow's own backfill, with parallel runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from factories import (
    DAG_ID,
    FOUR_WEEKS,
    BackfillPeriod,
    BackfillTable,
    backfill_table,
    count_statuses,
    expected_days,
    written_days,
)

from tools.env import ROOT
from tools.standalone import Standalone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.services import Emulator

# Slow: a million rows, and Airflow checks only twice a minute whether a backfill has ended.
# `make test` runs shorter ones: in tests/ui, and on 2.11 in test_backfill_on_airflow_2.py.
pytestmark = pytest.mark.long

YEAR = BackfillPeriod(tweets=300, start=datetime(2025, 11, 1, tzinfo=UTC), intervals=13)
RUNS_WITHIN = 300.0


@pytest.fixture
def year(
    tmp_path: Path, emulated: Path, _gcs_emulator: Emulator, _bigquery_emulator: Emulator
) -> Iterator[BackfillTable]:
    with backfill_table(
        YEAR, tmp_path, gcs=_gcs_emulator, bigquery=_bigquery_emulator, store=emulated / "store"
    ) as made:
        yield made


@pytest.fixture
def airflow(year: BackfillTable, tmp_path: Path) -> Iterator[Standalone]:
    with Standalone(tmp_path, ROOT / "example_dags", year.environment) as started:
        pool = {"name": "engagement_api", "slots": 4, "include_deferred": True}
        started.call("POST", "pools", pool)
        wait_for(lambda: DAG_ID in {dag["dag_id"] for dag in started.call("GET", "dags")["dags"]})
        started.call("PATCH", f"dags/{DAG_ID}", {"is_paused": False})
        yield started


def fill_in(airflow: Standalone) -> set[str]:
    """Start a backfill of the year as the UI does, and return the states of its ended runs."""
    made = airflow.call(
        "POST",
        "backfills",
        {
            "dag_id": DAG_ID,
            "from_date": YEAR.start.isoformat(),
            "to_date": YEAR.last.isoformat(),
            "reprocess_behavior": "completed",
            "max_active_runs": 4,
        },
    )
    wait_for(lambda: airflow.call("GET", f"backfills/{made['id']}")["completed_at"])
    path = f"dags/{DAG_ID}/dagRuns?run_type=backfill&order_by=logical_date&limit=100"
    runs = airflow.call("GET", path)["dag_runs"]
    assert [run["data_interval_start"][:10] for run in runs] == [
        f"{YEAR.start + n * FOUR_WEEKS:%Y-%m-%d}" for n in range(YEAR.intervals)
    ]
    return {run["state"] for run in runs}


def wait_for(ready: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + RUNS_WITHIN
    while not (found := ready()):
        assert time.monotonic() < deadline, "Airflow took too long"
        time.sleep(0.5)
    return found


def test_year_has_the_expected_counts_also_after_a_second_backfill(
    year: BackfillTable, airflow: Standalone
) -> None:
    expected = expected_days(YEAR)
    world, ids = YEAR.world()
    for _ in range(2):
        assert fill_in(airflow) == {"success"}
        assert written_days(year, YEAR) == expected
    assert sum(len(days.split(",")) for days in expected.values()) > 500_000
    found = count_statuses(year)
    assert (found["forbidden"], found["unavailable"]) == (len(world.foreign), len(world.deleted))
    assert found["answered"] == len(ids) - len(world.foreign) - len(world.deleted)
