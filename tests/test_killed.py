"""Pulls in Airflow whose process is killed, or whose service refuses, limits or fails."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import sys
from collections import Counter
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fault_injection import (
    DAY,
    IN_FLIGHT,
    NOW,
    OWNERS,
    REQUESTS,
    TWEETS,
    KillTarget,
    Scenario,
    after_responses,
    at_progress,
    check_written_counts,
    count_repeated_requests,
    kill_all,
    while_deleting_checkpoints,
    while_writing_rows,
)
from services import Airflow

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.compat import HAS_RETRY_POLICIES
from airflow_provider_engagement.simulator import Faults, Simulator, World
from tools.clients import BigQuery, Gcs
from tools.env import ROOT
from tools.process import Process
from tools.services import google_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fault_injection import KillCondition

needs_policies = pytest.mark.skipif(
    not HAS_RETRY_POLICIES, reason="this Airflow has no retry policies"
)

FAILING = ("throttled", "refused", "broken")
# Seconds of the limited service's minute: longer than a task waits by itself.
MINUTE = 840
# How often a task of these DAGs sends a request before it fails.
ATTEMPTS = 1
RESUMED = "Resuming: earlier tries have finished|An earlier try has written all rows"
SEED, ROUNDS = 4, 20


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Simulator]]:
    """Run a service for each kind of connection, by the kind's name."""
    world = World(seed=41, accounts=tuple(OWNERS.values()), now=NOW)
    well = Simulator(world, latency=0.02, keep=50_000)
    throttled = Simulator(world, requests_per_minute=0, minute=MINUTE)
    fails = Faults(script=("503",) * ATTEMPTS)
    with ExitStack() as stack:
        made = {"well": well, "refused": well, "throttled": throttled}
        made |= {f"broken_{place}": Simulator(world, faults=fails) for place in range(3)}
        for service in set(made.values()):
            stack.enter_context(service)
        yield made


@pytest.fixture(scope="module")
def scenario(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    services: dict[str, Simulator],
) -> Scenario:
    gcs = Gcs(
        request.getfixturevalue("_gcs_emulator").url,
        request.getfixturevalue("emulated") / "store",
    )
    bigquery = BigQuery(request.getfixturevalue("_bigquery_emulator").url)
    service, folder = services["well"], tmp_path_factory.mktemp("killed")
    made = {"since": NOW - 360 * DAY, "until": NOW - 310 * DAY}
    ids = {t: service.world.tweets(owner, TWEETS[t], **made) for t, owner in OWNERS.items()}
    for task, owner in OWNERS.items():
        (folder / f"{owner}.txt").write_text("\n".join(ids[task]))
    (folder / "few.txt").write_text("\n".join(ids["to_gcs"][:3]))
    (folder / "dags").mkdir()
    shutil.copy(ROOT / "tests" / "killed_dags.py", folder / "dags")
    return Scenario(service, gcs, bigquery, bigquery.make_dataset(), folder, ids)


@pytest.fixture(scope="module")
def settings(scenario: Scenario, services: dict[str, Simulator]) -> dict[str, str]:
    made = {owner: services["well"].connection(owner) for owner in OWNERS.values()}
    for place in range(3):
        for kind in FAILING:
            service = services.get(f"{kind}_{place}") or services[kind]
            made[f"{kind}_{place}"] = service.connection("acme")
        made[f"refused_{place}"]["extra"]["access_token_secret"] = "not-the-right-one"
    return {
        **google_environment(bigquery=scenario.bigquery.url, gcs=scenario.gcs.url),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(held) for name, held in made.items()},
        "AIRFLOW__CORE__DAGS_FOLDER": str(scenario.folder / "dags"),
        "AIRFLOW__CORE__PARALLELISM": "8",
        "KILLED_FOLDER": str(scenario.folder),
        "TMPDIR": str(scenario.folder),
    }


@pytest.fixture(scope="module")
def airflow(scenario: Scenario, settings: dict[str, str]) -> Iterator[Airflow]:
    parts = ("api-server", "scheduler", "dag-processor")
    with Airflow(scenario.folder, scenario.folder / "dags", settings, parts) as airflow:
        wanted = {"killed", *FAILING}
        airflow.wait(lambda: {d["dag_id"] for d in airflow.call("GET", "dags")["dags"]} >= wanted)
        for dag in wanted:
            airflow.call("PATCH", f"dags/{dag}", {"is_paused": False})
        # These runs are slow, so they start before the other tests.
        for dag in FAILING:
            start_run(airflow, dag, "only", {})
        yield airflow


def start_run(airflow: Airflow, dag: str, run: str, conf: dict[str, str]) -> None:
    body = {"logical_date": None, "dag_run_id": run, "conf": conf}
    airflow.call("POST", f"dags/{dag}/dagRuns", body)


def tasks(airflow: Airflow, dag: str, run: str = "only") -> list[dict[str, Any]]:
    path = f"dags/{dag}/dagRuns/{run}/taskInstances"
    found: list[dict[str, Any]] = airflow.call("GET", path)["task_instances"]
    return found


# ---- Killed ------------------------------------------------------------------------------------


def run_rounds(
    airflow: Airflow, scenario: Scenario, targets: Sequence[KillTarget]
) -> dict[tuple[int, str], Any]:
    """Run the rounds of some targets, kill these, and return the task instances at the end."""
    numbers = sorted({target.number for target in targets})
    for number in numbers:
        start_run(airflow, "killed", f"round-{number}", scenario.prepare(number))
    kill_all(targets, within=180, check=airflow.check)

    def ended() -> dict[tuple[int, str], Any]:
        found = [(n, task) for n in numbers for task in tasks(airflow, "killed", f"round-{n}")]
        assert not [task for _, task in found if task["state"] == "failed"]
        is_over = all(task["state"] == "success" for _, task in found)
        return {(n, task["task_id"]): task for n, task in found} if is_over else {}

    outcomes: dict[tuple[int, str], Any] = airflow.wait(ended, 240)
    return outcomes


def log_of(target: KillTarget, attempt: int) -> str:
    below = (
        target.scenario.folder / "airflow" / "logs" / "dag_id=killed" / f"run_id={target.run_id}"
    )
    return (below / f"task_id={target.task}" / f"attempt={attempt}.log").read_text()


CONDITIONS: dict[int, dict[str, KillCondition]] = {
    0: {"to_gcs": after_responses(30), "to_bigquery": after_responses(120)},
    1: {"to_gcs": while_writing_rows, "to_bigquery": while_writing_rows},
    2: {"to_gcs": while_deleting_checkpoints, "to_bigquery": while_deleting_checkpoints},
}


@needs_policies
def test_pull_killed_at_chosen_moments_writes_the_expected_counts(
    airflow: Airflow, scenario: Scenario
) -> None:
    targets = [
        KillTarget(scenario, number, task, condition)
        for number, conditions in CONDITIONS.items()
        for task, condition in conditions.items()
    ]
    outcomes = run_rounds(airflow, scenario, targets)
    for target in targets:
        assert target.was_killed
        assert outcomes[target.number, target.task]["try_number"] == 2
        check_written_counts(target)
        in_flight = IN_FLIGHT if target.number == 0 else 0
        assert count_repeated_requests(target) <= in_flight
        assert re.search(RESUMED, log_of(target, 2))


@needs_policies
@pytest.mark.long
def test_pull_killed_at_random_moments_writes_the_expected_counts(
    airflow: Airflow, scenario: Scenario
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    figures: Counter[str] = Counter({f"seed {SEED}": 1})
    for number in range(3, 3 + ROUNDS):
        points = {task: chance.uniform(0, 1.25) for task in OWNERS}
        targets = [
            KillTarget(scenario, number, task, at_progress(point)) for task, point in points.items()
        ]
        outcomes = run_rounds(airflow, scenario, targets)
        for target in targets:
            check_written_counts(target)
            repeated, tries = (
                count_repeated_requests(target),
                outcomes[number, target.task]["try_number"],
            )
            # A kill after Airflow has recorded the success changes nothing.
            assert tries == 1 or (tries == 2 and target.was_killed)
            # Checkpoints are deleted shortly before Airflow records the success.
            unrecorded = tries == 2 and '"Done: ' in log_of(target, 1)
            assert repeated <= (REQUESTS if unrecorded else IN_FLIGHT * (tries - 1))
            figures["killed"] += tries == 2
            figures["killed after the last write"] += unrecorded
            figures["requests answered twice"] += repeated
    print(figures)  # noqa: T201 - figures of the report
    assert figures["killed"] > ROUNDS


@pytest.mark.skipif(HAS_RETRY_POLICIES, reason="on Airflow 3 `dags test` makes a new run id")
@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize(
    ("number", "task", "condition"),
    [(26, "to_gcs", after_responses(120)), (27, "to_bigquery", while_writing_rows)],
    ids=["while it requests", "while it writes"],
)
def test_next_process_resumes_from_the_checkpoints_of_a_killed_one(
    scenario: Scenario, settings: dict[str, str], number: int, task: str, condition: KillCondition
) -> None:
    other = next(name for name in OWNERS if name != task)
    options = ("--conf", json.dumps(scenario.prepare(number)), "--mark-success-pattern", other)
    command = [sys.executable, "-m", "airflow", "dags", "test", "killed", "2026-01-01", *options]
    target = KillTarget(scenario, number, task, condition, "manual__2026-01-01T00:00:00+00:00")

    def run() -> Process:
        log = scenario.folder / f"{number}.log"
        return Process(command, log, {**os.environ, **settings})

    with run() as first:
        kill_all([target], within=120, check=lambda: check_runs(first))
        first.wait_for(lambda: first.exit_code is not None or None)
    with run() as second:
        second.finish(240)
    check_written_counts(target)
    assert count_repeated_requests(target) <= IN_FLIGHT
    assert re.search(RESUMED, second.log.read_text())


def check_runs(process: Process) -> None:
    assert process.exit_code is None, process.tail(40)


# ---- Limited, refused, failing -------------------------------------------------------------------


def ended(airflow: Airflow, dag: str, states: set[str]) -> list[dict[str, Any]]:
    """Wait until the three tasks of a run (one alone, two mapped) are in one of these states."""

    def found() -> list[dict[str, Any]]:
        seen = tasks(airflow, dag)
        assert [task["map_index"] for task in seen if task["task_id"] == "alone"] == [-1]
        assert sorted(t["map_index"] for t in seen if t["task_id"] == "mapped") in ([-1], [0, 1])
        return seen if len(seen) == 3 and {task["state"] for task in seen} <= states else []

    those: list[dict[str, Any]] = airflow.wait(found, 180)
    return those


@needs_policies
def test_passing_fault_is_retried_by_default(
    airflow: Airflow, services: dict[str, Simulator]
) -> None:
    for task in ended(airflow, "broken", {"success", "failed"}):
        assert (task["state"], task["try_number"], task["max_tries"]) == ("success", 2, 3)
    for place in range(3):
        statuses = [request.status for request in services[f"broken_{place}"].requests]
        assert statuses == [503] * ATTEMPTS + [200]


@needs_policies
def test_permanent_fault_is_not_retried(airflow: Airflow, services: dict[str, Simulator]) -> None:
    for task in ended(airflow, "refused", {"success", "failed"}):
        assert (task["state"], task["try_number"], task["max_tries"]) == ("failed", 1, 3)
    assert [request.status for request in services["well"].requests].count(401) == 3


@needs_policies
def test_rate_limited_task_frees_its_slot_until_the_limit_resets(
    airflow: Airflow, services: dict[str, Simulator]
) -> None:
    service = services["throttled"]
    bearer = service.connection("acme")["extra"]["bearer_token"]
    reply = requests.post(
        service.url + ENDPOINTS["totals"].path,
        json={},
        headers={"Authorization": f"Bearer {bearer}"},
        timeout=30,
    )
    resets_at = int(reply.headers["x-per-minute-reset"])

    waiting = ended(airflow, "throttled", {"up_for_retry"})
    last = max(datetime.fromisoformat(task["end_date"]) for task in waiting)

    def has_looked() -> bool:
        """Return whether the scheduler ran after the task's own `retry_delay`."""
        seen = airflow.call("GET", "monitor/health")["scheduler"]["latest_scheduler_heartbeat"]
        return datetime.fromisoformat(seen) > last + timedelta(seconds=2)

    airflow.wait(has_looked)
    with closing(sqlite3.connect(f"file:{airflow.database}?mode=ro", uri=True)) as database:
        found = database.execute(
            "SELECT state, try_number, end_date, retry_delay_override FROM task_instance "
            "WHERE dag_id = 'throttled'"
        ).fetchall()
    assert len(found) == 3
    for state, try_number, end_date, delay in found:
        assert (state, try_number) == ("up_for_retry", 1)
        ended_at = datetime.fromisoformat(end_date).replace(tzinfo=UTC)
        assert ended_at.timestamp() + delay >= resets_at
    # At most one request each, because tasks of one machine share what one of them learns.
    assert len(service.requests) <= 1 + 3
