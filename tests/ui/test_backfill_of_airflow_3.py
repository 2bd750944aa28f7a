"""A backfill from the form of Airflow 3 in a browser, and the counts that it writes.

With ``PICTURES`` set to a folder (``make pictures``) the pictures of the docs are written into it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from factories import (
    DAG_ID,
    DAY,
    FOUR_WEEKS,
    TODAY,
    BackfillPeriod,
    BackfillTable,
    backfill_table,
    count_statuses,
    expected_days,
    written_days,
)

from tools import browser
from tools.env import ROOT
from tools.standalone import Standalone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.services import Emulator
    from tools.ui import Ui

# Twenty days of the interval after it are over, so that one has begun and not ended.
BACKFILL = BackfillPeriod(tweets=40, start=TODAY - 6 * FOUR_WEEKS - 20 * DAY, intervals=6)
# An Airflow of its own takes a fifth of what all other tests do.
pytestmark = pytest.mark.long
BACKFILLED = f"dags/{DAG_ID}/dagRuns?run_type=backfill&order_by=logical_date"


@pytest.fixture(scope="module")
def filled(
    tmp_path_factory: pytest.TempPathFactory,
    emulated: Path,
    _gcs_emulator: Emulator,
    _bigquery_emulator: Emulator,
) -> Iterator[BackfillTable]:
    folder = tmp_path_factory.mktemp("service")
    emulators = {"gcs": _gcs_emulator, "bigquery": _bigquery_emulator}
    with backfill_table(BACKFILL, folder, **emulators, store=emulated / "store") as made:
        yield made


@pytest.fixture(scope="module")
def airflow(
    filled: BackfillTable, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Standalone]:
    folder = tmp_path_factory.mktemp("standalone")
    with Standalone(folder, ROOT / "example_dags", filled.environment) as started:
        pool = {"name": "engagement_api", "slots": 4, "include_deferred": True}
        started.call("POST", "pools", pool)
        wait_for(lambda: DAG_ID in {dag["dag_id"] for dag in started.call("GET", "dags")["dags"]})
        yield started


@pytest.fixture(scope="module")
def ui(airflow: Standalone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    from tools.ui import Ui

    chromium = browser.find()
    if chromium is None:
        pytest.fail(browser.ADVICE)
    with Ui(chromium, airflow.url, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@dataclass(frozen=True, slots=True)
class Started:
    """The message of the form, and the backfill of Airflow."""

    message: str
    backfill: dict[str, Any]


@pytest.fixture(scope="module")
def started(airflow: Standalone, ui: Ui, pictures: Path) -> Started:
    """Fill in the form up to today, and start the backfill."""
    form = ui.new_backfill(DAG_ID)
    message = form.fill(BACKFILL.start, TODAY, at_once=4)
    ui.picture(pictures / "backfill-form.png", form.dialog)
    form.run()
    (backfill,) = airflow.call("GET", f"backfills?dag_id={DAG_ID}")["backfills"]
    return Started(message, backfill)


@pytest.fixture(scope="module")
def ended(airflow: Standalone, ui: Ui, started: Started, pictures: Path) -> list[dict[str, Any]]:
    """Return the backfill's runs when all have ended; take pictures before."""
    assert started

    def runs(wanted: Callable[[list[str]], bool]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = airflow.call("GET", BACKFILLED)["dag_runs"]
        return found if wanted([run["state"] for run in found]) else []

    wait_for(lambda: runs(lambda states: "success" in states))
    ui.open_grid(DAG_ID)
    ui.find("body", "days_to_bigquery")
    ui.picture(pictures / "backfill-grid.png")
    return list(wait_for(lambda: runs(lambda states: not {"queued", "running"} & {*states})))


def wait_for(ready: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 180
    while not (found := ready()):
        assert time.monotonic() < deadline, "Airflow did not get there"
        time.sleep(0.5)
    return found


def test_form_counts_the_intervals_that_have_ended(started: Started) -> None:
    assert started.message == f"{BACKFILL.intervals} runs will be triggered."


def test_end_date_without_time_includes_the_whole_day(started: Started) -> None:
    first, last = started.backfill["from_date"], started.backfill["to_date"]
    assert (first[:19], last[:16]) == (
        f"{BACKFILL.start:%Y-%m-%dT%H:%M:%S}",
        f"{TODAY:%Y-%m-%dT23:59}",
    )
    assert started.backfill["max_active_runs"] == 4


def test_intervals_begin_at_the_start_of_the_backfill(ended: list[dict[str, Any]]) -> None:
    begin = [BACKFILL.start + n * FOUR_WEEKS for n in range(BACKFILL.intervals)]
    assert [(run["data_interval_start"][:10], run["state"]) for run in ended] == [
        (f"{start:%Y-%m-%d}", "success") for start in begin
    ]


def test_table_has_the_expected_counts(filled: BackfillTable, ended: list[dict[str, Any]]) -> None:
    assert ended
    assert written_days(filled, BACKFILL) == expected_days(BACKFILL)
    world, ids = BACKFILL.world()
    found = count_statuses(filled)
    assert (found["forbidden"], found["unavailable"]) == (len(world.foreign), len(world.deleted))
    assert found["answered"] == len(ids) - len(world.foreign) - len(world.deleted)


def test_pictures_are_small_files(pictures: Path, ended: list[dict[str, Any]]) -> None:
    assert ended
    for name in ("backfill-form.png", "backfill-grid.png"):
        assert 5_000 < (pictures / name).stat().st_size < 200_000, name
