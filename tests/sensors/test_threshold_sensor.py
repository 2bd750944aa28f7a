"""The sensor: one class, three modes, and the same result in each of them."""

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

import numpy as np
import pytest
from airflow.providers.common.compat.sdk import (
    AirflowException,
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
    from collections.abc import Callable, Iterator
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
        mode="poke" if mode == "deferrable" else mode,
        deferrable=mode == "deferrable",
        **{"engagement_conn_id": CONN_ID, "poke_interval": INTERVAL, "timeout": 20, **given},
    )


def outcome(task: EngagementThresholdSensor) -> Any:
    """Run a sensor as Airflow does, and return what it returns, or the class of what it raises."""
    try:
        result = _executed(task)
    except AirflowException as error:
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
    """Return the error with which this Airflow resumes a task that was deferred for too long."""
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
    """Keep Airflow 2.11 from looking up in its database when a rescheduled task began."""
    module = importlib.import_module(BaseSensorOperator.__module__)
    if hasattr(module, "_orig_start_date"):
        began = datetime.now(UTC)
        monkeypatch.setattr(module, "_orig_start_date", lambda **_: began)


def crossing_later(world: World, tweets: list[str]) -> dict[str, Any]:
    most = max(world.count(i, "impressions") for i in tweets)
    return {"thresholds": {"impressions": most + 1}}


def met_at_once(*_: object) -> dict[str, Any]:
    return {"thresholds": {"favorites": 0, "engagements/impressions": "> 0.01"}, "require": 30}


def summed(world: World, tweets: list[str]) -> dict[str, Any]:
    now = sum(world.count(i, "replies") for i in tweets)
    return {"thresholds": {"replies": f"> {now}"}, "require": "sum"}


def of_the_last_hours(*_: object) -> dict[str, Any]:
    return {"thresholds": {"url_clicks": 1}, "endpoint": "28hr", "match": "all"}


def deleted(world: World, tweets: list[str]) -> dict[str, Any]:
    world.deleted.update(tweets[:20])
    return {"thresholds": {"favorites": 10**9}, "require": 11}


def foreign(world: World, tweets: list[str]) -> dict[str, Any]:
    world.foreign.update(tweets)
    return {"thresholds": {"impressions": 10**9}, "require": "any"}


def deleted_and_skipped(world: World, tweets: list[str]) -> dict[str, Any]:
    return {**deleted(world, tweets), "soft_fail": True}


def too_late(*_: object) -> dict[str, Any]:
    return {"thresholds": {"favorites": 10**9}, "timeout": 0.5}


def too_late_and_skipped(*_: object) -> dict[str, Any]:
    return {**too_late(), "soft_fail": True}


def misspelt(*_: object) -> dict[str, Any]:
    return {"thresholds": {"likes": 1}}


def without_a_file(*_: object) -> dict[str, Any]:
    return {"thresholds": "{{ '{\"favorites\": 1}' }}", "tweet_ids": "file:///nowhere/ids"}


HISTORIES = {
    crossing_later: dict,
    met_at_once: dict,
    summed: dict,
    of_the_last_hours: dict,
    deleted: AirflowFailException,
    foreign: AirflowFailException,
    deleted_and_skipped: AirflowSkipException,
    too_late: AirflowSensorTimeout,
    too_late_and_skipped: AirflowSkipException,
    misspelt: AirflowFailException,
    without_a_file: AirflowFailException,
}


@pytest.mark.parametrize("history", HISTORIES, ids=lambda one: one.__name__)
def test_each_mode_has_the_same_result(
    world: World, api: Simulator, tweets: list[str], history: Any
) -> None:
    found = []
    for mode in MODES:
        world.freeze(NOW)
        given = {"tweet_ids": tweets, **history(world, tweets)}
        if history in {crossing_later, summed}:
            _grow_after(world, api, len(api.requests) + 2)
        found.append(outcome(sensor(mode, given.pop("tweet_ids"), **given)))
    expected = HISTORIES[history]
    for one in found:
        assert one is expected if expected is not dict else isinstance(one, dict)
    if expected is dict:
        results = [_without_times(one) for one in found]
        assert results[0] == results[1] == results[2]
        assert results[0]["crossings"]
        assert len(json.dumps(found[0])) < 10_000


FAULTS = {
    "a connection with wrong keys": {"engagement_conn_id": "wrong_keys"},
    "no connection": {"engagement_conn_id": "nowhere"},
    "an empty connection": {"engagement_conn_id": "empty"},
    "a misspelt metric": {"thresholds": {"likes": 1}},
    "a connection without the owner's tokens": {
        "engagement_conn_id": "public",
        "thresholds": {"impressions": 1},
    },
    "a wrong number": {"require": "{{ 'three' }}"},
    "no id": {"tweet_ids": "{{ 'abc' }}"},
    "no file": {"tweet_ids": "file:///nowhere/ids"},
}


@pytest.mark.usefixtures("airflow_home")  # Airflow 2.11 looks for connections in its database
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", FAULTS)
def test_soft_fail_does_not_skip_what_needs_a_change(
    api: Simulator, tweets: list[str], monkeypatch: pytest.MonkeyPatch, fault: str, mode: str
) -> None:
    connection = api.connection("acme")
    connect(monkeypatch, {**connection, "password": "wrong"}, "wrong_keys")
    connect(monkeypatch, {"conn_type": "engagement", "host": connection["host"]}, "empty")
    connect(monkeypatch, api.connection("acme", user_tokens=False), "public")
    given = {"tweet_ids": tweets, "thresholds": {"impressions": 10**9}, **FAULTS[fault]}
    found = outcome(sensor(mode, **given, soft_fail=True, timeout=3))
    if mode == "reschedule" and "connection" in fault:
        # A poke in another process may have succeeded before: Airflow's retries decide.
        assert found is AirflowException
    else:
        assert found is AirflowFailException


@pytest.mark.parametrize("mode", MODES)
def test_never_fail_skips_every_failure(api: Simulator, tweets: list[str], mode: str) -> None:
    task = sensor(mode, tweets, thresholds={"likes": 1}, never_fail=True)
    assert outcome(task) is AirflowSkipException
    assert not api.requests


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("mode", MODES)
def test_silent_fail_waits_out_every_failure(
    tweets: list[str], monkeypatch: pytest.MonkeyPatch, api: Simulator, mode: str
) -> None:
    connection = api.connection("acme")
    connect(monkeypatch, {**connection, "password": "wrong"}, CONN_ID)
    _later(lambda: bool(api.requests), lambda: connect(monkeypatch, connection, CONN_ID))
    found = outcome(sensor(mode, tweets, thresholds={"impressions": 0}, silent_fail=True))
    assert found["crossed"] == 30


def test_soft_fail_does_not_skip_a_trigger_that_failed(
    tweets: list[str], api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr("airflow_provider_engagement.thresholds.poll_loop.poll", broken)
    found = outcome(sensor("deferrable", tweets, thresholds={"favorites": 0}, soft_fail=True))
    assert found is AirflowException
    assert not api.requests
    task = sensor("deferrable", tweets, thresholds={"favorites": 0}, soft_fail=True)
    with pytest.raises(AirflowException, match="Trigger failure") as raised:
        task.resume_execution("__fail__", {"error": "Trigger failure"}, {})  # type: ignore[typeddict-item]  # not read
    assert not isinstance(raised.value, AirflowSkipException)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_connection_that_cannot_be_read_for_a_moment_is_waited_out(
    world: World, api: Simulator, tweets: list[str], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    def fault() -> None:
        monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        time.sleep(3 * INTERVAL)
        world.freeze(NOW + timedelta(days=3))
        connect(monkeypatch, api.connection("acme"))

    _later(lambda: len(api.requests) >= 2, fault)
    assert isinstance(outcome(sensor(mode, tweets, **crossing_later(world, tweets))), dict)


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_keys_that_are_refused_for_a_moment_are_waited_out(
    world: World, api: Simulator, tweets: list[str], monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    def fault() -> None:
        connection = api.connection("acme")
        connect(monkeypatch, {**connection, "password": "wrong"})
        before = len(api.requests)
        while not any(one.status == 401 for one in api.requests[before:]):
            time.sleep(0.01)
        world.freeze(NOW + timedelta(days=3))
        connect(monkeypatch, connection)

    _later(lambda: len(api.requests) >= 2, fault)
    assert isinstance(outcome(sensor(mode, tweets, **crossing_later(world, tweets))), dict)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("form", ["set", "rows", "objects", "numpy", "text", "numbers"])
def test_ids_are_read_as_upstream_tasks_return_them(
    world: World, api: Simulator, tweets: list[str], mode: str, form: str
) -> None:
    forms: dict[str, Any] = {
        "set": set(tweets),
        "rows": [[i] if n % 2 else (i,) for n, i in enumerate(tweets)],
        "objects": [{"id": i} for i in tweets],
        "numpy": np.array(tweets),
        "text": str(tweets),
        "numbers": [int(i) for i in tweets],
    }
    result = outcome(sensor(mode, forms[form], thresholds={"favorites": 0}))
    assert {one["tweet_id"] for one in result["crossings"]} == set(tweets)
    assert len(api.requests) == 1
    assert world.now() == NOW


@pytest.mark.parametrize("mode", MODES)
def test_the_ids_column_of_a_folder_of_tables_can_be_chosen(
    api: Simulator, tweets: list[str], tmp_path: Path, mode: str
) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for place, tweet_id in enumerate(tweets):
        (folder / f"{place}.csv").write_text(f"tweet_id,original\n1,{tweet_id}\n")
    task = sensor(mode, f"file://{folder}/", id_column="original", thresholds={"favorites": 0})
    assert {one["tweet_id"] for one in outcome(task)["crossings"]} == set(tweets)
    assert len(api.requests) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", ["None", "", None])
def test_a_template_without_a_value_means_the_default(
    api: Simulator, tweets: list[str], monkeypatch: pytest.MonkeyPatch, mode: str, text: Any
) -> None:
    connect(monkeypatch, api.connection("acme"), "engagement_default")
    given = {"require": text, "engagement_conn_id": text}
    assert outcome(sensor(mode, tweets, thresholds={"favorites": 0}, **given))["needed"] == 1


def test_a_deferred_sensor_backs_off(world: World, api: Simulator, tweets: list[str]) -> None:
    given = {"poke_interval": 0.1, "exponential_backoff": True, "timeout": 3}
    assert outcome(sensor("deferrable", tweets, **too_late() | given)) is AirflowSensorTimeout
    assert len(api.requests) <= 3
    before = len(api.requests)
    given |= {"max_wait": 0.2}
    assert outcome(sensor("deferrable", tweets, **too_late() | given)) is AirflowSensorTimeout
    assert len(api.requests) - before >= 5
    assert world.now() == NOW


def test_the_trigger_has_the_sensors_schedule(tweets: list[str], api: Simulator) -> None:
    given = {"poke_interval": 7, "exponential_backoff": True, "max_wait": timedelta(minutes=5)}
    task = sensor("deferrable", tweets, thresholds={"favorites": 1}, **given)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({})  # type: ignore[typeddict-item]  # not read
    schedule = deferred.value.trigger.schedule
    assert (schedule.interval, schedule.exponential_backoff, schedule.max_wait) == (7, True, 300)
    assert schedule.timeout == task.timeout == deferred.value.timeout.total_seconds()
    assert schedule.jitter_seed.startswith(f"{task.dag_id}#wait#")
    assert not api.requests


def _later(condition: Callable[[], bool], do: Callable[[], object]) -> None:
    """Do something in a thread once a condition holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.01)
        do()

    threading.Thread(target=wait, daemon=True).start()


def _grow_after(world: World, api: Simulator, requests: int) -> None:
    """Let the counts grow once so many requests have been answered."""
    _later(lambda: len(api.requests) >= requests, lambda: world.freeze(NOW + timedelta(days=3)))


def _without_times(result: dict[str, Any]) -> dict[str, Any]:
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
    from airflow_provider_engagement.api.client import RetryPolicy

    monkeypatch.setattr(
        "airflow_provider_engagement.api.client.RetryPolicy", lambda: RetryPolicy(0.0, 0.001, 0.01)
    )
    api.stop()
    port = int(json.loads(_connection())["host"].rpartition(":")[2])
    again = Simulator(world, port=port)

    def end_the_outage() -> None:
        time.sleep(2.5 * INTERVAL)
        again.start()

    threading.Thread(target=end_the_outage, daemon=True).start()
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
def test_wrong_literals_are_refused_when_the_dag_is_parsed(
    given: dict[str, Any], words: str
) -> None:
    given = {"tweet_ids": ["1"], "thresholds": {"favorites": 1}, **given}
    with pytest.raises(InvalidArgumentError, match=words):
        EngagementThresholdSensor(task_id="wait", **given)


def test_templated_parameters_are_stored_as_given() -> None:
    given: dict[str, Any] = {
        "tweet_ids": "{{ ids }}",
        "id_column": "{{ column }}",
        "thresholds": {"favorites": "{{ likes }}"},
        "require": "{{ number }}",
        "engagement_conn_id": "{{ connection }}",
    }
    task = EngagementThresholdSensor(task_id="wait", **given)
    assert set(given) == set(task.template_fields)
    for name, value in given.items():
        assert getattr(task, name) is value
