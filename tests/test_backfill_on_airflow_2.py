"""The backfill example on Airflow 2, where a backfill is a command that runs to its end."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from factories import (
    DAG_ID,
    DAY,
    FOUR_WEEKS,
    NOW,
    TODAY,
    BackfillPeriod,
    BackfillTable,
    backfill_table,
    expected_days,
    written_days,
)

from tools.env import ROOT
from tools.process import clean_environment
from tools.services import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.services import Emulator

pytestmark = pytest.mark.skipif(
    not version("apache-airflow").startswith("2."),
    reason="Airflow 3 has no `airflow dags backfill`; its own is tested in tests/ui",
)

BIN = Path(sys.executable).parent

# Ten days of the interval after it are over, so that one has begun and not ended.
BACKFILL = BackfillPeriod(tweets=30, start=TODAY - 2 * FOUR_WEEKS - 10 * DAY, intervals=2)


@dataclass(frozen=True, slots=True)
class Airflow:
    """A database of its own, and the command line on it."""

    home: Path
    environment: dict[str, str]

    def run(self, *command: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own command
            [BIN / "airflow", *command],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def runs(self) -> dict[str, str]:
        """Give when each run began, by the first day of its interval; all have to be well."""
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            rows = database.execute("SELECT data_interval_start, start_date, state FROM dag_run")
            found = {first[:10]: (began, state) for first, began, state in rows}
        assert {state for _, state in found.values()} == {"success"}
        return {first: began for first, (began, _) in sorted(found.items())}


@pytest.fixture
def filled(
    tmp_path: Path, emulated: Path, _gcs_emulator: Emulator, _bigquery_emulator: Emulator
) -> Iterator[BackfillTable]:
    with backfill_table(
        BACKFILL, tmp_path, gcs=_gcs_emulator, bigquery=_bigquery_emulator, store=emulated / "store"
    ) as made:
        yield made


@pytest.fixture
def airflow(filled: BackfillTable, tmp_path: Path) -> Airflow:
    home = tmp_path / "airflow"
    found = Airflow(
        home,
        {
            **clean_environment(),
            **airflow_environment(home, ROOT / "example_dags"),
            **filled.environment,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",  # it starts `airflow` by name
        },
    )
    found.run("db", "migrate")
    found.run("pools", "set", "engagement_api", "4", "requests", "--include-deferred")
    return found


def test_backfill_command_can_be_repeated(filled: BackfillTable, airflow: Airflow) -> None:
    backfill = ("dags", "backfill", DAG_ID, "--start-date", f"{BACKFILL.start:%Y-%m-%d}")
    expected = expected_days(BACKFILL)
    airflow.run(*backfill, "--end-date", NOW.isoformat())
    first = airflow.runs()
    # Intervals begin where the range does, and Airflow 2 runs the one that has not ended too.
    begin = [BACKFILL.start + n * FOUR_WEEKS for n in range(BACKFILL.intervals + 1)]
    assert list(first) == [f"{start:%Y-%m-%d}" for start in begin]
    assert written_days(filled, BACKFILL) == expected
    # In the first hour of a day that hour has not ended, so the day is not requested.
    assert unended(filled) == ({f"{TODAY:%Y-%m-%d}"} if NOW.hour else set())

    again = ("--end-date", f"{BACKFILL.last:%Y-%m-%d}", "--reset-dagruns", "--yes")
    airflow.run(*backfill, *again)
    second = airflow.runs()
    assert [day for day in first if first[day] != second[day]] == list(first)[:-1]
    assert written_days(filled, BACKFILL) == expected


def unended(filled: BackfillTable) -> set[str]:
    query = f"SELECT DISTINCT date FROM {filled.table} WHERE NOT complete"  # noqa: S608 - ours
    return {f"{row['date']:%Y-%m-%d}" for row in filled.bigquery.rows(query)}
