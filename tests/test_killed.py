"""Pulls that are killed, throttled, refused or let down, and what Airflow makes of it."""

from __future__ import annotations

import json
import os
import random
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
    Stage,
    Victim,
    after,
    answered_again,
    at_point,
    check_landed,
    kill_all,
    once_landed,
    while_landing,
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

    from fault_injection import ReportingPeriod

needs_policies = pytest.mark.skipif(
    not HAS_RETRY_POLICIES, reason="this Airflow has no retry policies, and no such parts"
)

FAILING = ("throttled", "refused", "broken")
# Of the throttled service: longer than a task waits by itself.
MINUTE = 840
# As often as the DAGs' tasks try a request by themselves.
ATTEMPTS = 3
SEED, ROUNDS = 4, 20


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, Simulator]]:
    """Run the service as each connection finds it, by a part of the connection's name."""
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
def stage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    services: dict[str, Simulator],
) -> Stage:
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
    return Stage(service, gcs, bigquery, bigquery.make_dataset(), folder, ids)


@pytest.fixture(scope="module")
def settings(stage: Stage, services: dict[str, Simulator]) -> dict[str, str]:
    made = {owner: services["well"].connection(owner) for owner in OWNERS.values()}
    for place in range(3):
        for kind in FAILING:
            service = services.get(f"{kind}_{place}") or services[kind]
            made[f"{kind}_{place}"] = service.connection("acme")
        made[f"refused_{place}"]["extra"]["access_token_secret"] = "not-the-right-one"
    return {
        **google_environment(bigquery=stage.bigquery.url, gcs=stage.gcs.url),
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(held) for name, held in made.items()},
        "AIRFLOW__CORE__DAGS_FOLDER": str(stage.folder / "dags"),
        "AIRFLOW__CORE__PARALLELISM": "8",
        "KILLED_FOLDER": str(stage.folder),
        "TMPDIR": str(stage.folder),
    }


@pytest.fixture(scope="module")
def airflow(stage: Stage, settings: dict[str, str]) -> Iterator[Airflow]:
    parts = ("api-server", "scheduler", "dag-processor")
    with Airflow(stage.folder, stage.folder / "dags", settings, parts) as airflow:
        wanted = {"killed", *FAILING}
        airflow.wait(lambda: {d["dag_id"] for d in airflow.call("GET", "dags")["dags"]} >= wanted)
        for dag in wanted:
            airflow.call("PATCH", f"dags/{dag}", {"is_paused": False})
        # They take their time, in which others can be killed.
        for dag in FAILING:
            begin(airflow, dag, "only", {})
        yield airflow


def begin(airflow: Airflow, dag: str, run: str, conf: dict[str, str]) -> None:
    body = {"logical_date": None, "dag_run_id": run, "conf": conf}
    airflow.call("POST", f"dags/{dag}/dagRuns", body)


def tasks(airflow: Airflow, dag: str, run: str = "only") -> list[dict[str, Any]]:
    path = f"dags/{dag}/dagRuns/{run}/taskInstances"
    found: list[dict[str, Any]] = airflow.call("GET", path)["task_instances"]
    return found


# ---- Killed ------------------------------------------------------------------------------------


def play(airflow: Airflow, stage: Stage, victims: Sequence[Victim]) -> dict[tuple[int, str], Any]:
    """Play the victims' rounds, and give what has become of each task."""
    numbers = sorted({victim.number for victim in victims})
    for number in numbers:
        begin(airflow, "killed", f"round-{number}", stage.prepare(number))
    kill_all(victims, within=180, check=airflow.check)

    def ended() -> dict[tuple[int, str], Any]:
        found = [(n, task) for n in numbers for task in tasks(airflow, "killed", f"round-{n}")]
        assert not [task for _, task in found if task["state"] == "failed"]
        is_over = all(task["state"] == "success" for _, task in found)
        return {(n, task["task_id"]): task for n, task in found} if is_over else {}

    became: dict[tuple[int, str], Any] = airflow.wait(ended, 240)
    return became


def log_of(victim: Victim, attempt: int) -> str:
    below = victim.stage.folder / "airflow" / "logs" / "dag_id=killed" / f"run_id={victim.run_id}"
    return (below / f"task_id={victim.task}" / f"attempt={attempt}.log").read_text()


MOMENTS: dict[int, dict[str, ReportingPeriod]] = {
    0: {"to_gcs": after(30), "to_bigquery": after(120)},
    1: {"to_gcs": while_landing, "to_bigquery": while_landing},
    2: {"to_gcs": once_landed, "to_bigquery": once_landed},
}


@needs_policies
def test_pull_killed_at_chosen_moments_writes_the_expected_counts(
    airflow: Airflow, stage: Stage
) -> None:
    victims = [
        Victim(stage, number, task, moment)
        for number, moments in MOMENTS.items()
        for task, moment in moments.items()
    ]
    became = play(airflow, stage, victims)
    for victim in victims:
        assert victim.was_killed
        assert became[victim.number, victim.task]["try_number"] == 2
        check_landed(victim)
        in_flight = IN_FLIGHT if victim.number == 0 else 0
        assert answered_again(victim) <= in_flight
        assert "An earlier try has l" in log_of(victim, 2)


@needs_policies
@pytest.mark.long
def test_pull_killed_at_random_moments_writes_the_expected_counts(
    airflow: Airflow, stage: Stage
) -> None:
    chance = random.Random(SEED)  # noqa: S311 - no secret
    told: Counter[str] = Counter({f"seed {SEED}": 1})
    for number in range(3, 3 + ROUNDS):
        points = {task: chance.uniform(0, 1.25) for task in OWNERS}
        victims = [Victim(stage, number, task, at_point(point)) for task, point in points.items()]
        became = play(airflow, stage, victims)
        for victim in victims:
            check_landed(victim)
            again, tries = answered_again(victim), became[number, victim.task]["try_number"]
            # On its way out, when Airflow has heard that it is done, a kill changes nothing.
            assert tries == 1 or (tries == 2 and victim.was_killed)
            # Its pieces are gone when a pull is over, which Airflow hears a little later.
            unheard = tries == 2 and '"Done: ' in log_of(victim, 1)
            assert again <= (REQUESTS if unheard else IN_FLIGHT * (tries - 1))
            told["killed"] += tries == 2
            told["killed when all was over"] += unheard
            told["requests answered twice"] += again
    print(told)  # noqa: T201 - figures that are asked for
    assert told["killed"] > ROUNDS


@pytest.mark.skipif(HAS_RETRY_POLICIES, reason="here `dags test` runs it under another run's id")
@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize(
    ("number", "task", "moment"),
    [(26, "to_gcs", after(120)), (27, "to_bigquery", while_landing)],
    ids=["while it asks", "while it lands"],
)
def test_next_process_resumes_from_the_checkpoints_of_a_killed_one(
    stage: Stage, settings: dict[str, str], number: int, task: str, moment: ReportingPeriod
) -> None:
    other = next(name for name in OWNERS if name != task)
    options = ("--conf", json.dumps(stage.prepare(number)), "--mark-success-pattern", other)
    command = [sys.executable, "-m", "airflow", "dags", "test", "killed", "2026-01-01", *options]
    victim = Victim(stage, number, task, moment, "manual__2026-01-01T00:00:00+00:00")

    def run() -> Process:
        log = stage.folder / f"{number}.log"
        return Process(command, log, {**os.environ, **settings})

    with run() as first:
        kill_all([victim], within=120, check=lambda: alive(first))
        first.wait_for(lambda: first.exit_code is not None or None)
    with run() as second:
        second.finish(240)
    check_landed(victim)
    assert answered_again(victim) <= IN_FLIGHT
    assert "An earlier try has left" in second.log.read_text()


def alive(process: Process) -> None:
    assert process.exit_code is None, process.tail(40)


# ---- Throttled, refused, let down ----------------------------------------------------------------


def ended(airflow: Airflow, dag: str, states: set[str]) -> list[dict[str, Any]]:
    """Wait until all tasks of a run are in one of these states: one alone, and two mapped."""

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
    said = int(reply.headers["x-per-minute-reset"])

    waiting = ended(airflow, "throttled", {"up_for_retry"})
    last = max(datetime.fromisoformat(task["end_date"]) for task in waiting)

    def has_looked() -> bool:
        """Tell whether the scheduler has looked after what the task's `retry_delay` says."""
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
        assert ended_at.timestamp() + delay >= said
    # Each asked once, at most: who hears of it from another does not ask.
    assert len(service.requests) <= 1 + 3
