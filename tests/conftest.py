"""What tests share: the emulated Google Cloud, and an Airflow that keeps to itself.

Each xdist worker has its own of everything, made when a test first asks for it: that takes a
second for BigQuery and a few for Airflow's database, and no worker waits for another.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from run_command import PIP, run

from tools.env import ENVIRONMENTS, ROOT, Workshop
from tools.process import clean_environment
from tools.servers import postgres_server, redis_server
from tools.services import (
    airflow_environment,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.api.settings import RateStoreSettings
    from tools.clients import BigQuery, Gcs
    from tools.servers import Server
    from tools.services import Emulator


# The source tree stands behind an installed wheel, which is what is to be tested then. Here, before
# the conftest.py of a folder below imports the package.
sys.path[:] = [*(entry for entry in sys.path if entry != str(ROOT)), str(ROOT)]
# pytest has loaded the package's plugin by now, from the source tree if it runs in there. Nothing
# else of the package is loaded, and nothing must be loaded twice.
PLUGIN = {"airflow_provider_engagement", "airflow_provider_engagement.testing"}
if {name for name in sys.modules if name.startswith("airflow_provider_engagement")} == PLUGIN:
    for _name in PLUGIN:
        del sys.modules[_name]


# A slow machine is no fault of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Forget the user's settings, before any test imports Airflow, which reads them once."""
    home = Path(tempfile.mkdtemp(prefix="airflow-home-"))
    patch = pytest.MonkeyPatch()
    environment = clean_environment()
    for name in os.environ.keys() - environment.keys():
        patch.delenv(name)
    # Nor is it to be found by whatever is run as `python -m` from here.
    environment["PYTHONSAFEPATH"] = "1"
    for name, value in {**environment, **airflow_environment(home, ROOT / "example_dags")}.items():
        patch.setenv(name, value)
    config.add_cleanup(patch.undo)
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


# What takes the longest comes first, so that no worker is at it when the others are done.
LONGEST = (
    "tests/test_killed.py",
    "tests/docs/test_docs.py",
    "tests/ui",
    "tests/test_daily_dag.py",
    "tests/test_weekly_dag.py",
    "tests/test_backfill_on_airflow_2.py",
    "tests/tools/test_demo.py",
    "tests/operators",
    "tests/hostile",
    "tests/triggers",
)


# What is the same on every Airflow, and takes its time: on 2.11 it is for `make test-long`.
LONG_ON_2 = (
    "tests/docs/test_docs.py::test_commands_work",
    "tests/docs/test_docs.py::test_tests_pass",
    "tests/hostile/test_fuzz.py",
    "tests/hostile/test_shares.py",
    "tests/operators/test_typing.py",
    "tests/pull/test_pull_any_order.py",
    "tests/reports/test_duckdb_engine.py",
    "tests/reports/test_views_equal_the_world.py",
    "tests/reports/test_views_operator.py",
    "tests/sinks/bigquery/test_many_writers.py",
    "tests/sinks/test_concurrent_writers.py",
    "tests/test_memory.py",
    "tests/test_pytest_plugin.py",
    "tests/test_wheel.py",
    "tests/test_workers.py",
    "tests/tools",
)


# What a test needs decides its kind. A test that starts a real part by itself is marked by hand.
KINDS = ("unit", "integration", "e2e")
E2E_FIXTURES = {"watched", "wheel"}
INTEGRATION_FIXTURES = {"airflow_home", "emulated", "postgres_store", "redis_store"}
E2E_PATHS = (
    "tests/docs/test_docs.py::test_commands_work",
    "tests/docs/test_docs.py::test_tests_pass",
    "tests/test_at_scale_dag.py",
    "tests/test_backfill.py",
    "tests/test_backfill_on_airflow_2.py",
    "tests/test_daily_dag.py",
    "tests/test_killed.py",
    "tests/test_weekly_dag.py",
    "tests/tools/test_demo.py",
    "tests/triggers/test_on_airflow.py",
    "tests/ui",
    "tests/with_google/test_dag.py",
)
# These start processes of their own, hold long conversations with a service, or read a lot of data.
INTEGRATION_PATHS = (
    "tests/api/test_rate_stores.py",
    "tests/collections/test_delimited.py::test_a_single_line_may_hold_a_million_ids",
    "tests/collections/test_rounding.py::test_honest_ids_are_never_refused",
    "tests/collections/test_streams.py::test_a_bomb_is_refused_before_it_fills_memory",
    "tests/cli/test_processes.py",
    "tests/docs/test_queries.py",
    "tests/hooks/test_rate_store.py::test_wrong_password_is_permanent",
    "tests/hostile",
    "tests/operators/test_typing.py",
    "tests/pull/test_pull_any_order.py",
    "tests/pull/test_pull_series.py",
    "tests/reports",
    "tests/sensors",
    "tests/simulator/test_nonsense.py",
    "tests/tools/test_env.py",
    "tests/tools/test_measures.py::test_pull_profile",
    "tests/tools/test_servers.py",
    "tests/tools/test_release.py",
    "tests/tools/test_services.py",
    "tests/tools/test_sessions.py",
    "tests/tools/test_sqlite_settings.py",
    "tests/tools/test_workflows.py::test_zizmor_finds_nothing",
    "tests/triggers",
)


def kind_of(nodeid: str, fixtures: Collection[str]) -> str:
    """Return the marker of a test: ``unit``, ``integration`` or ``e2e``.

    :param nodeid: where the test is: its path from the root, then its name.
    :param fixtures: the names of all fixtures that it uses, directly or not.
    """
    if nodeid.startswith(E2E_PATHS) or not E2E_FIXTURES.isdisjoint(fixtures):
        return "e2e"
    if nodeid.startswith(INTEGRATION_PATHS) or not INTEGRATION_FIXTURES.isdisjoint(fixtures):
        return "integration"
    return "unit"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by what it needs, start the slowest first, and put the long ones off."""
    for item in items:
        if not any(item.get_closest_marker(kind) for kind in KINDS):
            item.add_marker(kind_of(item.nodeid, getattr(item, "fixturenames", ())))

    def place(item: pytest.Item) -> int:
        found = (n for n, path in enumerate(LONGEST) if item.nodeid.startswith(path))
        return next(found, len(LONGEST))

    items.sort(key=place)
    if version("apache-airflow").startswith("2."):
        for item in items:
            if item.nodeid.startswith(LONG_ON_2):
                item.add_marker("long")


@pytest.fixture
def current_now(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set ``NOW`` of the test's module to the time at which the test begins.

    The clock of a simulated world stands at ``NOW``, and a pull has the real one. If the clock
    passes a full hour between the two, the pull requests an hour that is not over in the world.
    """
    monkeypatch.setattr(request.module, "NOW", datetime.now(UTC).replace(microsecond=0))


# Where Airflow 2.11 keeps what it masks, and where 3.x does, for its own and for a task's.
MASKERS = (
    "airflow.utils.log.secrets_masker",
    "airflow._shared.secrets_masker",
    "airflow.sdk._shared.secrets_masker",
)


@pytest.fixture(autouse=True)
def _forget_secrets() -> Iterator[None]:
    """Forget the masked secrets of a test, because Airflow recompiles all for each new one."""
    yield
    for module in [sys.modules[name] for name in MASKERS if name in sys.modules]:
        masker = module._secrets_masker()  # noqa: SLF001 - its public ways do not all forget
        masker.patterns = set()
        masker.replacer = None


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """Make an ``AIRFLOW_HOME`` with a database; its DAGs folder is ``example_dags``.

    A database in which no other test has left anything is a copy of its ``unused.db``.
    """
    migrated = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    home = Path(os.environ["AIRFLOW_HOME"])
    shutil.copy(home / "airflow.db", home / "unused.db")
    return home


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree, as it would be for a release."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def wheel_site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a folder that holds nothing else, to be put on the path."""
    folder = tmp_path_factory.mktemp("site")
    run(*PIP, "install", "--no-deps", "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the folder that the emulators share."""
    if not Workshop().python(ENVIRONMENTS["emulators"]).exists():
        pytest.fail("The emulators are not installed: run `make test-3.3`, once")
    return tmp_path_factory.mktemp("emulated")


@pytest.fixture(scope="session")
def _gcs_emulator(emulated: Path) -> Iterator[Emulator]:
    with gcs_emulator(emulated) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def _bigquery_emulator(emulated: Path) -> Iterator[Emulator]:
    with bigquery_emulator(emulated) as emulator:
        yield emulator


@pytest.fixture(scope="session")
def redis_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RateStoreSettings]:
    """Start a Redis that assigns slots of a shared rate."""
    yield from _rate_store(redis_server(tmp_path_factory.mktemp("redis")))


@pytest.fixture(scope="session")
def postgres_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RateStoreSettings]:
    """Start a PostgreSQL that assigns slots of a shared rate."""
    yield from _rate_store(postgres_server(tmp_path_factory.mktemp("postgres")))


def _rate_store(server: Server) -> Iterator[RateStoreSettings]:
    from tools.rate_stores import settings_of, wait_until_it_assigns_slots

    with server:
        server.wait_until_ready()
        settings = settings_of(server)
        wait_until_it_assigns_slots(settings)
        yield settings


@pytest.fixture
def gcs(_gcs_emulator: Emulator, emulated: Path, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    """Emulate Google Cloud Storage, which clients and hooks find by the environment."""
    from tools.clients import Gcs

    for name, value in google_environment(gcs=_gcs_emulator.url).items():
        monkeypatch.setenv(name, value)
    return Gcs(_gcs_emulator.url, emulated / "store")


@pytest.fixture
def bucket(gcs: Gcs) -> Bucket:
    """Make a bucket for one test."""
    return gcs.make_bucket()


@pytest.fixture
def bigquery(_bigquery_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> BigQuery:
    """Emulate BigQuery, which clients and hooks find by the environment."""
    from tools.clients import BigQuery

    for name, value in google_environment(bigquery=_bigquery_emulator.url).items():
        monkeypatch.setenv(name, value)
    return BigQuery(_bigquery_emulator.url)


@pytest.fixture
def dataset(bigquery: BigQuery) -> Iterator[str]:
    """Make a BigQuery dataset for one test; it is known by its name."""
    name = bigquery.make_dataset()
    yield name
    bigquery.client.delete_dataset(name, delete_contents=True)
