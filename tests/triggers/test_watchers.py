"""Event triggers in the triggerer's own machinery, with a state store in memory."""

from __future__ import annotations

import asyncio
import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, connect

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.triggers import engagement
from airflow_provider_engagement.triggers.engagement import EngagementThresholdEventTrigger

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not hasattr(engagement.BaseEventTrigger, "create_shared_stream_producer"),
    reason="Airflow 3.3 has asset watchers",
)

NOW = datetime.now(UTC)
EVERY = 0.4


class Store:
    """An asset's state store."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        assert value is not None
        self.values[key] = json.dumps(value)


class Triggerer:
    """Runs triggers as Airflow's triggerer does, and stores events unless `persists` is false.

    :param stores: the state stores, by the asset's name; they outlive a triggerer.
    :param persists: whether events get as far as the database.
    """

    def __init__(self, stores: dict[str, Store], *, persists: bool = True) -> None:
        from airflow.triggers.shared_stream import SharedStreamManager

        self.stores = stores
        self.streams = SharedStreamManager(ack_timeout=30)
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._persists = persists
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, trigger: EngagementThresholdEventTrigger) -> None:
        again = EngagementThresholdEventTrigger(**trigger.serialize()[1])
        store = self.stores.setdefault(again.asset_name, Store())
        again.asset_state_store = _ByAsset({again.asset_name: store})  # type: ignore[assignment]
        self._tasks.append(asyncio.create_task(self._run(next(self._numbers), again)))

    async def _run(self, number: int, trigger: EngagementThresholdEventTrigger) -> None:
        key = trigger.shared_stream_key()
        stream = self.streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                seq = self.streams.bind_pending_event(trigger_id=number, key=key)
                assert seq is not None
                self.events.append((trigger.asset_name, event.payload))
                if self._persists:
                    asyncio.get_running_loop().call_later(
                        0.05, self.streams.confirm_persisted, [seq]
                    )
        finally:
            await self.streams.unsubscribe(number, key)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.stop_all()
        failed = [one for one in results if isinstance(one, Exception)]
        assert not failed, failed

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.events) < count:  # noqa: ASYNC110 - plain, and soon over
                await asyncio.sleep(0.02)


class _ByAsset(dict[str, Store]):
    def __getitem__(self, key: Any) -> Store:
        return super().__getitem__(key.name)


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
    """Make Tweets that cross 100 likes within the next ten days, and not before."""
    made = world.tweets("acme", 2000, since=NOW - timedelta(hours=1), until=NOW)
    world.freeze(NOW + timedelta(days=10))
    later = [i for i in made if world.count(i, "favorites") > 100]
    world.freeze(NOW)
    return [i for i in later if world.count(i, "favorites") < 100][:50]


def watcher(tweet_ids: Any, asset_name: str = "popular", **given: Any) -> Any:
    given = {"thresholds": {"favorites": 100}, "poll_interval": EVERY, **given}
    return EngagementThresholdEventTrigger(
        asset_name=asset_name, tweet_ids=tweet_ids, engagement_conn_id=CONN_ID, **given
    )


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def ids_in(event: dict[str, Any]) -> list[str]:
    return [one["tweet_id"] for one in event["crossings"]]


async def polls(api: Simulator, count: int) -> None:
    """Wait for polls that begin from now on, and for what they give rise to."""
    wanted = len(api.requests) + count
    async with asyncio.timeout(10):
        while len(api.requests) < wanted:  # noqa: ASYNC110 - it is in other threads
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)


def test_all_crossings_of_one_poll_are_sent_in_one_event(
    world: World, api: Simulator, tweets: list[str]
) -> None:
    async def work() -> None:
        triggerer = Triggerer({})
        triggerer.start(watcher(tweets))
        await polls(api, 2)
        assert triggerer.events == []
        world.freeze(NOW + timedelta(days=10))
        await polls(api, 3)
        ((_, event),) = triggerer.events
        assert ids_in(event) == tweets
        assert len(tweets) == 50
        assert {one["value"] for one in event["crossings"]} == {
            world.count(item, "favorites") for item in tweets
        }
        await triggerer.stop()

    run(work)


@pytest.mark.parametrize("fire_existing", [True, False])
def test_first_counts_are_the_baseline_unless_fire_existing(
    world: World, api: Simulator, tweets: list[str], fire_existing: bool
) -> None:
    async def work() -> None:
        world.freeze(NOW + timedelta(days=10))
        triggerer = Triggerer({})
        triggerer.start(watcher(tweets, fire_existing=fire_existing))
        await polls(api, 3)
        assert len(triggerer.events) == fire_existing
        await triggerer.stop()

    run(work)


def test_each_crossing_is_reported_once_over_restarts(
    world: World, api: Simulator, tweets: list[str]
) -> None:
    async def work() -> None:
        stores: dict[str, Store] = {}
        reported: list[str] = []
        for days in (0, 0.3, 1, 3, 10, 10):
            world.freeze(NOW + timedelta(days=days))
            triggerer = Triggerer(stores)
            triggerer.start(watcher(tweets))
            await polls(api, 2)
            reported += [item for _, event in triggerer.events for item in ids_in(event)]
            await triggerer.stop()
        assert sorted(reported) == sorted(tweets)

    run(work)


def test_an_event_that_was_not_stored_is_sent_again_unchanged(
    world: World, api: Simulator, tweets: list[str]
) -> None:
    async def work() -> None:
        stores: dict[str, Store] = {}
        first = Triggerer(stores)
        first.start(watcher(tweets))
        await polls(api, 2)
        await first.stop()

        world.freeze(NOW + timedelta(days=1))
        crashed = Triggerer(stores, persists=False)
        crashed.start(watcher(tweets))
        await crashed.until(1)
        before = dict(stores["popular"].values)
        await crashed.stop()
        assert stores["popular"].values == before

        world.freeze(NOW + timedelta(days=10))
        again = Triggerer(stores)
        again.start(watcher(tweets))
        await polls(api, 3)
        ((_, lost),) = crashed.events
        assert lost in [event for _, event in again.events]
        by_id = {event["event_id"]: event for _, event in crashed.events + again.events}
        assert sorted(i for event in by_id.values() for i in ids_in(event)) == sorted(tweets)
        await again.stop()
        assert json.loads(stores["popular"].values["engagement_pending_events"]) == []

    run(work)


def test_watchers_with_the_same_settings_share_their_polls(
    world: World, api: Simulator, tweets: list[str]
) -> None:
    async def work() -> None:
        triggerer = Triggerer({})
        for asset, likes in (("popular", 100), ("famous", "> 150"), ("known", 50)):
            triggerer.start(watcher(tweets, asset, thresholds={"favorites": likes}))
        await polls(api, 2)
        world.freeze(NOW + timedelta(days=10))
        before = len(api.requests)
        await asyncio.sleep(4 * EVERY)
        assert len(api.requests) - before <= 5
        reported = {asset: ids_in(event) for asset, event in triggerer.events}
        assert reported["popular"] == tweets
        assert set(reported) == {"popular", "famous", "known"}
        assert set(reported["famous"]) < set(tweets)
        await triggerer.stop()

    run(work)


def test_only_watchers_of_the_same_counts_have_the_same_stream() -> None:
    ids = [str(10**18 + place) for place in range(100_000)]
    key = watcher(ids, "one").shared_stream_key()
    assert watcher(", ".join(ids), "other", fire_existing=True).shared_stream_key() == key
    assert watcher(ids, "one", thresholds={"favorites": "< 5"}).shared_stream_key() == key
    assert watcher(ids[1:], "one").shared_stream_key() != key
    assert watcher(ids, "one", thresholds={"replies": 1}).shared_stream_key() != key
    assert watcher(ids, "one", endpoint="28hr").shared_stream_key() != key
    assert watcher(ids, "one", poll_interval=7).shared_stream_key() != key
    assert len(repr(key)) < 300


def test_a_collection_can_grow(
    world: World, api: Simulator, tweets: list[str], tmp_path: Path
) -> None:
    async def work() -> None:
        file = tmp_path / "ids.txt"
        file.write_text(tweets[0])
        triggerer = Triggerer({})
        triggerer.start(watcher(f"file://{file}"))
        await polls(api, 2)
        file.write_text("\n".join(tweets[:2]))
        await polls(api, 2)
        world.freeze(NOW + timedelta(days=10))
        await triggerer.until(1)
        assert ids_in(triggerer.events[0][1]) == tweets[:2]
        await triggerer.stop()

    run(work)


def test_a_fault_is_waited_out(
    world: World, api: Simulator, tweets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        triggerer = Triggerer({})
        triggerer.start(watcher(tweets))
        await polls(api, 2)
        monkeypatch.delenv(f"AIRFLOW_CONN_{CONN_ID.upper()}")
        await asyncio.sleep(3 * EVERY)
        connect(monkeypatch, api.connection("acme"))
        world.freeze(NOW + timedelta(days=10))
        await triggerer.until(1)
        await triggerer.stop()

    run(work)


def test_the_asset_must_be_the_one_that_is_watched() -> None:
    trigger = watcher(["1"])
    trigger.asset_state_store = _ByAsset({"another": Store()})

    async def work() -> None:
        async for _ in trigger.filter_shared_stream(None):
            pass

    with pytest.raises(InvalidArgumentError, match="no asset of that name has this watcher"):
        run(work)


ROUNDED = ",".join(f"12602948888{number}0000" for number in range(1000, 1010))


@pytest.mark.parametrize("tweet_ids", ["1,0", ROUNDED, "1;x"])
def test_wrong_ids_are_refused_when_the_dag_is_parsed(tweet_ids: str) -> None:
    with pytest.raises(InvalidArgumentError, match="tweet_ids"):
        watcher(tweet_ids)


@pytest.mark.parametrize("tweet_ids", [[], "", ()])
def test_an_empty_collection_is_refused_when_the_dag_is_parsed(tweet_ids: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="tweet_ids is an empty list"):
        watcher(tweet_ids)
