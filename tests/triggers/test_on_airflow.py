"""A real scheduler and triggerer: what crosses while they run, stop and are killed is acted on."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from services import Airflow

from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not pytest.importorskip("airflow.triggers.base").__dict__.get("BaseEventTrigger"),
        reason="this Airflow has no asset watchers",
    ),
]

BEGIN = datetime.now(UTC).replace(microsecond=0)
ON_EVENT, WAITING = "engagement_on_event", "engagement_threshold"
LIKES = 100


class Scene:
    """Tweets, three groups of which pass 100 likes one after the other with the simulated clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        made = world.tweets("acme", 4000, since=BEGIN - timedelta(hours=2), until=BEGIN)
        self.moments = [BEGIN + timedelta(hours=hours) for hours in (0, 8, 24, 120)]
        first = [
            next((n for n, at in enumerate(self.moments) if self._likes(i, at) >= LIKES), None)
            for i in made
        ]
        wanted = {1: 50, 2: 5, 3: 5}
        self.groups = {
            n: [i for i, when in zip(made, first, strict=True) if when == n][:count]
            for n, count in wanted.items()
        }
        assert {n: len(ids) for n, ids in self.groups.items()} == wanted
        self.existing = next(i for i, when in zip(made, first, strict=True) if when == 0)

    def _likes(self, tweet_id: str, at: datetime) -> int:
        self.world.freeze(at)
        return self.world.count(tweet_id, "favorites")

    def all_ids(self) -> list[str]:
        return [self.existing, *(item for ids in self.groups.values() for item in ids)]

    def pass_to(self, group: int) -> None:
        self.world.freeze(self.moments[group])


@pytest.fixture
def scene() -> Scene:
    return Scene(World(seed=7, accounts=("acme",)))


@pytest.fixture
def api(scene: Scene) -> Iterator[Simulator]:
    scene.pass_to(0)
    with Simulator(scene.world) as simulator:
        yield simulator


@pytest.fixture
def airflow(tmp_path: Path, scene: Scene, api: Simulator) -> Iterator[Airflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    for name, poll in ((ON_EVENT, "POLL_INTERVAL = 60.0"), (WAITING, "poke_interval=60")):
        copied = dags / f"{name}.py"
        shutil.copy(ROOT / "example_dags" / copied.name, copied)
        text = copied.read_text()
        assert poll in text
        copied.write_text(text.replace(poll, poll.replace("60", "3")))
    ids = tmp_path / "ids.txt"
    ids.write_text("\n".join(scene.all_ids()))
    settings = {
        "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(api.connection("acme")),
        "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": json.dumps(scene.groups[1]),
        "ENGAGEMENT_TWEET_IDS": f"file://{ids}",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
        # The next triggerer takes up what a killed one held.
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
    }
    with Airflow(tmp_path, dags, settings) as parts:
        pool = {"name": "engagement_api", "slots": 4, "include_deferred": True}
        parts.call("POST", "pools", pool)
        yield parts


def reported(airflow: Airflow) -> list[dict[str, Any]]:
    """Give the payload of each asset event, the oldest first.

    From the database: Airflow 3.3.2's API fails on an event whose run has not begun.
    """
    with closing(sqlite3.connect(f"file:{airflow.database}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT extra FROM asset_event ORDER BY id").fetchall()
    return [json.loads(extra)["payload"] for (extra,) in rows]


def crossed(events: list[dict[str, Any]]) -> Counter[str]:
    return Counter(one["tweet_id"] for event in events for one in event["crossings"])


def runs(airflow: Airflow, dag: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = airflow.call("GET", f"dags/{dag}/dagRuns")["dag_runs"]
    return found


def acted_on(airflow: Airflow) -> set[str]:
    """Give the Tweets that the DAG's runs have collected."""
    found: set[str] = set()
    for run in runs(airflow, ON_EVENT):
        path = f"dags/{ON_EVENT}/dagRuns/{run['dag_run_id']}/taskInstances/crossings"
        if airflow.call("GET", path)["state"] == "success":
            value = airflow.call("GET", f"{path}/xcomEntries/return_value?deserialize=true")
            rows = value["value"]
            rows = json.loads(rows) if isinstance(rows, str) else rows
            found |= {row["tweet_id"] for row in rows}
    return found


def polled(airflow: Airflow, api: Simulator, times: int = 2) -> None:
    """Wait for some more polls."""
    before = len(api.requests)
    airflow.wait(lambda: len(api.requests) >= before + times)


def test_what_crosses_is_acted_on(airflow: Airflow, api: Simulator, scene: Scene) -> None:
    for dag in (ON_EVENT, WAITING):
        airflow.wait(lambda dag=dag: airflow.call("GET", f"dags?dag_id_pattern={dag}")["dags"])
        airflow.call("PATCH", f"dags/{dag}", {"is_paused": False})
    airflow.call("POST", f"dags/{WAITING}/dagRuns", {"logical_date": None})
    (run,) = runs(airflow, WAITING)
    sensor = f"dags/{WAITING}/dagRuns/{run['dag_run_id']}/taskInstances/wait_for_likes"
    airflow.wait(lambda: airflow.call("GET", sensor)["state"] == "deferred")
    (asset,) = airflow.wait(lambda: airflow.call("GET", "assets")["assets"])
    airflow.wait(lambda: airflow.call("GET", f"assets/{asset['id']}/state-store")["total_entries"])
    assert reported(airflow) == []

    scene.pass_to(1)
    airflow.wait(lambda: reported(airflow))
    polled(airflow, api)
    (event,) = reported(airflow)
    assert crossed([event]) == Counter(scene.groups[1])
    airflow.wait(lambda: runs(airflow, WAITING)[0]["state"] == "success", 120)
    airflow.wait(lambda: acted_on(airflow) == set(scene.groups[1]))
    time.sleep(3)  # until what was stored is put down

    airflow.stop("triggerer")
    scene.pass_to(2)
    airflow.start("triggerer")
    airflow.wait(lambda: len(reported(airflow)) > 1)
    polled(airflow, api)
    assert crossed(reported(airflow)) == Counter(scene.groups[1] + scene.groups[2])
    time.sleep(3)

    scene.pass_to(3)
    polled(airflow, api, 1)
    airflow.kill("triggerer")
    airflow.start("triggerer")
    wanted = {item for ids in scene.groups.values() for item in ids}
    airflow.wait(lambda: set(crossed(reported(airflow))) == wanted)
    polled(airflow, api, 3)
    airflow.wait(lambda: acted_on(airflow) == wanted, 120)

    events = reported(airflow)
    repeated = {event["event_id"]: event for event in events}
    assert crossed(list(repeated.values())) == Counter(wanted), "a crossing has two events' ids"
    print(  # noqa: T201 - a figure that is asked for
        f"{len(events)} events for {len(wanted)} crossings, "
        f"{len(events) - len(repeated)} of them repeated after the kill"
    )
