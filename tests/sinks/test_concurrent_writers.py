"""Tries of one task that write its folder at the same time."""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import random
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import stepping
from object_checks import listed_in
from stepping import FAIL, GO, KILL, LOSE, Try, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.services import Emulator


WRITERS = 5
# Whether the rows are a snapshot; the Tweets of an earlier run; those of both tries.
Scenario = tuple[bool, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
COMMANDS = (GO, LOSE, FAIL, KILL)


@dataclass(slots=True)
class Watch:
    """Looks at a folder after every step, on the emulator's own disk.

    :param folder: where the objects of the folder lie.
    :param tries: all tries that write it, by the value of their rows.
    """

    folder: Path
    tries: dict[int, Try]
    stood: bool = False
    answers: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """Check what must hold at any moment."""
        path = self.folder / "manifest.json"
        if not path.exists():
            assert not self.stood, "a manifest stood, and none stands"
            return
        self.stood = True
        manifest = json.loads(path.read_bytes())
        values: dict[str, int] = {}
        for entry in listed_in(manifest):
            data = (self.folder / entry["name"]).read_bytes()
            assert (len(data), hashlib.md5(data).hexdigest()) == (entry["bytes"], entry["md5"])  # noqa: S324 - no secret
        for entry in manifest["objects"]:
            for row in self._lines(entry):
                assert values.setdefault(row["tweet_id"], row["value"]) == row["value"]
        assert manifest["rows"] == len(values)
        covered = [row["tweet_id"] for row in self._lines(manifest["coverage"])]
        assert sorted(covered) == sorted(values)
        self._check_values(values)

    def follow(self, writer: Writer, *, steps: int | None = None) -> bool:
        """Let a try go on, and look after each step. Return whether it took all the steps.

        :param steps: how many; None for all until its end.
        """
        for _ in itertools.count() if steps is None else range(steps):
            if writer.waits_for is None:
                return False
            writer.step()
            self.look()
        return True

    def check_ends(self, ends: list[Any], tries: list[Try]) -> None:
        """Check what two undisturbed tries return."""
        succeeded = [item for item, end in zip(tries, ends, strict=True) if isinstance(end, tuple)]
        assert succeeded
        if tries[0].is_snapshot:
            assert {tweet_id for item in succeeded for tweet_id in item.tweet_ids} <= {
                *self.answers
            }
            assert {*ends} - {end for end in ends if isinstance(end, tuple)} <= {
                "ConcurrentWriteError"
            }
        else:
            assert succeeded == tries

    def _lines(self, entry: dict[str, Any]) -> list[dict[str, Any]]:
        lines = (self.folder / entry["name"]).read_text().splitlines()
        assert len(lines) == entry["rows"]
        return [json.loads(line) for line in lines]

    def _check_values(self, values: dict[str, int]) -> None:
        if next(iter(self.tries.values())).is_snapshot:
            # A Tweet's first answer stands, and Tweets are only added.
            assert self.answers.items() <= values.items()
            self.answers = values
            return
        (value,) = set(values.values())
        assert sorted(values) == sorted(self.tries[value].tweet_ids)

    def check_clean(self) -> None:
        """Check that the folder holds the manifest, what that lists, and nothing else."""
        manifest = json.loads((self.folder / "manifest.json").read_bytes())
        names = {entry["name"] for entry in listed_in(manifest)} | {"manifest.json"}
        assert {path.name for path in self.folder.iterdir()} == names


@dataclass(frozen=True, slots=True)
class Stage:
    """A bucket, and writers that are ready to run tries in it."""

    root: Path
    writers: list[Writer]

    def watch(self, *tries: Try) -> Watch:
        return Watch(self.root / tries[0].folder, {item.value: item for item in tries})


@pytest.fixture(scope="module")
def bucket(_gcs_emulator: Emulator, emulated: Path) -> Path:
    """Make a bucket without soft deletion, and return the folder of its objects."""
    from tools.clients import Gcs

    gcs = Gcs(_gcs_emulator.url, emulated / "store")
    made = gcs.make_bucket()
    made.soft_delete_policy.retention_duration_seconds = 0
    made.patch()
    return gcs.folder / made.name


@pytest.fixture(scope="module")
def processes(_gcs_emulator: Emulator, bucket: Path) -> Iterator[Stage]:
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(2)]
    running = [
        context.Process(target=stepping.serve, args=(other, _gcs_emulator.url, bucket.name))
        for _, other in pairs
    ]
    for process in running:
        process.start()
    writers = [Writer(ours) for ours, _ in pairs]
    yield Stage(bucket, writers)
    for writer in writers:
        writer.stop()
    for process in running:
        process.join()
        assert process.exitcode == 0


@pytest.fixture(scope="module")
def threads(_gcs_emulator: Emulator, bucket: Path) -> Iterator[Stage]:
    pairs = [multiprocessing.Pipe() for _ in range(WRITERS)]
    running = [
        threading.Thread(target=stepping.serve, args=(other, _gcs_emulator.url, bucket.name))
        for _, other in pairs
    ]
    for thread in running:
        thread.start()
    writers = [Writer(ours) for ours, _ in pairs]
    yield Stage(bucket, writers)
    for writer in writers:
        writer.stop()
    for thread in running:
        thread.join()


SCENARIOS: dict[str, Scenario] = {
    "a series": (False, (), ("1", "2"), ("1", "2")),
    "a series that was written before": (False, ("1",), ("1", "2"), ("1", "2")),
    "a series, and the collection has grown": (False, ("1",), ("1",), ("1", "2")),
    "a snapshot": (True, (), ("1", "2"), ("1", "2")),
    "a snapshot, and the collection has grown": (True, (), ("1",), ("1", "2")),
    "a snapshot that both extend": (True, ("1",), ("1", "2"), ("1", "2")),
    "a snapshot that both extend differently": (True, ("1",), ("1", "2"), ("1", "3")),
}


@dataclass(slots=True)
class Pair:
    """Two tries of one task, each in a process.

    :param stage: the processes.
    :param scenario: what they are to write.
    """

    stage: Stage
    scenario: Scenario

    def run(self, pause: int, other_pause: int | None) -> tuple[bool, bool]:
        """Pause the first try, then the second, end the first, then the second.

        :param pause: the steps of the first before its pause.
        :param other_pause: the steps of the second before its pause; None for all.
        :returns: whether each of them took so many steps.
        """
        is_snapshot, before, *asked = self.scenario
        folder = f"pair/{uuid.uuid4().hex}"
        earlier, *tries = (
            Try(folder, value, ids, is_snapshot)
            for value, ids in enumerate((before, *asked), start=1)
        )
        watch = self.stage.watch(earlier, *tries)
        first, second = self.stage.writers
        if before:
            first.start(earlier)
            watch.follow(first)
        first.start(tries[0])
        paused = watch.follow(first, steps=pause)
        second.start(tries[1])
        other_paused = watch.follow(second, steps=other_pause)
        watch.follow(first)
        watch.follow(second)
        watch.check_clean()
        watch.check_ends([first.end, second.end], tries)
        return paused, other_paused


each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)


@each_scenario
def test_a_process_paused_at_each_step_while_another_runs_leaves_one_whole_folder(
    processes: Stage, scenario: Scenario
) -> None:
    pair = Pair(processes, scenario)
    pauses = list(itertools.takewhile(lambda pause: pair.run(pause, None)[0], itertools.count()))
    assert len(pauses) >= 5


@pytest.mark.long
@each_scenario
def test_two_processes_paused_at_each_step_leave_one_whole_folder(
    processes: Stage, scenario: Scenario
) -> None:
    pair = Pair(processes, scenario)
    count, pause, other_pause, paused = 0, 0, 0, True
    while paused or other_pause:
        count += 1
        paused, other_paused = pair.run(pause, other_pause)
        pause, other_pause = (pause, other_pause + 1) if other_paused else (pause + 1, 0)
    assert count > 50


def random_tries(order: random.Random, folder: str, *, is_snapshot: bool) -> list[Try]:
    return [
        Try(folder, value, tuple(sorted(order.sample("1234", order.randint(1, 4)))), is_snapshot)
        for value in range(1, order.randint(2, WRITERS) + 1)
    ]


def run_in_random_order(stage: Stage, seed: int, *, is_snapshot: bool) -> None:
    """Let tries start, go on, fail and be killed in random order, and look after each step."""
    order = random.Random(seed)  # noqa: S311 - not for secrets
    folder = f"many/{uuid.uuid4().hex}"
    tries = random_tries(order, folder, is_snapshot=is_snapshot)
    watch = stage.watch(*tries)
    waiting = list(zip(stage.writers, tries, strict=False))
    running: list[Writer] = []
    while waiting or running:
        if waiting and order.random() < 1 / (1 + 3 * len(running)):
            writer, task = waiting.pop()
            running.append(writer.start(task))
        writer = order.choice(running)
        writer.step(order.choices(COMMANDS, weights=(60, 1, 1, 1))[0])
        watch.look()
        running = [item for item in running if item.waits_for is not None]
    # Whatever they left behind, the next run leaves exactly its own objects.
    last = Try(folder, 100, ("1", "2", "3", "4", "5"), is_snapshot)
    watch.tries[last.value] = last
    writer = stage.writers[0].start(last)
    watch.follow(writer)
    assert isinstance(writer.end, tuple)
    watch.check_clean()


@pytest.mark.parametrize("seeds", [range(20), pytest.param(range(20, 400), marks=pytest.mark.long)])
@pytest.mark.parametrize("is_snapshot", [False, True], ids=["series", "snapshot"])
def test_many_writers_in_random_order_leave_a_whole_folder(
    threads: Stage, seeds: range, *, is_snapshot: bool
) -> None:
    for seed in seeds:
        try:
            run_in_random_order(threads, seed, is_snapshot=is_snapshot)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
