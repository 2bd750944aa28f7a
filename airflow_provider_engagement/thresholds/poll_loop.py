"""Poll a collection until the caller stops, and wait out the faults that pass."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.thresholds.poller import PollRequest, poll
from airflow_provider_engagement.thresholds.schedule import Patience, PollSchedule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.thresholds.poller import PollResult

__all__ = ["PollLoop"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PollLoop:
    """Polls one collection.

    :param endpoint: the endpoint.
    :param engagement_types: the engagement types.
    :param schedule: when to poll.
    :param read_settings: reads the connection, before each poll.
    :param read_tweet_ids: reads the collection, at each poll.
    :param on_secret: called with every secret that is received, from a thread.
    :param waits_out_all: wait out every fault, also those that need a change.
    """

    endpoint: str
    engagement_types: tuple[str, ...]
    schedule: PollSchedule
    read_settings: Callable[[], Awaitable[Settings]]
    read_tweet_ids: Callable[[], Awaitable[Sequence[str]]]
    on_secret: Callable[..., None]
    waits_out_all: bool = False

    async def results(self) -> AsyncIterator[PollResult]:
        """Poll at once, and again at each time of the schedule.

        :raises EngagementError: if an error is not retryable and :class:`Patience` ends. A
            connection that is not found has patience from the start, because the task that
            deferred has found it.
        """
        clock = asyncio.get_running_loop().time
        connection, service = Patience(has_succeeded=True), Patience()
        due = started_at = clock()
        polls = 0
        while True:
            polls += 1
            wait = self.schedule.wait(polls, due - started_at)
            is_read = False
            try:
                settings = await self.read_settings()
                is_read = True
                connection.succeed()
                result = await poll(self._request(settings, due, wait))
            except EngagementError as error:
                patience = service if is_read else connection
                if not (self.waits_out_all or error.retryable or patience.lasts()):
                    raise
                log.warning("This poll failed. The next one is in %.0f s. %s", wait, error)
                due = clock() + wait
                if not is_read:
                    await asyncio.sleep(wait)
            else:
                service.succeed()
                yield result
                due = result.started_at + wait

    def _request(self, settings: Settings, due: float, interval: float) -> PollRequest:
        return PollRequest(
            settings=settings,
            endpoint=self.endpoint,
            engagement_types=self.engagement_types,
            read_tweet_ids=self.read_tweet_ids,
            interval=interval,
            due=due,
            on_secret=self.on_secret,
        )
