"""The sensor: one class, three modes, and the same answer in each of them."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import threading
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    TaskDeferred,
)
from run_operator import CONN_ID, connect, through_json

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime.now(UTC)
MODES = ("poke", "reschedule", "deferrable")
INTERVAL = 0.3


@pytest.fixture
def world() -> World:
    return World(now=NOW)


@pytest.fixture
def api(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Simulator]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture
def tweets(world: World) -> list[str]:
    return [str(i) for i in world.tweets("acme", 30, since=NOW - timedelta(hours=5), until=NOW)]


def sensor(mode: str, tweet_ids: Any, **given: Any) -> EngagementThresholdSensor:
    return EngagementThresholdSensor(
        task_id="wait",
        tweet_ids=tweet_ids,
        engagement_conn_id=CONN_ID,
        mode="poke" if mode == "deferrable" else mode,
        deferrable=mode == "deferrable",
        **{"poke_interval": INTERVAL, "timeout": 20, **given},
    )


def outcome(task: EngagementThresholdSensor) -> Any:
    """Do with a sensor what Airflow does, and give what it returns or raises."""
    try:
        result = _executed(task)
    except (AirflowFailException, AirflowSensorTimeout, AirflowSkipException) as error:
        return type(error)
    return through_json(result)


def _executed(task: EngagementThresholdSensor) -> Any:
    began = datetime.now(UTC)
    # What Airflow 3 asks the task instance, and 2.11 the database.
    instance = SimpleNamespace(
        get_first_reschedule_date=lambda _: began,
        max_tries=0,
        dag_id="a_dag",
        task_id=task.task_id,
        run_id="a_run",
        map_index=-1,
    )
    context: Any = {"ti": instance, "task": task}
    task.render_template_fields(context)
    while True:
        try:
            return task.execute(context)
        except TaskDeferred as deferred:
            return _resumed(task, deferred, context)
        except Exception as error:
            if type(error).__name__ != "AirflowRescheduleException":
                raise
            time.sleep(task.poke_interval)


def _resumed(task: EngagementThresholdSensor, deferred: TaskDeferred, context: Any) -> Any:
    path, kwargs = deferred.trigger.serialize()
    module, _, name = path.rpartition(".")
    trigger = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert deferred.timeout is not None

    async def fired() -> Any:
        async with asyncio.timeout(deferred.timeout.total_seconds()):
            return await anext(event.payload async for event in trigger.run())

    try:
        payload = asyncio.run(fired())
    except TimeoutError:
        return task.resume_execution("__fail__", {"error": TIMED_OUT}, context)
    method = deferred.method_name
    return task.resume_execution(method, {"event": json.loads(json.dumps(payload))}, context)


def _timed_out() -> Any:
    """Give what this Airflow says of a task that was deferred for too long."""
    try:
        from airflow.sdk.execution_time.task_runner import TriggerFailureReason
    except ImportError:
        try:
            from airflow.models.trigger import TriggerFailureReason
        except ImportError:
            return "Trigger/execution timeout"
    return TriggerFailureReason.TRIGGER_TIMEOUT


TIMED_OUT = _timed_out()


@pytest.fixture(autouse=True)
def _no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow 2.11 not look up when a rescheduled task began: each test begins anew."""
    module = importlib.import_module(BaseSensorOperator.__module__)
    if hasattr(module, "_orig_start_date"):
        began = datetime.now(UTC)
        monkeypatch.setattr(module, "_orig_start_date", lambda **_: began)


def crossing_later(world: World, tweets: list[str]) -> dict[str, Any]:
    return {"thresholds": {"favorites": max(world.count(i, "favorites") for i in tweets) + 1}}


def met_at_once(*_: object) -> dict[str, Any]:
    return {"thresholds": {"favorites": 0, "engagements/impressions": "> 0.01"}, "require": 30}


def summed(world: World, tweets: list[str]) -> dict[str, Any]:
    now = sum(world.count(i, "replies") for i in tweets)
    return {"thresholds": {"replies": f"> {now}"}, "require": "sum"}


def of_the_last_hours(*_: object) -> dict[str, Any]:
    return {"thresholds": {"url_clicks": 1}, "endpoint": "28hr", "match": "all"}


def gone(world: World, tweets: list[str]) -> dict[str, Any]:
    world.deleted.update(tweets[:20])
    return {"thresholds": {"favorites": 10**9}, "require": 11}


def foreign(world: World, tweets: list[str]) -> dict[str, Any]:
    world.foreign.update(tweets)
    return {"thresholds": {"impressions": 10**9}, "require": "any"}


def gone_and_skipped(world: World, tweets: list[str]) -> dict[str, Any]:
    return {**gone(world, tweets), "soft_fail": True}


def too_late(*_: object) -> dict[str, Any]:
    return {"thresholds": {"favorites": 10**9}, "timeout": 0.5}


def too_late_and_skipped(*_: object) -> dict[str, Any]:
    return {**too_late(), "soft_fail": True}


def misspelt(*_: object) -> dict[str, Any]:
    return {"thresholds": {"likes": 1}}


def never_there(*_: object) -> dict[str, Any]:
    return {"thresholds": "{{ '{\"favorites\": 1}' }}", "tweet_ids": "file:///nowhere/ids"}


HISTORIES = {
    crossing_later: dict,
    met_at_once: dict,
    summed: dict,
    of_the_last_hours: dict,
    gone: AirflowFailException,
    foreign: AirflowFailException,
    gone_and_skipped: AirflowSkipException,
    too_late: AirflowSensorTimeout,
    too_late_and_skipped: AirflowSkipException,
    misspelt: AirflowFailException,
    never_there: AirflowFailException,
}


@pytest.mark.parametrize("history", HISTORIES, ids=lambda one: one.__name__)
def test_each_mode_gives_the_same_answer(
    world: World, api: Simulator, tweets: list[str], history: Any
) -> None:
    found = []
    for mode in MODES:
        world.freeze(NOW)
        given = {"tweet_ids": tweets, **history(world, tweets)}
        if history in {crossing_later, summed}:
            seen = len(api.requests)
            _later(world, api, seen + 2)
        found.append(outcome(sensor(mode, given.pop("tweet_ids"), **given)))
    expected = HISTORIES[history]
    for one in found:
        assert one is expected if expected is not dict else isinstance(one, dict)
    if expected is dict:
        told = [_without_moments(one) for one in found]
        assert told[0] == told[1] == told[2]
        assert told[0]["crossings"]
        assert len(json.dumps(found[0])) < 10_000


def _later(world: World, api: Simulator, requests: int) -> None:
    """Let the Tweets grow once so many requests have been answered."""

    def grow() -> None:
        while len(api.requests) < requests:
            time.sleep(0.01)
        world.freeze(NOW + timedelta(days=3))

    threading.Thread(target=grow, daemon=True).start()


def _without_moments(result: dict[str, Any]) -> dict[str, Any]:
    for crossing in result["crossings"]:
        crossing.pop("seen_at")
    return result


@pytest.mark.usefixtures("api")
def test_it_returns_the_counts_seen(world: World, tweets: list[str]) -> None:
    result = outcome(sensor("poke", tweets[:1], thresholds={"engagements/impressions": 0}))
    (crossing,) = result["crossings"]
    counts = {name: world.count(tweets[0], name) for name in ("engagements", "impressions")}
    assert crossing["counts"] == counts
    assert crossing["value"] == pytest.approx(counts["engagements"] / counts["impressions"])
    assert result["crossed"] == result["needed"] == 1


@pytest.mark.parametrize("mode", MODES)
def test_an_outage_is_waited_out(
    world: World, api: Simulator, tweets: list[str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_engagement.api.retry import RetryPolicy

    monkeypatch.setattr(
        "airflow_provider_engagement.api.client.RetryPolicy", lambda: RetryPolicy(0.0, 0.001, 0.01)
    )
    api.stop()
    port = int(json.loads(_connection())["host"].rpartition(":")[2])
    again = Simulator(world, port=port)

    def back() -> None:
        time.sleep(2.5 * INTERVAL)
        again.start()

    threading.Thread(target=back, daemon=True).start()
    try:
        assert outcome(sensor(mode, tweets, thresholds={"favorites": 0}))["crossed"] == 30
    finally:
        again.stop()


def _connection() -> str:
    return os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"]


def test_whether_it_defers_follows_airflows_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_engagement.sensors import engagement

    for setting in (True, False):
        monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", str(setting))
        fresh = importlib.reload(engagement).EngagementThresholdSensor
        task = fresh(task_id="wait", tweet_ids=["1"], thresholds={"favorites": 1})
        assert task.deferrable is setting


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"match": "some"}, "match is 'some'; it must be one of: 'any', 'all'"),
        ({"endpoint": "historical"}, "endpoint is 'historical'; it must be one of: 'totals'"),
        ({"tweet_ids": []}, "tweet_ids is an empty list"),
    ],
)
def test_what_no_template_can_mend_is_refused_when_the_dag_is_parsed(
    given: dict[str, Any], words: str
) -> None:
    given = {"tweet_ids": ["1"], "thresholds": {"favorites": 1}, **given}
    with pytest.raises(InvalidArgumentError, match=words):
        EngagementThresholdSensor(task_id="wait", **given)


def test_what_is_templated_is_kept_as_it_was_given() -> None:
    given: dict[str, Any] = {
        "tweet_ids": "{{ ids }}",
        "thresholds": {"favorites": "{{ likes }}"},
        "require": "{{ number }}",
        "engagement_conn_id": "{{ connection }}",
    }
    task = EngagementThresholdSensor(task_id="wait", **given)
    assert set(given) == set(task.template_fields)
    for name, value in given.items():
        assert getattr(task, name) is value
