"""Runs the example DAG of many workers on a deployment, kills a worker midway, and measures."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import requests

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.deployment import Deployment, TaskTry
from tools.env import ROOT
from tools.process import ProcessFailure
from tools.scale.memory import PeakMemory
from tools.scale.truth import Truth, coverage_differences, differences
from tools.services import (
    PROJECT,
    bigquery_emulator,
    gcs_emulator,
    google_environment,
    simulator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tools.services import Simulator

__all__ = ["Figures", "Options", "measure"]

DAG_ID: Final = "engagement_at_scale"
SHARDS: Final = 8
_RUN: Final = "scale"
_ACCOUNT: Final = "acme"
_BUCKET: Final = "acme-engagement"
_DATASET: Final = "reporting"
_TABLE: Final = f"{_DATASET}.engagement"
_WORKERS: Final = ("worker-1", "worker-2")
_TASKS_OF_A_WORKER: Final = 2  # the example DAG runs four shards at once
_SEED: Final = 7
_DELETED: Final = 0.01
_KILLED_AT: Final = 0.4  # of the requests: the first four shards are on their way
_ENDS_WITHIN: Final = 3600
_ENDED: Final = ("success", "failed")

# The default of a connection's max_concurrency.
_IN_FLIGHT: Final = 8

# The DAG waits five minutes before it retries. A test need not.
_WAITS: Final = ("timedelta(minutes=5)", "timedelta(seconds=5)")


@dataclass(frozen=True, slots=True)
class Options:
    """What to run.

    :param tweets: how many Tweets.
    :param airflow: the version of Airflow: ``3.3`` or ``2.11``.
    :param kill: whether a worker is killed when two fifths of the requests are answered.
    :param requests_per_minute: the contract, which the simulator enforces.
    """

    tweets: int = 1_000_000
    airflow: str = "3.3"
    kill: bool = True
    requests_per_minute: int = 6_000


@dataclass(slots=True)
class Figures:
    """What was measured.

    :param stages: the seconds of each stage.
    :param planned: the least requests for the Tweets, given the shards.
    :param answered: the requests that were answered.
    :param refused: the requests that were refused.
    :param killed: how many tasks the killed worker was running.
    :param load_jobs: the load jobs into the table and its neighbours.
    :param merges: the ``MERGE`` statements by the table that they write.
    :param tries: all tries of all tasks.
    :param wrong: how many cells are wrong, by column; ``coverage.`` precedes those of the coverage.
    :param peaks: the peak memory of each worker in MiB, and that of the largest process.
    """

    stages: dict[str, float] = field(default_factory=dict)
    planned: int = 0
    answered: int = 0
    refused: int = 0
    killed: int = 0
    load_jobs: int = 0
    merges: dict[str, int] = field(default_factory=dict)
    tries: list[TaskTry] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)

    @property
    def in_flight(self) -> int:
        """The most requests that can have been in flight at the kill."""
        return self.killed * _IN_FLIGHT

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure a stage, and print it."""
        print(f"  {name} ".ljust(64, "."), end=" ", flush=True)
        began = time.monotonic()
        yield
        self.stages[name] = time.monotonic() - began
        print(f"{self.stages[name]:6.1f} s", flush=True)


def measure(options: Options, folder: Path) -> Figures:
    """Pull all Tweets into one BigQuery table by two Celery workers, and compare the table.

    :param options: what to run.
    :param folder: an empty folder for everything that is written.
    :raises ProcessFailure: if a part of the deployment or the run fails.
    """
    figures = Figures()
    now = datetime.now(UTC).replace(microsecond=0)
    with ExitStack() as stack:
        with figures.stage(f"Start the stand-ins, and make {options.tweets:,} Tweets"):
            scene = _Scene(stack, folder, options, now)
        with figures.stage(f"Start PostgreSQL, Redis and Airflow {options.airflow}"):
            airflow = stack.enter_context(scene.deployment())
            pool = ("pools", "set", "engagement_api", str(2 * SHARDS), "The API's contract")
            airflow.run(*pool, "--include-deferred")
            airflow.wait_for(lambda: airflow.has_read(DAG_ID) or None)
        _run(airflow, scene, figures)
        _count(scene, figures)
        truth = Truth(scene.world, _ACCOUNT, scene.tweet_ids)
        with figures.stage("Compare the table with the truth"):
            wrong = differences(scene.bigquery, _TABLE, truth, airflow.start_of(_RUN))
            coverage = coverage_differences(scene.bigquery, f"{_TABLE}_coverage", truth)
            figures.wrong = wrong | {f"coverage.{name}": n for name, n in coverage.items()}
    return figures


class _Scene:
    """The stand-ins, started.

    :param stack: ends them.
    :param folder: holds everything that they write.
    :param options: what to run.
    :param now: when the clock of the simulated service stands still.
    """

    def __init__(self, stack: ExitStack, folder: Path, options: Options, now: datetime) -> None:
        self.options = options
        self.world = World(_SEED, (_ACCOUNT,), now, deleted_share=_DELETED)
        self._folder = folder
        ids = folder / "tweet_ids.txt"
        gcs = stack.enter_context(gcs_emulator(folder))
        bigquery = stack.enter_context(bigquery_emulator(folder))
        self._api: Simulator = stack.enter_context(
            simulator(
                folder,
                *("--account", _ACCOUNT, "--seed", str(_SEED), "--now", now.isoformat()),
                *("--tweets", str(options.tweets), "--ids-file", ids),
                *("--deleted-share", str(_DELETED)),
                *("--requests-per-minute", str(options.requests_per_minute)),
            )
        )
        self._google = google_environment(bigquery=bigquery.url, gcs=gcs.url)
        self.bigquery = BigQuery(bigquery.url)
        self.bigquery.make_dataset(_DATASET)
        bucket = Gcs(gcs.url, folder / "store").make_bucket(_BUCKET)
        self._connection = self._api.connections[_ACCOUNT]
        bucket.blob("inbox/tweet_ids.txt").upload_from_filename(ids)
        self.tweet_ids = ids.read_text().split()

    def deployment(self) -> Deployment:
        """Return the deployment, not yet started, with a copy of the example DAG."""
        dags = self._folder / "dags"
        dags.mkdir()
        text = (ROOT / "example_dags" / f"{DAG_ID}.py").read_text()
        (dags / f"{DAG_ID}.py").write_text(text.replace(*_WAITS))
        extra = {**self._connection["extra"], "rate_limit_conn_id": "redis"}
        extra["requests_per_minute"] = self.options.requests_per_minute
        return Deployment(
            self._folder,
            dags,
            self.options.airflow,
            workers=_WORKERS,
            concurrency=_TASKS_OF_A_WORKER,
            settings={
                **self._google,
                "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(self._connection | {"extra": extra}),
                "AIRFLOW_VAR_ENGAGEMENT_BUCKET": _BUCKET,
                "AIRFLOW_VAR_ENGAGEMENT_TABLE": _TABLE,
                "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{_BUCKET}/inbox/tweet_ids.txt",
            },
        )

    def requests(self) -> dict[str, int]:
        """Return the numbers of requests so far, by status."""
        stats = requests.get(f"{self._api.url}/_simulator/stats", timeout=30).json()
        found: dict[str, int] = stats["requests"].get("totals", {})
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """Return the configurations of all jobs of BigQuery."""
        url = f"{self.bigquery.url}/bigquery/v2/projects/{PROJECT}/jobs"
        found = requests.get(url, params={"maxResults": "10000"}, timeout=30).json()
        return [job["configuration"] for job in found["jobs"]]

    def planned(self, now: datetime) -> int:
        """Return the least requests for all shards together.

        :param now: the moment that decides how old a Tweet is.
        """
        query = build_query("totals", has_owner=True)
        shards = (Shard(index, SHARDS).select(self.tweet_ids) for index in range(SHARDS))
        return sum(len(make_plan(query, ids, now=now).requests) for ids in shards)


def _run(airflow: Deployment, scene: _Scene, figures: Figures) -> None:
    """Run the DAG, and kill a worker midway."""
    figures.planned = scene.planned(scene.world.now())
    leaders = {name: process.pid for name, process in airflow.workers.items()}
    killed_at = 0.0
    with PeakMemory(leaders) as peak, figures.stage("Run the DAG"):
        airflow.trigger(DAG_ID, _RUN)
        if scene.options.kill:
            figures.killed = _kill(airflow, scene, figures.planned * _KILLED_AT)
            killed_at = time.time()
        airflow.wait_for(lambda: airflow.state_of(_RUN) in _ENDED or None, _ENDS_WITHIN)
    figures.peaks = {**peak.trees, "largest process": peak.process}
    figures.planned = scene.planned(airflow.start_of(_RUN))
    figures.tries = airflow.tries(_RUN)
    figures.stages |= _stages(figures.tries, killed_at)
    if airflow.state_of(_RUN) != "success":
        tries = "\n".join(map(str, figures.tries))
        raise ProcessFailure(f"The run failed:\n{tries}\n{airflow.tails()}")


def _kill(airflow: Deployment, scene: _Scene, requests: float) -> int:
    """Kill the busiest worker after so many requests; return how many tasks it was running."""

    def busiest() -> tuple[int, str] | None:
        if scene.requests().get("200", 0) < requests:
            return None
        tasks = max((airflow.tasks_of(name), name) for name in _WORKERS)
        return tasks if tasks[0] else None

    tasks, worker = airflow.wait_for(busiest, _ENDS_WITHIN)
    airflow.kill_worker(worker)
    return tasks


def _stages(tries: Sequence[TaskTry], killed_at: float) -> dict[str, float]:
    """Return the seconds of the stages of a run."""
    shards = [each for each in tries if each.map_index >= 0]
    (load,) = (each for each in tries if each.map_index < 0)
    again = [each.start for each in shards if each.number > 1]
    found = {
        "  the shards": max(each.end for each in shards) - shards[0].start,
        "  the load": load.end - load.start,
    }
    if again:
        found["  from the kill to the first task tried again"] = min(again) - killed_at
    return found


def _count(scene: _Scene, figures: Figures) -> None:
    """Count what the service and BigQuery were asked for."""
    asked = scene.requests()
    figures.answered = asked.pop("200")
    figures.refused = sum(asked.values())
    jobs = scene.jobs()
    figures.load_jobs = sum("load" in job for job in jobs)
    statements = [job["query"]["query"] for job in jobs if "query" in job]
    figures.merges = Counter(
        target for text in statements for target in re.findall(r"\bMERGE\s+(?:INTO\s+)?(\S+)", text)
    )
