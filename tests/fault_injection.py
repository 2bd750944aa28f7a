"""Kills tasks at chosen moments, and compares what they wrote with the expected counts."""

from __future__ import annotations

import io
import json
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psutil
import pyarrow.parquet as pq
from object_checks import files_of
from run_operator import counts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.simulator import Simulator
    from tools.clients import BigQuery, Gcs

DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
FIRST_DAY = NOW.replace(hour=0, minute=0, second=0) - 300 * DAY
WINDOW, WINDOWS = timedelta(days=28), 8

REQUESTS = 200
IN_FLIGHT = 8  # what a connection allows where it says nothing
OWNERS = {"to_gcs": "acme", "to_bigquery": "globex"}
TWEETS = {"to_gcs": 25 * REQUESTS // WINDOWS, "to_bigquery": 25 * REQUESTS}
TYPES = ("impressions", "favorites")

_ROWS = "engagement/historical/"
_STAGING = {"to_gcs": "engagement/_staging/", "to_bigquery": "engagement-staging/"}


class KillCondition(Protocol):
    """Returns whether it is time to kill a task."""

    def __call__(self, target: KillTarget) -> bool: ...


@dataclass(slots=True)
class Scenario:
    """The services and data of several rounds; each round is one run of the DAG `killed`.

    Each round has its own windows, so that no two rounds send the same request.

    :param service: the simulated API.
    :param gcs: where one task writes.
    :param bigquery: where the other task writes.
    :param dataset: the dataset of its tables.
    :param folder: where task processes write their process ids.
    :param ids: the Tweets of each task.
    """

    service: Simulator
    gcs: Gcs
    bigquery: BigQuery
    dataset: str
    folder: Path
    ids: dict[str, list[str]]
    buckets: dict[int, Bucket] = field(default_factory=dict)
    _read: int = 0
    _answered: dict[tuple[int, str | None], Counter[bytes]] = field(default_factory=dict)

    def prepare(self, number: int) -> dict[str, str]:
        """Make a round's bucket, and return the `conf` of its run.

        :param number: the round's number; less than the days of a window.
        """
        assert number < WINDOW.days
        bucket = self.buckets[number] = self.gcs.make_bucket()
        # The emulator is slower with every object that it has to remember.
        bucket.soft_delete_policy.retention_duration_seconds = 0
        bucket.patch()
        start = FIRST_DAY + number * DAY
        return {
            "bucket": bucket.name,
            "table": f"{self.dataset}.round_{number}",
            "start": start.isoformat(),
            "end": _end(start, "to_gcs").isoformat(),
            "next_day": _end(start, "to_bigquery").isoformat(),
        }

    def answered(self, number: int, task: str) -> Counter[bytes]:
        """Return the requests of a round's task, with how often each was answered."""
        requests = self.service.requests
        for request in requests[self._read :]:
            if request.status == 200:
                start = datetime.fromisoformat(request.body["start"])
                key = ((start - FIRST_DAY) // DAY % WINDOW.days, request.account)
                self._answered.setdefault(key, Counter())[request.raw] += 1
        self._read = len(requests)
        return self._answered.get((number, OWNERS[task]), Counter())

    def expected_counts(self, number: int, task: str) -> dict[tuple[str, str], int]:
        """Return the counts that a round's task must write."""
        start = FIRST_DAY + number * DAY
        bounds = (start, _end(start, task))
        edges = np.array([int(bound.timestamp() * 1000) for bound in bounds])
        ids = self.ids[task]
        series = self.service.world.series(ids, TYPES, edges)
        return {
            (item, name): int(series[row, column, 0])
            for row, item in enumerate(ids)
            for column, name in enumerate(TYPES)
        }

    def written_counts(self, number: int, task: str) -> dict[tuple[str, str], int]:
        """Return the counts that a round's task has written."""
        if task == "to_bigquery":
            return counts(self.bigquery.rows(f"SELECT * FROM {self.dataset}.round_{number}"))  # noqa: S608 - ours
        bucket = self.buckets[number]
        held = [blob.name for blob in bucket.list_blobs(prefix=_ROWS)]
        (folder,) = {name.rpartition("/")[0] for name in held}
        files = files_of(bucket, folder)
        assert {*files} == {"part-00000.parquet", "coverage.parquet", "manifest.json"}
        rows: list[dict[str, Any]] = pq.read_table(
            io.BytesIO(files["part-00000.parquet"])
        ).to_pylist()
        assert json.loads(files["manifest.json"])["rows"] == len(rows)
        return counts(rows)

    def staged_objects(self, number: int, task: str) -> list[str]:
        """Return the names of the staged objects that a round's task has left."""
        return [b.name for b in self.buckets[number].list_blobs(prefix=_STAGING[task])]


@dataclass(slots=True)
class KillTarget:
    """A task whose first try will be killed.

    :param scenario: the scenario that it belongs to.
    :param number: its round.
    :param task: the task's id.
    :param condition: when to kill it.
    :param run_id: the id of its run.
    :param was_killed: whether it was killed before it ended; None before either.
    """

    scenario: Scenario
    number: int
    task: str
    condition: KillCondition
    run_id: str = ""
    was_killed: bool | None = None
    most_checkpoints: int = 0
    _process: psutil.Process | None = None

    def __post_init__(self) -> None:
        self.run_id = self.run_id or f"round-{self.number}"

    def has_started(self) -> bool:
        """Return whether its process has started, and open the process."""
        path = self.scenario.folder / f"{self.run_id}.{self.task}.1"
        if self._process is None and path.exists():
            try:
                self._process = psutil.Process(int(path.read_text()))
            except psutil.NoSuchProcess:
                self.was_killed = False
        return self._process is not None

    def count_responses(self) -> int:
        return self.scenario.answered(self.number, self.task).total()

    def count_checkpoints(self) -> int:
        return len(self.objects(f"{_STAGING[self.task]}*/*/*.arrow"))

    def objects(self, pattern: str) -> list[Path]:
        return list(
            (self.scenario.gcs.folder / self.scenario.buckets[self.number].name).glob(pattern)
        )

    def kill(self) -> None:
        assert self._process is not None
        try:
            self._process.kill()
        except psutil.NoSuchProcess:
            self.was_killed = False
        else:
            self.was_killed = True


def after_responses(count: int) -> KillCondition:
    """Return a condition: this many requests were answered."""
    return lambda target: target.count_responses() >= count


def while_writing_rows(target: KillTarget) -> bool:
    """Return whether objects with rows exist, in the folder or in the staging bucket."""
    below = _ROWS if target.task == "to_gcs" else _STAGING["to_bigquery"]
    return bool(target.objects(f"{below}**/part-*"))


def while_deleting_checkpoints(target: KillTarget) -> bool:
    """Return whether all checkpoints existed and some are deleted again."""
    checkpoints = target.count_checkpoints()
    target.most_checkpoints = max(target.most_checkpoints, checkpoints)
    return checkpoints < target.most_checkpoints == REQUESTS


def at_progress(point: float) -> KillCondition:
    """Return a condition: this share of all requests was answered.

    :param point: the share; above 1, the excess is a time after the last response, in units of
        eight seconds.
    """
    seen: list[float] = []

    def is_reached(target: KillTarget) -> bool:
        if target.count_responses() >= min(point, 1) * REQUESTS:
            seen.append(time.monotonic())
        return bool(seen) and seen[-1] - seen[0] >= (point - 1) * 8

    return is_reached


def kill_all(targets: Sequence[KillTarget], *, within: float, check: Callable[[], None]) -> None:
    """Kill each task when its condition holds.

    :param within: the seconds until all must be killed.
    :param check: called while waiting; fails if waiting is useless.
    """
    deadline = time.monotonic() + within
    while waiting := [target for target in targets if target.was_killed is None]:
        assert time.monotonic() < deadline, f"not killed: {[(v.number, v.task) for v in waiting]}"
        check()
        for target in waiting:
            if target.has_started() and target.condition(target):
                target.kill()
        time.sleep(0.01)


def check_written_counts(target: KillTarget) -> None:
    """Check that a task wrote the expected counts and deleted its staged objects."""
    scenario, number, task = target.scenario, target.number, target.task
    assert scenario.written_counts(number, task) == scenario.expected_counts(number, task)
    # The parts of a killed try stay until the sweep of their day.
    abandoned = re.compile(
        rf"engagement-staging/\d{{4}}-\d\d-\d\d/\w+_round_{number}_\w+/part-\d+\S+"
    )
    assert not [
        name for name in scenario.staged_objects(number, task) if not abandoned.fullmatch(name)
    ]


def count_repeated_requests(target: KillTarget) -> int:
    """Check that each request was answered once or twice; return how many were repeated."""
    answered = target.scenario.answered(target.number, target.task)
    assert len(answered) == REQUESTS
    assert max(answered.values()) <= 2
    return answered.total() - REQUESTS


def _end(start: datetime, task: str) -> datetime:
    return start + (WINDOWS * WINDOW if task == "to_gcs" else DAY)
