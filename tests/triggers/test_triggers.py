from __future__ import annotations

import asyncio
import gc
import importlib
import json
import multiprocessing  # noqa: F401 - a poll would import it otherwise, which blocks
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

import pytest
from blockbuster import blockbuster_ctx
from run_operator import CONN_ID, connect

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.simulator import Faults, Simulator, World
from airflow_provider_engagement.thresholds.schedule import Patience
from airflow_provider_engagement.triggers import engagement
from airflow_provider_engagement.triggers.engagement import (
    EngagementThresholdEventTrigger,
    EngagementThresholdTrigger,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from airflow_provider_engagement.api.settings import RateStoreSettings

NOW = datetime.now(UTC)
HAS_WATCHERS = hasattr(engagement.BaseEventTrigger, "create_shared_stream_producer")
needs_watchers = pytest.mark.skipif(not HAS_WATCHERS, reason="Airflow 3.3 has asset watchers")


@pytest.fixture
def world() -> World:
    return World(now=NOW)


@pytest.fixture
def api(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture(autouse=True)
def _pace(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test its own rate limit."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("slots")))


def ids(world: World, number: int) -> list[str]:
    made = world.tweets("acme", number, since=NOW - timedelta(hours=3), until=NOW)
    return [str(item) for item in made]


def waiting(tweet_ids: Any, thresholds: Any = None, **given: Any) -> EngagementThresholdTrigger:
    given = {"engagement_conn_id": CONN_ID, "poll_interval": 0.3, **given}
    return EngagementThresholdTrigger(
        tweet_ids=tweet_ids, thresholds=thresholds or {"favorites": 10**9}, **given
    )


async def event_of(trigger: Any) -> dict[str, Any]:
    async for event in trigger.run():
        payload: dict[str, Any] = event.payload
        return payload
    raise AssertionError("no event")


def unblocked(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run work in an event loop in which a call that blocks fails the test."""

    async def watched() -> None:
        with blockbuster_ctx("airflow_provider_engagement"):
            await work()

    asyncio.run(watched())
    gc.collect()


def triggers() -> list[Any]:
    given: dict[str, Any] = {
        "tweet_ids": [1, "20"],
        "thresholds": {"favorites": 100, "engagements/impressions": "> 0.5"},
        "match": "all",
        "require": 3,
        "endpoint": "28hr",
        "engagement_conn_id": "another",
    }
    made: list[Any] = [
        EngagementThresholdTrigger(
            **given,
            poll_interval=5,
            exponential_backoff=True,
            max_wait=600,
            jitter_seed="dag#task",
            timeout=3600,
            silent_fail=True,
        ),
        EngagementThresholdTrigger(
            **{**given, "tweet_ids": "gs://b/*.csv", "id_column": "original", "require": "sum"}
        ),
    ]
    if HAS_WATCHERS:
        event = {**given, "asset_name": "popular", "fire_existing": True, "poll_interval": 7}
        made.append(EngagementThresholdEventTrigger(**event))
    return made


@pytest.mark.parametrize("trigger", triggers(), ids=lambda one: type(one).__name__)
def test_a_trigger_is_the_same_after_serialization(trigger: Any) -> None:
    path, kwargs = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**json.loads(json.dumps(kwargs)))
    assert type(again) is type(trigger)
    assert again.serialize() == (path, kwargs)
    assert repr(again) == repr(trigger)


@needs_watchers
@pytest.mark.parametrize("trigger", triggers(), ids=lambda one: type(one).__name__)
def test_airflow_stores_and_restores_the_arguments_of_a_trigger(trigger: Any) -> None:
    from airflow.models.trigger import Trigger
    from airflow.serialization.decoders import smart_decode_trigger_kwargs
    from airflow.serialization.encoders import encode_trigger

    encoded = encode_trigger(trigger)
    stored = Trigger(encoded["classpath"], encoded["kwargs"]).encrypted_kwargs
    kwargs = {
        name: smart_decode_trigger_kwargs(value)
        for name, value in Trigger._decrypt_kwargs(stored).items()  # noqa: SLF001 - as the triggerer reads it
    }
    assert type(trigger)(**kwargs).serialize() == trigger.serialize()


def test_no_trigger_holds_a_secret(world: World) -> None:
    shown = [repr(one) + json.dumps(one.serialize()) for one in triggers()]
    for secret in world.credentials("acme").values():
        assert not [text for text in shown if str(secret) in text]


def test_the_loop_is_never_blocked(world: World, api: Simulator) -> None:
    tweets = ids(world, 300)
    api.latency = 0.3
    longest = 0.0

    async def work() -> None:
        nonlocal longest
        # The first poll imports libraries, which blocks every thread of a process for a moment.
        await event_of(waiting(tweets[:1], {"favorites": 0}))
        first = asyncio.create_task(event_of(waiting(tweets, {"favorites": 0})))
        last = time.monotonic()
        while not first.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert (await first)["status"] == "met"

    unblocked(work)
    assert longest < 0.25


def test_a_blocking_call_fails_these_tests() -> None:
    async def work() -> None:
        time.sleep(0.01)  # noqa: ASYNC251 - what is not to be done

    with pytest.raises(Exception, match=r"Blocking call to time\.sleep"):
        asyncio.run(_with_blockbuster(work))


async def _with_blockbuster(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with blockbuster_ctx():
        await work()


def test_a_thousand_tweets_cost_four_requests_a_poll(world: World, api: Simulator) -> None:
    async def work() -> None:
        task = asyncio.create_task(event_of(waiting(ids(world, 1000), poll_interval=0.6)))
        for expected in (4, 8):
            while len(api.requests) < expected:  # noqa: ASYNC110 - it is in other threads
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)
            assert len(api.requests) == expected
        task.cancel()

    asyncio.run(work())


def test_fifty_sensors_on_one_app_stay_within_the_contract(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a contract of 120 a minute, counted by ten seconds: 20 requests in each."""
    tweets = ids(world, 1000)
    limit = 120
    with Simulator(world, requests_per_minute=limit // 6, minute=10) as api:
        extra = {"requests_per_minute": limit}
        connection = api.connection("acme")
        connect(monkeypatch, {**connection, "extra": {**connection["extra"], **extra}})

        async def work() -> None:
            # Each has 40 Tweets, half of which the next one has too.
            some = [waiting(tweets[at * 19 : at * 19 + 40], poll_interval=1) for at in range(50)]
            tasks = [asyncio.create_task(event_of(one)) for one in some]
            await asyncio.sleep(12)
            assert not [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()

        asyncio.run(work())
        refused = [one for one in api.requests if one.status == 429]
        times = [one.at for one in api.requests]
        rate = (len(times) - 1) / (times[-1] - times[0]) * 60
        print(  # noqa: T201 - a figure to report
            f"50 sensors, {len(times)} requests in {times[-1] - times[0]:.1f} s: "
            f"{rate:.0f} a minute of {limit}, {len(refused)} refused"
        )
    assert not refused
    assert rate <= limit
    assert len(times) >= 8


def test_sensors_on_the_same_tweets_share_their_requests(world: World, api: Simulator) -> None:
    tweets = ids(world, 100)

    async def work() -> None:
        tasks = [asyncio.create_task(event_of(waiting(tweets, poll_interval=1))) for _ in range(50)]
        await asyncio.sleep(2.5)
        for task in tasks:
            task.cancel()

    asyncio.run(work())
    assert 2 <= len(api.requests) <= 3


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_store_of_the_shared_rate_does_not_block_the_loop(
    kind: str,
    world: World,
    api: Simulator,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store: RateStoreSettings = request.getfixturevalue(f"{kind}_store")
    connection = api.connection("acme")
    connection["extra"] |= {"rate_limit_conn_id": "rates", "requests_per_minute": 120}
    connect(monkeypatch, connection)
    monkeypatch.setenv("AIRFLOW_CONN_RATES", json.dumps(as_connection(store)))
    tweets = ids(world, 300)

    async def work() -> None:
        task = asyncio.create_task(event_of(waiting(tweets)))
        while len(api.requests) < 3:
            assert not task.done()
            await asyncio.sleep(0.05)
        task.cancel()

    unblocked(work)
    # The slots came from the store, not from a file of this machine.
    assert list(Path(tempfile.gettempdir()).glob("airflow-engagement-*")) == []


def as_connection(store: RateStoreSettings) -> dict[str, Any]:
    assert store.login
    assert store.password
    return {
        "conn_type": store.kind,
        "host": store.host,
        "port": store.port,
        "login": store.login.reveal(),
        "password": store.password.reveal(),
        "schema": store.database,
    }


@pytest.mark.usefixtures("api")
def test_the_trigger_waits_until_a_tweet_crosses(world: World) -> None:
    tweets = ids(world, 20)
    most = max(world.count(item, "favorites") for item in tweets)

    async def work() -> None:
        task = asyncio.create_task(event_of(waiting(tweets, {"favorites": most + 1})))
        await asyncio.sleep(1)
        assert not task.done()
        world.freeze(NOW + timedelta(days=5))
        event = await asyncio.wait_for(task, 5)
        (first, *_) = event["result"]["crossings"]
        assert first["value"] == world.count(first["tweet_id"], "favorites") > most

    unblocked(work)


def test_passing_faults_are_waited_out(world: World, api: Simulator) -> None:
    api.faults = Faults(share=0.5, kinds=("500", "truncated", "html"))
    event = asyncio.run(event_of(waiting(ids(world, 20), {"favorites": 0})))
    assert event["status"] == "met"


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tweet_ids": "file:///nowhere/ids.txt"}, "tweet_ids: file:///nowhere/ids.txt does not"),
        ({"tweet_ids": "file:///nowhere/ids.txt"}, f"in the triggerer, on host {gethostname()}."),
    ],
)
def test_a_fault_that_needs_a_change_is_reported(
    world: World, given: dict[str, Any], words: str
) -> None:
    given = {"tweet_ids": ids(world, 3), **given}
    event = asyncio.run(event_of(waiting(given.pop("tweet_ids"), **given)))
    assert event["status"] == "failed"
    assert event["retryable"] is False
    assert words in event["message"]


@pytest.mark.usefixtures("api")
def test_a_rule_that_cannot_be_met_is_reported(world: World) -> None:
    event = asyncio.run(event_of(waiting(ids(world, 3), require=4)))
    assert event["status"] == "unreachable"
    assert "of 3 Tweets only 3 still can" in event["message"]


@pytest.mark.usefixtures("api")
def test_a_connection_that_does_not_exist_is_waited_out_for_five_minutes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = waiting(ids(world, 3), engagement_conn_id="nowhere")
    monkeypatch.setattr("airflow_provider_engagement.thresholds.poll_loop.Patience", brief)
    began = time.monotonic()
    event = asyncio.run(event_of(trigger))
    assert time.monotonic() - began >= 0.7
    assert event["status"] == "failed"
    assert "'nowhere' does not exist" in event["message"]


def brief(*, has_succeeded: bool = False) -> Patience:
    assert Patience().seconds == 300
    return Patience(has_succeeded=has_succeeded, seconds=0.7)


def test_a_request_that_is_not_allowed_does_not_fail_the_others(
    world: World, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    tweets = ids(world, 3)
    connect(monkeypatch, api.connection("acme", user_tokens=False), "public")

    async def work() -> None:
        private = waiting(tweets, {"impressions": 0}, engagement_conn_id="public")
        public = waiting(tweets, {"favorites": 0}, engagement_conn_id="public")
        refused, met = await asyncio.gather(event_of(private), event_of(public))
        assert "impressions" in refused["message"]
        assert met["status"] == "met"

    asyncio.run(work())


@pytest.mark.skipif(HAS_WATCHERS, reason="this Airflow has asset watchers")
def test_an_older_airflow_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"needs Airflow 3.3 or later; this is 2\.11"):
        EngagementThresholdEventTrigger(
            asset_name="popular", tweet_ids=["1"], thresholds={"favorites": 1}
        )
