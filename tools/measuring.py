"""What the benchmarks share: a simulated service, times side by side, and lines of results."""

from __future__ import annotations

import gc
import statistics
import tempfile
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.pull import PullStats, pull
from airflow_provider_engagement.sinks.memory import MemorySink
from tools.services import simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "FOUR_WEEKS",
    "MIDNIGHT",
    "NOW",
    "median_of",
    "peak_mib",
    "pull_all",
    "say",
    "served",
    "settings_of",
]

NOW: Final = datetime.now(UTC).replace(microsecond=0)
MIDNIGHT: Final = NOW.replace(hour=0, minute=0, second=0)
FOUR_WEEKS: Final = timedelta(days=28)


def say(what: str, figure: str, goal: str) -> None:
    """Print one line of the result."""
    print(f"{what:<62} {figure:>22}   goal {goal}", flush=True)


def median_of(
    runs: int, *functions: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the median times of functions, which run in turn so that load affects all of them.

    :param runs: how often each runs.
    :param clock: returns seconds; processor time for work that does not wait, because other
        processes affect it less.
    """
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, took in zip(functions, times, strict=True):
            gc.collect()
            began = clock()
            result = function()
            took.append(clock() - began)
            del result
    return [statistics.median(took) for took in times]


def peak_mib() -> float:
    """Return the peak memory of this process, in MiB.

    Linux counts in ``getrusage`` also the peak of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@contextmanager
def served(*options: str, tweets: int, **changes: Any) -> Iterator[tuple[Settings, list[str]]]:
    """Simulate one account's Tweets; yield its settings and the ids."""
    with tempfile.TemporaryDirectory() as name:
        ids_file = Path(name) / "ids.txt"
        flags = ("--account", "acme", "--tweets", str(tweets), "--ids-file", str(ids_file))
        with simulator(Path(name), *flags, *options) as running:
            held = running.connections["acme"]
            yield settings_of(held, **changes), ids_file.read_text().split()


def settings_of(held: dict[str, Any], **changes: Any) -> Settings:
    """Return the settings of a simulated connection."""
    extra = held["extra"]
    credentials = Credentials(
        Secret(held["login"]),
        Secret(held["password"]),
        Secret(extra["access_token"]),
        Secret(extra["access_token_secret"]),
        Secret(extra["bearer_token"]),
    )
    return Settings(credentials=credentials, account="acme", host=held["host"], **changes)


def pull_all(settings: Settings, plan: Plan, folder: Path) -> PullStats:
    """Pull a plan into memory."""
    tally = PullStats()
    with EngagementClient(settings, rate_state_directory=folder) as client:
        period = plan.window
        pull(client, plan, MemorySink(), period=ReportingPeriod(NOW, period), stats=tally)
    return tally
