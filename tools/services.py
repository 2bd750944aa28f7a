"""Local services: the emulators of BigQuery and GCS, and the simulator of the API.

Each is a context manager that starts a process in the background. Reading its ``url`` waits until
it is ready, so that several services start in parallel::

    with gcs_emulator(folder) as gcs, bigquery_emulator(folder) as bigquery:
        os.environ.update(google_environment(bigquery=bigquery.url, gcs=gcs.url))

The emulators share one folder, so that BigQuery's load jobs read the objects of GCS. The system
chooses every port, so that any number of runs work in parallel.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

from tools.env import ENVIRONMENTS, Workshop
from tools.process import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "PROJECT",
    "Emulator",
    "Simulator",
    "airflow_environment",
    "bigquery_emulator",
    "gcs_emulator",
    "google_environment",
    "simulator",
]

PROJECT: Final = "test"
"""The Google Cloud project of all emulated resources."""

_STORE: Final = "store"


class Emulator(Process):
    """An emulator, whose log names its port."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str],
        announced: str,
    ) -> None:
        super().__init__(command, log, environment)
        self._announced = re.compile(announced)

    @cached_property
    def url(self) -> str:
        """The base URL; the first access waits until the service is ready."""
        port = self.wait_for(lambda: self._announced.search(self.log.read_text(errors="replace")))
        return f"http://127.0.0.1:{port[1]}"


class Simulator(Process):
    """The simulator of the Engagement API, which writes a file when it is ready."""

    def __init__(self, command: Sequence[str | Path], log: Path, ready: Path) -> None:
        super().__init__([*command, "--ready-file", ready], log, {})
        self._ready_file = ready

    def __enter__(self) -> Self:
        self._ready_file.unlink(missing_ok=True)
        return super().__enter__()

    @cached_property
    def _ready(self) -> dict[str, Any]:
        self.wait_for(lambda: self._ready_file.exists() or None)
        ready: dict[str, Any] = json.loads(self._ready_file.read_text())
        return ready

    @property
    def url(self) -> str:
        """The base URL; the first access waits until the service is ready."""
        return str(self._ready["url"])

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """The Airflow connection of each account, by handle."""
        return dict(self._ready["accounts"])


def bigquery_emulator(folder: Path) -> Emulator:
    """Return the BigQuery emulator, not yet started.

    :param folder: the folder that it shares with the GCS emulator, and of its log.
    """
    workshop, environment = Workshop(), ENVIRONMENTS["emulators"]
    flags = ("--rest-port", "0", "--grpc-port", "0", "--log-level", "info", "--log-format", "json")
    return Emulator(
        [workshop.python(environment), "-m", "bqemulator", "start", "--project", PROJECT, *flags],
        folder / "bigquery.log",
        {
            "BQEMU_ENABLE_FORMAT_EXTENSIONS": "false",  # it would download a DuckDB extension
            "BQEMU_GCS_LOCAL_ROOT": str(folder / _STORE),
            "BQEMU_UPLOAD_STAGING_DIR": str(folder / "uploads"),
            "HOME": str(workshop.home(environment)),
        },
        announced=r'"port": (\d+), "event": "rest.listen"',
    )


def gcs_emulator(folder: Path) -> Emulator:
    """Return the GCS emulator, not yet started. Objects are at ``FOLDER/store/BUCKET/OBJECT``.

    :param folder: the folder that it shares with the BigQuery emulator.
    """
    python = Workshop().python(ENVIRONMENTS["emulators"])
    return Emulator(
        [python, Workshop().root / "tools" / "gcs_emulator.py", folder],
        folder / "gcs.log",
        {"STORAGE_BASE": str(folder), "STORAGE_DIR": _STORE},
        announced=r"listening on (\d+)",
    )


def simulator(folder: Path, *options: str | Path) -> Simulator:
    """Return the simulator of the Engagement API, not yet started.

    :param folder: the folder of its log and of its ready file.
    :param options: the options of its command line; ``make simulator ARGS=--help`` lists them.
    """
    command = [sys.executable, "-m", "airflow_provider_engagement.simulator", *options]
    return Simulator(command, folder / "simulator.log", folder / "simulator.json")


def google_environment(*, bigquery: str = "", gcs: str = "") -> dict[str, str]:
    """Return the variables that make Google's clients and Airflow's hooks use the emulators."""
    connection = {
        "conn_type": "google_cloud_platform",
        "extra": {"is_anonymous": True, "project": PROJECT},
    }
    environment = {
        "AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT": json.dumps(connection),
        "BIGQUERY_EMULATOR_HOST": bigquery,
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # gcsfs would wait a minute for gRPC
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "STORAGE_EMULATOR_HOST": gcs,
    }
    return {name: value for name, value in environment.items() if value}


def airflow_environment(home: Path, dags_folder: Path, port: int | None = None) -> dict[str, str]:
    """Return the settings of an isolated Airflow.

    :param home: its ``AIRFLOW_HOME``: a SQLite database, logs and generated settings.
    :param dags_folder: the folder of its DAG files.
    :param port: the port of the API server; its log servers use the next two.
    """
    environment = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags_folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",  # 2.11 warns where it is not
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    if port is not None:
        environment |= {
            "AIRFLOW__API__BASE_URL": f"http://localhost:{port}",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{port}/execution/",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port + 1),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(port + 2),
        }
    return environment
