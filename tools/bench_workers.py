"""Measures several workers that share one contract, each with a temporary folder of its own.

Workers on one machine would share a file in that folder. With folders of their own they share
nothing but a store, as workers on several machines do.
"""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.pull import PullStats, pull
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.memory import MemorySink
from tools.rate_stores import settings_of, wait_until_it_assigns_slots
from tools.servers import postgres_server, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_engagement.api.settings import RateStoreSettings
    from tools.servers import Server

__all__ = [
    "STORES",
    "Shared",
    "Workers",
    "kill_and_start",
    "measure_workers",
    "most_in",
    "rate_store",
    "say_workers",
]

STORES: dict[str, Callable[[Path], Server]] = {"redis": redis_server, "postgres": postgres_server}
"""What starts each kind of server."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Workers that pull at once, and what limits them.

    :param number: the number of processes.
    :param requests: how many requests each sends.
    :param limit: what the service allows in a minute.
    :param is_stated: whether the connection states the limit.
    :param store: the store that they share; None if they share nothing.
    """

    number: int = 4
    requests: int = 150
    limit: int = 300
    is_stated: bool = True
    store: RateStoreSettings | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """What the service answered, and what the workers received.

    :param moments: when it granted requests, in seconds from the first.
    :param refused: how many it refused.
    :param counts: how many counts the workers have received, and how many were due.
    """

    moments: Sequence[float]
    refused: int
    counts: Sequence[int]

    @property
    def per_minute(self) -> float:
        """The granted requests per minute, from the first to the last."""
        return (len(self.moments) - 1) / (self.moments[-1] - self.moments[0]) * 60

    @property
    def refused_share(self) -> float:
        """The share of all requests that was refused."""
        return self.refused / (self.refused + len(self.moments))


def most_in(moments: Sequence[float], seconds: float, *, end: float = math.inf) -> int:
    """Return the most requests of any window of some seconds.

    :param moments: when the requests were sent, in order.
    :param seconds: the length of the window.
    :param end: no window ends later than this moment.
    """
    first = most = 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - seconds:
            first += 1
        most = max(most, last - first + 1) if moment < end else most
    return most


@contextlib.contextmanager
def rate_store(kind: str) -> Iterator[tuple[Server, RateStoreSettings]]:
    """Start a store; yield it, once it assigns slots, and its settings."""
    with tempfile.TemporaryDirectory() as folder, STORES[kind](Path(folder)) as server:
        server.wait_until_ready()
        settings = settings_of(server)
        wait_until_it_assigns_slots(settings)
        yield server, settings


def measure_workers(workers: Workers, meanwhile: Callable[[], object] = lambda: None) -> Shared:
    """Let workers pull at once from one service.

    :param workers: how many, and how they share the limit.
    :param meanwhile: called once they have begun.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    world = World(seed=7, accounts=("acme",), now=now)
    ids = world.tweets("acme", 5, since=now - timedelta(days=30), until=now - timedelta(days=1))
    context = multiprocessing.get_context("spawn")
    results: Any = context.Queue()
    start: Any = context.Barrier(workers.number + 1)
    with Simulator(world, requests_per_minute=workers.limit, latency=0.05) as simulator:
        settings = _settings(simulator, workers)
        processes = [
            context.Process(target=_work, args=(settings, ids, workers.requests, start, results))
            for _ in range(workers.number)
        ]
        for process in processes:
            process.start()
        start.wait(300)
        meanwhile()
        counts = [results.get(timeout=900) for _ in processes]
        for process in processes:
            process.join()
        log = list(simulator.requests)
    begin = min(entry.at for entry in log)
    granted = sorted(entry.at - begin for entry in log if entry.status == HTTPStatus.OK)
    return Shared(
        granted, len(log) - len(granted), [sum(each) for each in zip(*counts, strict=True)]
    )


def _settings(simulator: Simulator, workers: Workers) -> Settings:
    held = simulator.connection("acme")
    extra = held["extra"]
    keys = (held["login"], held["password"], extra["access_token"], extra["access_token_secret"])
    limits = {EndpointName.TOTALS: float(workers.limit)} if workers.is_stated else {}
    return Settings(
        Credentials(*map(Secret, keys)),
        "acme",
        host=held["host"],
        requests_per_minute=limits,
        rate_store=workers.store,
    )


def _work(settings: Settings, ids: Sequence[str], requests: int, start: Any, results: Any) -> None:
    """Pull in a process with a temporary folder of its own; send the counts received and due."""
    now = datetime.now(UTC)
    query = build_query("totals", has_owner=True)
    one = make_plan(query, ids, now=now)
    plan = replace(one, requests=one.requests * requests)
    stats = PullStats()
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder
        with EngagementClient(settings) as client:
            start.wait(300)
            pull(client, plan, MemorySink(), period=ReportingPeriod(now), stats=stats)
    results.put((stats.rows, requests * len(ids) * len(query.engagement_types)))


def say_workers(say: Callable[[str, str, str], None]) -> None:
    """Measure four workers with each store, with a store that is killed, and without one.

    :param say: prints what was measured, the figure and the goal.
    """
    for kind in STORES:
        with rate_store(kind) as (_, settings):
            shared = measure_workers(Workers(store=settings))
            _say_shared(say, f"4 workers, one {kind}", shared, 0.95, 1)
        with rate_store(kind) as (server, settings):
            shared = measure_workers(
                Workers(store=settings, requests=225), lambda: kill_and_start(server)
            )
            _say_shared(say, f"4 workers, {kind} killed and restarted", shared, None, 1)
    for is_stated in (True, False):
        known = "limit stated" if is_stated else "limit not stated"
        shared = measure_workers(Workers(is_stated=is_stated, requests=225))
        _say_shared(say, f"4 workers without a store, {known}", shared, 0.90, 2)


def kill_and_start(server: Server, after: float = 40.0, away: float = 30.0) -> None:
    """Kill a server, and start it again."""
    time.sleep(after)
    server.kill()
    time.sleep(away)
    server.start()


def _say_shared(
    say: Callable[[str, str, str], None],
    what: str,
    shared: Shared,
    least: float | None,
    refused: int,
) -> None:
    goal = f"{least:.2f} R at least" if least else "none set"
    say(f"{what}: pace together", f"{shared.per_minute / 300:.3f} R", goal)
    say("  of them refused", f"{shared.refused_share:.2%}", f"under {refused} %")
    first, most = most_in(shared.moments, 1, end=1), most_in(shared.moments, 60)
    say("  in the first second, most in a minute", f"{first} and {most}", "6 and 300 at most")
    received, due = shared.counts
    say("  counts that are missing", str(due - received), "0")
