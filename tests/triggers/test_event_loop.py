"""The triggerer's event loop: large collections do not block it."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from observations import columns
from run_operator import CONN_ID, connect

from airflow_provider_engagement.thresholds.crossing_state import StateStore
from airflow_provider_engagement.thresholds.poller import PollResult
from airflow_provider_engagement.triggers.engagement import EngagementThresholdTrigger
from tools.services import simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from airflow_provider_engagement.thresholds.observation import Observation

TWEETS = 100_000
MAX_LAG = 0.05


class Lag:
    """The longest time that an event loop was blocked, seconds."""

    longest = 0.0

    def __str__(self) -> str:
        return f"{self.longest * 1000:.0f} ms"


@asynccontextmanager
async def measured() -> AsyncIterator[Lag]:
    """Measure the lag of the running event loop.

    Time in which other processes had the machine's cores is left out, and so are the objects of
    Airflow, which Python's garbage collector goes through now and then.
    """
    lag = Lag()
    gc.collect()
    gc.freeze()

    async def measure() -> None:
        clocks = time.monotonic, time.process_time
        last = [clock() for clock in clocks]
        while True:
            await asyncio.sleep(0.002)
            now = [clock() for clock in clocks]
            lag.longest = max(lag.longest, min(map(float.__sub__, now, last)))
            last = now

    task = asyncio.create_task(measure())
    try:
        yield lag
    finally:
        task.cancel()
        gc.unfreeze()


def ids() -> list[str]:
    return [str(10**18 + place) for place in range(TWEETS)]


def trigger(tweet_ids: str, **given: Any) -> EngagementThresholdTrigger:
    # As Airflow makes it from the arguments that it has stored.
    kwargs = {
        "thresholds": {"favorites": 0, "engagements/impressions": 10},
        "require": TWEETS,
        "engagement_conn_id": CONN_ID,
        **given,
    }
    return EngagementThresholdTrigger(tweet_ids=tweet_ids, **kwargs)


async def event_of(one: EngagementThresholdTrigger) -> dict[str, Any]:
    return await anext(event.payload async for event in one.run())


@pytest.fixture
def _polls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer each poll at once: every Tweet has one more like than by the last poll."""
    connect(monkeypatch, {"conn_type": "engagement", "extra": {"bearer_token": "A" * 40}})
    likes = itertools.count(1)

    async def poll(request: Any) -> PollResult:
        tweet_ids = await request.read_tweet_ids()
        seen = await asyncio.to_thread(observation, tweet_ids, next(likes))
        return PollResult(seen, tweet_ids, asyncio.get_running_loop().time())

    monkeypatch.setattr("airflow_provider_engagement.thresholds.poll_loop.poll", poll)


def observation(tweet_ids: list[str], count: int) -> Observation:
    # Of one Tweet more, so that the trigger's own have to be selected.
    return columns([*tweet_ids, "1"], favorites=count, engagements=count, impressions=count)


@pytest.mark.usefixtures("_polls")
def test_a_trigger_of_100_000_tweets_does_not_block_the_loop() -> None:
    text = ",".join(ids())

    async def work() -> Lag:
        await event_of(trigger(text, require=1))  # imports
        async with measured() as lag:
            event = await event_of(trigger(text))
        assert event["result"]["crossed"] == TWEETS
        return lag

    lag = asyncio.run(work())
    print(f"a trigger of {TWEETS:,} Tweets blocked the loop for {lag}")  # noqa: T201 - a figure to report
    assert lag.longest < MAX_LAG


class Store:
    """An asset's state store."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    async def aget(self, key: str) -> Any:
        return self.values.get(key)

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = value


def test_a_watcher_of_100_000_tweets_does_not_block_the_loop() -> None:
    tweet_ids = ids()
    rule = trigger("1", thresholds={"favorites": 2}, require="any").settings.rule

    async def work() -> Lag:
        store = StateStore(Store(), rule, fire_existing=False, source="asset")
        every_100th = np.arange(TWEETS) % 100 // 99
        polls = [
            columns([*tweet_ids, "1"], favorites=np.append(likes, 0))
            for likes in (every_100th * 0 + 1, every_100th + 1)
        ]
        async with measured() as lag:
            assert await store.load() == []
            assert await store.update(polls[0], tweet_ids) is None
            assert store.has_changed
            await store.when_sent([])()
            event = await store.update(polls[1], tweet_ids)
            assert event is not None
            await store.add_pending([event])
            await store.when_sent([event])()
        assert len(event["crossings"]) == TWEETS / 100
        assert not store.has_changed
        return lag

    lag = asyncio.run(work())
    print(f"a watcher of {TWEETS:,} Tweets blocked the loop for {lag}")  # noqa: T201 - a figure to report
    assert lag.longest < MAX_LAG


@pytest.fixture
def _service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = tmp_path / "ids.txt"
    options = ("--account", "acme", "--tweets", str(TWEETS), "--ids-file", file)
    with simulator(tmp_path, *options) as running:
        connect(monkeypatch, running.connections["acme"])
        yield


@pytest.mark.long
@pytest.mark.usefixtures("_service")
def test_a_poll_of_100_000_tweets_does_not_block_the_loop(tmp_path: Path) -> None:
    text = ",".join((tmp_path / "ids.txt").read_text().split())

    async def work() -> Lag:
        await event_of(trigger(text[:19], require=1))  # imports
        async with measured() as lag:
            event = await event_of(trigger(text))
        assert event["result"]["crossed"] == TWEETS
        return lag

    began = time.monotonic()
    lag = asyncio.run(work())
    print(  # noqa: T201 - a figure to report
        f"a poll of {TWEETS:,} Tweets took {time.monotonic() - began:.1f} s "
        f"and blocked the loop for {lag}"
    )
    assert lag.longest < MAX_LAG
