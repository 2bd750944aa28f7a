"""Kills tasks, each at its moment, and tells what the service was asked and what has landed."""

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


class ReportingPeriod(Protocol):
    """Tells whether it is time to kill a task."""

    def __call__(self, victim: Victim) -> bool: ...


@dataclass(slots=True)
class Stage:
    """Where rounds are played: each is one run of the DAG `killed`.

    A round's tasks ask for ranges of their own, so that no two rounds send the same request.

    :param service: what is asked.
    :param gcs: where the rows of one task land.
    :param bigquery: where those of the other do.
    :param dataset: in which dataset.
    :param folder: where processes tell their ids.
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
        """Make a round's bucket, and give the `conf` of its run.

        :param number: the round's number: below the days of a window.
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
        """Give the requests of a round's task, and how often each was answered."""
        requests = self.service.requests
        for request in requests[self._read :]:
            if request.status == 200:
                start = datetime.fromisoformat(request.body["start"])
                key = ((start - FIRST_DAY) // DAY % WINDOW.days, request.account)
                self._answered.setdefault(key, Counter())[request.raw] += 1
        self._read = len(requests)
        return self._answered.get((number, OWNERS[task]), Counter())

    def truth(self, number: int, task: str) -> dict[tuple[str, str], int]:
        """Tell the counts that a round's task has to write."""
        start = FIRST_DAY + number * DAY
        moments = (start, _end(start, task))
        edges = np.array([int(moment.timestamp() * 1000) for moment in moments])
        ids = self.ids[task]
        series = self.service.world.series(ids, TYPES, edges)
        return {
            (item, name): int(series[row, column, 0])
            for row, item in enumerate(ids)
            for column, name in enumerate(TYPES)
        }

    def landed(self, number: int, task: str) -> dict[tuple[str, str], int]:
        """Give the counts that a round's task has written."""
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

    def staged(self, number: int, task: str) -> list[str]:
        """List what a round's task has left of its staging."""
        return [b.name for b in self.buckets[number].list_blobs(prefix=_STAGING[task])]


@dataclass(slots=True)
class Victim:
    """A task whose first try is to be killed.

    :param stage: where it plays.
    :param number: its round.
    :param task: which of the round's tasks.
    :param moment: tells whether it is time.
    :param run_id: its run.
    :param was_killed: whether it was in time; None before.
    """

    stage: Stage
    number: int
    task: str
    moment: ReportingPeriod
    run_id: str = ""
    was_killed: bool | None = None
    most_pieces: int = 0
    _process: psutil.Process | None = None

    def __post_init__(self) -> None:
        self.run_id = self.run_id or f"round-{self.number}"

    def has_begun(self) -> bool:
        """Tell whether there is a process, and remember it by more than an id."""
        told = self.stage.folder / f"{self.run_id}.{self.task}.1"
        if self._process is None and told.exists():
            try:
                self._process = psutil.Process(int(told.read_text()))
            except psutil.NoSuchProcess:
                self.was_killed = False
        return self._process is not None

    def count_answers(self) -> int:
        return self.stage.answered(self.number, self.task).total()

    def count_pieces(self) -> int:
        return len(self.objects(f"{_STAGING[self.task]}*/*/*.arrow"))

    def objects(self, pattern: str) -> list[Path]:
        return list((self.stage.gcs.folder / self.stage.buckets[self.number].name).glob(pattern))

    def kill(self) -> None:
        assert self._process is not None
        try:
            self._process.kill()
        except psutil.NoSuchProcess:
            self.was_killed = False
        else:
            self.was_killed = True


def after(answers: int) -> ReportingPeriod:
    """Say when so many requests have been answered."""
    return lambda victim: victim.count_answers() >= answers


def while_landing(victim: Victim) -> bool:
    """Say when rows are on their way: into the folder, or through the bucket into the table."""
    below = _ROWS if victim.task == "to_gcs" else _STAGING["to_bigquery"]
    return bool(victim.objects(f"{below}**/part-*"))


def once_landed(victim: Victim) -> bool:
    """Say when the first pieces have been deleted, as nobody needs them any more."""
    pieces = victim.count_pieces()
    victim.most_pieces = max(victim.most_pieces, pieces)
    return pieces < victim.most_pieces == REQUESTS


def at_point(point: float) -> ReportingPeriod:
    """Say when a part of all requests has been answered; beyond 1, so long after all of them.

    :param point: the part; what it has beyond 1 is in units of eight seconds.
    """
    seen: list[float] = []

    def is_there(victim: Victim) -> bool:
        if victim.count_answers() >= min(point, 1) * REQUESTS:
            seen.append(time.monotonic())
        return bool(seen) and seen[-1] - seen[0] >= (point - 1) * 8

    return is_there


def kill_all(victims: Sequence[Victim], *, within: float, check: Callable[[], None]) -> None:
    """Kill tasks, each at its moment.

    :param within: seconds until all have to be dead.
    :param check: fails if there is no use in waiting.
    """
    deadline = time.monotonic() + within
    while waiting := [victim for victim in victims if victim.was_killed is None]:
        assert time.monotonic() < deadline, f"not yet: {[(v.number, v.task) for v in waiting]}"
        check()
        for victim in waiting:
            if victim.has_begun() and victim.moment(victim):
                victim.kill()
        time.sleep(0.01)


def check_landed(victim: Victim) -> None:
    """See that a task's counts are the true ones, and its staging is cleared away."""
    stage, number, task = victim.stage, victim.number, victim.task
    assert stage.landed(number, task) == stage.truth(number, task)
    # What it was loading when it died is in nobody's way: it goes with what else is of its day.
    lost = re.compile(rf"engagement-staging/\d{{4}}-\d\d-\d\d/\w+_round_{number}_\w+/part-\d+\S+")
    assert not [name for name in stage.staged(number, task) if not lost.fullmatch(name)]


def answered_again(victim: Victim) -> int:
    """See that every request was answered, and at most twice; count those that were."""
    answered = victim.stage.answered(victim.number, victim.task)
    assert len(answered) == REQUESTS
    assert max(answered.values()) <= 2
    return answered.total() - REQUESTS


def _end(start: datetime, task: str) -> datetime:
    return start + (WINDOWS * WINDOW if task == "to_gcs" else DAY)
