"""What the tests of the user interface share: one Airflow, and a browser on it."""

from __future__ import annotations

import importlib.metadata
import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tools import browser
from tools.env import ROOT
from tools.services import (
    PROJECT,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
    simulator,
)
from tools.standalone import Standalone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.services import Simulator
    from tools.ui import Ui

# Airflow 3 warns of each value of an extra that is too short to be masked, be it a secret or not,
# such as the account "acme": no line for a picture.
ACCOUNT = "acme_corp"
GOOGLE = {
    "conn_type": "google_cloud_platform",
    "extra": {"is_anonymous": True, "project": "airflow"},
}
BUCKET = "acme-engagement"
DATASET = "reporting"
LIMITS = {"totals": 300, "28hr": 60, "historical": 300}
IDS = f"gs://{BUCKET}/tweet_ids.txt"

WORLD = (
    *("--account", ACCOUNT, "--tweets", "300", "--requests-per-minute", json.dumps(LIMITS)),
    *("--foreign-share", "0.03", "--deleted-share", "0.04", "--protected-share", "0.02"),
)

# Each Airflow has a form of its own, and so a test of its own.
IN_USE = importlib.metadata.version("apache-airflow").partition(".")[0]
collect_ignore = [f"test_form_of_airflow_{'3' if IN_USE == '2' else '2'}.py"]
if IN_USE == "2":  # its backfill is a command, and a report's page is the same on both
    collect_ignore += ["test_backfill_of_airflow_3.py", "test_report.py"]


@dataclass(frozen=True, slots=True)
class Stage:
    """All that runs while the interface is looked at."""

    airflow: Standalone
    api: Simulator
    limits: dict[str, int]

    @property
    def connection(self) -> dict[str, Any]:
        """The connection to the simulated account, from the simulator."""
        return self.api.connections[ACCOUNT]


@pytest.fixture(scope="session")
def stage(emulated: Path) -> Iterator[Stage]:
    """Start Airflow, the simulator and the emulators, with all that the daily example reads."""
    with ExitStack() as stack:
        api = stack.enter_context(simulator(emulated, *WORLD, "--ids-file", emulated / "ids.txt"))
        gcs = stack.enter_context(gcs_emulator(emulated))
        bigquery = stack.enter_context(bigquery_emulator(emulated))
        settings = {
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_VAR_ENGAGEMENT_BUCKET": BUCKET,
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": f"{PROJECT}.{DATASET}.engagement_totals",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": IDS,
        }
        settings |= google_environment(bigquery=bigquery.url, gcs=gcs.url)
        settings["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"] = json.dumps(GOOGLE)
        airflow = Standalone(emulated, ROOT / "example_dags", settings)
        stack.enter_context(airflow)
        from tools.clients import BigQuery, Gcs

        BigQuery(bigquery.url).make_dataset(DATASET)
        ids = Gcs(gcs.url, emulated / "store").make_bucket(BUCKET).blob(Path(IDS).name)
        ids.upload_from_filename(emulated / "ids.txt")
        pool = {"name": "engagement_api", "slots": 4, "include_deferred": True}
        airflow.call("POST", "pools", pool)
        yield Stage(airflow, api, LIMITS)


@pytest.fixture(scope="session")
def ui(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """Open a browser on Airflow."""
    from tools.ui import Ui

    chromium = browser.find()
    if chromium is None:
        pytest.fail(browser.ADVICE)
    with Ui(chromium, stage.airflow.url, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give where pictures go: where ``make pictures`` wants them, else away."""
    wanted = os.environ.get("PICTURES")
    return ROOT / wanted if wanted else tmp_path_factory.mktemp("pictures")
