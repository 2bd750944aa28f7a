"""One poller for all that a triggerer watches at one endpoint of one app.

Each watcher says what it wants to know, and when at the latest. When the first of them is due, all
that are due soon are served in the same round: their Tweets are asked for once, each in a full
request. So fifty sensors on the same Tweets cost as much as one.

The client blocks, so it runs in a thread of the poller's own: the event loop never waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.query import build_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.thresholds.evaluation import Observation

__all__ = ["PollRequest", "PollResult", "see"]

log = logging.getLogger(__name__)

# How long a round waits for more to join: triggers that start together come within this.
_GATHERING: Final = 0.25

# How long a poller outlives its last watcher, seconds. Those who have been answered come again at
# once, and find the open connections and the app's token as they were.
_LINGERS: Final = 30.0


@dataclass(frozen=True, slots=True)
class PollResult:
    """What a round brought for one watcher.

    :param look: the counts; of other watchers' Tweets too.
    :param tweet_ids: the watcher's own Tweets.
    :param at: when the round began, by the event loop's clock.
    """

    look: Observation
    tweet_ids: Sequence[str]
    at: float


@dataclass(eq=False, slots=True)
class PollRequest:
    """What a watcher wants to know.

    :param settings: the connection to ask through.
    :param endpoint: which endpoint.
    :param types: the engagement types.
    :param tweet_ids: reads the collection, when the round begins.
    :param interval: seconds between two polls.
    :param due: when to ask, by the event loop's clock; may be up to half an interval earlier.
    :param on_secret: told of every secret that is received, from a thread.
    """

    settings: Settings
    endpoint: str
    types: tuple[str, ...]
    tweet_ids: Callable[[], Awaitable[Sequence[str]]]
    interval: float
    due: float
    on_secret: Callable[..., None]
    answer: asyncio.Future[PollResult] = field(init=False)


async def see(ask: PollRequest) -> PollResult:
    """Wait until it is time, and look.

    :raises EngagementError: if what is asked is not allowed, or stays unanswered.
    """
    # What one watcher may not ask must not sink the round of the others.
    build_query(
        ask.endpoint,
        has_owner=ask.settings.credentials.has_owner,
        engagement_types=list(ask.types),
        granularity="total",
    )
    pollers = _POLLERS.setdefault(asyncio.get_running_loop(), {})
    credentials = ask.settings.credentials
    app = credentials.consumer_key or credentials.bearer_token
    key = (ask.settings.host, app, ask.endpoint)
    poller = pollers.get(key)
    if poller is None:
        poller = pollers[key] = _Poller(ask.endpoint, leave=lambda: pollers.pop(key, None))
    return await poller.serve(ask)


class _Poller:
    """Serves the watchers of one app's endpoint in rounds. It ends with the last of them.

    :param endpoint: which endpoint.
    :param leave: called when nobody is left.
    """

    def __init__(self, endpoint: str, *, leave: Callable[[], object]) -> None:
        self._endpoint = endpoint
        self._leave = leave
        self._waiting: set[PollRequest] = set()
        self._clients: dict[Settings, EngagementClient] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engagement-poller")
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def serve(self, ask: PollRequest) -> PollResult:
        """Let a watcher wait for its round."""
        ask.answer = asyncio.get_running_loop().create_future()
        self._waiting.add(ask)
        self._joined.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"engagement {self._endpoint}")
        try:
            return await ask.answer
        finally:
            self._waiting.discard(ask)
            if ask.answer.cancelled() and not self._waiting:
                # Nobody wants the answer that a thread may be waiting for.
                self._close()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._joined.clear()
                if not self._waiting:
                    await _until(self._joined, _LINGERS)
                    if not self._waiting:
                        return
                wait = min(ask.due for ask in self._waiting) - clock()
                if wait > 0:
                    await _until(self._joined, wait)
                    continue
                await asyncio.sleep(_GATHERING)
                await self._round([a for a in self._waiting if a.due - a.interval / 2 <= clock()])
        finally:
            self._close()

    async def _round(self, asks: list[PollRequest]) -> None:
        at = asyncio.get_running_loop().time()
        groups: defaultdict[Settings, list[tuple[PollRequest, Sequence[str]]]] = defaultdict(list)
        for ask in asks:
            try:
                groups[ask.settings].append((ask, await ask.tweet_ids()))
            except Exception as error:  # noqa: BLE001 - it is the watcher's, who is told
                _tell(ask, error)
        for settings, group in groups.items():
            try:
                look = await self._look(settings, group)
            except Exception as error:  # noqa: BLE001 - as above
                for ask, _ in group:
                    _tell(ask, error)
            else:
                for ask, tweet_ids in group:
                    if not ask.answer.done():
                        ask.answer.set_result(PollResult(look, tweet_ids, at))
        self._waiting.difference_update(asks)
        # Of a connection that has been changed the old client is of no use any more.
        for settings in self._clients.keys() - groups.keys() - {a.settings for a in self._waiting}:
            self._give_up(settings)

    async def _look(
        self, settings: Settings, group: list[tuple[PollRequest, Sequence[str]]]
    ) -> Observation:
        loop = asyncio.get_running_loop()
        tweet_ids = list(dict.fromkeys(item for _, ids in group for item in ids))
        types = sorted({name for ask, _ in group for name in ask.types})
        on_secret = group[0][0].on_secret
        try:
            return await loop.run_in_executor(
                self._thread, self._ask, settings, types, tweet_ids, on_secret
            )
        except EngagementError:
            # A client that has failed once has given up.
            self._give_up(settings)
            raise

    def _ask(
        self,
        settings: Settings,
        types: list[str],
        tweet_ids: list[str],
        on_secret: Callable[..., None],
    ) -> Observation:
        """Ask the service; in the thread, where heavy imports go too."""
        from airflow_provider_engagement.api.client import EngagementClient
        from airflow_provider_engagement.thresholds.observation import observe

        client = self._clients.get(settings)
        if client is None:
            client = self._clients[settings] = EngagementClient(settings, on_secret=on_secret)
        query = build_query(
            self._endpoint,
            has_owner=settings.credentials.has_owner,
            engagement_types=types,
            granularity="total",
        )
        look = observe(client, query, tweet_ids)
        log.info(
            "Looked at %d Tweets on %s: %d have counts.",
            len(tweet_ids),
            self._endpoint,
            len(look.counts),
        )
        return look

    def _give_up(self, settings: Settings) -> None:
        """Close a client, and let what it waits for in the thread give up."""
        client = self._clients.pop(settings, None)
        if client is not None:
            client.__exit__()

    def _close(self) -> None:
        self._leave()
        for settings in list(self._clients):
            self._give_up(settings)
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        for ask in self._waiting:
            ask.answer.cancel()


_POLLERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Poller]]] = (
    WeakKeyDictionary()
)


async def _until(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, or some time."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _tell(ask: PollRequest, error: Exception) -> None:
    if not ask.answer.done():
        ask.answer.set_exception(error)
