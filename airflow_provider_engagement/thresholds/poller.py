"""One poller for everything that a triggerer polls at one endpoint of one app.

Each request says which counts it needs, and when at the latest. When the first of them is due, all
that are due soon are served in the same round: each Tweet is requested once, in full batches. So
fifty sensors on the same Tweets cost as much as one.

The client blocks, and large collections take time to go through. Both happen in a thread of the
poller, so that the event loop is never blocked.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.query import build_query

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.thresholds.observation import Observation

__all__ = ["PollRequest", "PollResult", "poll"]

log = logging.getLogger(__name__)

# Seconds that a round waits for more requests: triggers that start together come within this.
_GATHER_SECONDS: Final = 0.25

# Seconds that a poller outlives its last request. The next requests of the same triggers come soon,
# and find open connections and the app's token.
_IDLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class PollResult:
    """The answer to one request.

    :param observation: the counts, also of the Tweets of other requests in the same round.
    :param tweet_ids: the Tweets of this request.
    :param started_at: when the round began, by the event loop's clock.
    """

    observation: Observation
    tweet_ids: Sequence[str]
    started_at: float


@dataclass(eq=False, slots=True)
class PollRequest:
    """The counts that a trigger needs.

    :param settings: the connection to use.
    :param endpoint: the endpoint.
    :param engagement_types: the engagement types.
    :param read_tweet_ids: reads the collection, when the round begins.
    :param interval: seconds until the next request of the same trigger.
    :param due: when to poll, by the event loop's clock. It may be up to half an interval earlier.
    :param on_secret: called with every secret that is received, from a thread.
    """

    settings: Settings
    endpoint: str
    engagement_types: tuple[str, ...]
    read_tweet_ids: Callable[[], Awaitable[Sequence[str]]]
    interval: float
    due: float
    on_secret: Callable[..., None]
    answer: asyncio.Future[PollResult] = field(init=False)

    def fail(self, error: Exception) -> None:
        """Answer with an error."""
        if not self.answer.done():
            self.answer.set_exception(error)


async def poll(request: PollRequest) -> PollResult:
    """Wait until a request is due, and return its counts.

    :raises EngagementError: if the request is not allowed, or stays unanswered.
    """
    # A request that is not allowed must not fail the others of its round.
    _query(request.settings, request.endpoint, request.engagement_types)
    pollers = _POLLERS.setdefault(asyncio.get_running_loop(), {})
    credentials = request.settings.credentials
    app = credentials.consumer_key or credentials.bearer_token
    key = (request.settings.host, app, request.endpoint)
    poller = pollers.get(key)
    if poller is None:
        poller = pollers[key] = _Poller(request.endpoint, on_close=lambda: pollers.pop(key, None))
    return await poller.serve(request)


class _Poller:
    """Serves the requests to one endpoint of one app in rounds.

    It ends when there are no more requests.

    :param endpoint: the endpoint.
    :param on_close: called when it ends.
    """

    def __init__(self, endpoint: str, *, on_close: Callable[[], object]) -> None:
        self._endpoint = endpoint
        self._on_close = on_close
        self._waiting: set[PollRequest] = set()
        self._clients: dict[Settings, EngagementClient] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engagement-poller")
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def serve(self, request: PollRequest) -> PollResult:
        """Let a request wait for its round."""
        request.answer = asyncio.get_running_loop().create_future()
        self._waiting.add(request)
        self._joined.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"engagement {self._endpoint}")
        try:
            return await request.answer
        finally:
            self._waiting.discard(request)
            if request.answer.cancelled() and not self._waiting:
                # No request is left that needs the answer a thread may be waiting for.
                self._close()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while True:
                self._joined.clear()
                if not self._waiting:
                    await _wait_for(self._joined, _IDLE_SECONDS)
                    if not self._waiting:
                        return
                wait = min(request.due for request in self._waiting) - clock()
                if wait > 0:
                    await _wait_for(self._joined, wait)
                    continue
                await asyncio.sleep(_GATHER_SECONDS)
                await self._round([r for r in self._waiting if r.due - r.interval / 2 <= clock()])
        finally:
            self._close()

    async def _round(self, requests: list[PollRequest]) -> None:
        started_at = asyncio.get_running_loop().time()
        groups: defaultdict[Settings, list[tuple[PollRequest, Sequence[str]]]] = defaultdict(list)
        for request in requests:
            try:
                groups[request.settings].append((request, await request.read_tweet_ids()))
            except Exception as error:  # noqa: BLE001 - the trigger that sent the request handles it
                request.fail(error)
        for settings, group in groups.items():
            await self._answer(settings, group, started_at)
        self._waiting.difference_update(requests)
        # The client of a connection that has been changed is not needed any more.
        in_use = groups.keys() | {request.settings for request in self._waiting}
        for settings in self._clients.keys() - in_use:
            self._close_client(settings)

    async def _answer(
        self,
        settings: Settings,
        group: list[tuple[PollRequest, Sequence[str]]],
        started_at: float,
    ) -> None:
        """Answer the requests of one connection."""
        try:
            observation = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._observe, settings, group
            )
        except Exception as error:  # noqa: BLE001 - the triggers that sent the requests handle it
            if isinstance(error, EngagementError):
                # A client that has failed once answers no more requests.
                self._close_client(settings)
            for request, _ in group:
                request.fail(error)
            return
        for request, tweet_ids in group:
            if not request.answer.done():
                request.answer.set_result(PollResult(observation, tweet_ids, started_at))

    def _observe(
        self, settings: Settings, group: list[tuple[PollRequest, Sequence[str]]]
    ) -> Observation:
        """Fetch the counts; in the thread, also because of what is imported."""
        from airflow_provider_engagement.api.client import EngagementClient
        from airflow_provider_engagement.thresholds.observation import observe

        client = self._clients.get(settings)
        if client is None:
            on_secret = group[0][0].on_secret
            client = self._clients[settings] = EngagementClient(settings, on_secret=on_secret)
        tweet_ids = _union(ids for _, ids in group)
        types = sorted({name for request, _ in group for name in request.engagement_types})
        observation = observe(client, _query(settings, self._endpoint, types), tweet_ids)
        log.info("Polled the counts of %d Tweets on %s.", len(tweet_ids), self._endpoint)
        return observation

    def _close_client(self, settings: Settings) -> None:
        """End what a client waits for, and close it in the thread, because closing may block."""
        client = self._clients.pop(settings, None)
        if client is not None:
            client.stop()
            self._thread.submit(client.__exit__)

    def _close(self) -> None:
        self._on_close()
        for settings in list(self._clients):
            self._close_client(settings)
        self._thread.shutdown(wait=False)
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        for request in self._waiting:
            request.answer.cancel()


_POLLERS: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Poller]]] = (
    WeakKeyDictionary()
)


def _query(settings: Settings, endpoint: str, engagement_types: Iterable[str]) -> Query:
    return build_query(
        endpoint,
        has_owner=settings.credentials.has_owner,
        engagement_types=list(engagement_types),
        granularity="total",
    )


def _union(collections: Iterable[Sequence[str]]) -> Sequence[str]:
    """Return the ids of several collections, each once."""
    first, *others = collections
    if all(one is first for one in others):
        return first
    return list(dict.fromkeys(item for ids in (first, *others) for item in ids))


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, for some seconds at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
