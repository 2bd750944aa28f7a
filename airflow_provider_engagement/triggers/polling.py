"""What all triggers share: from a connection's id and some Tweets to looks at their counts."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.collections.tweet_ids import is_uri, tweet_ids_from_value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow_provider_engagement.thresholds.poller import PollResult

__all__ = ["PollSettings", "plain_tweet_ids"]

log = logging.getLogger(__name__)


def plain_tweet_ids(given: Any) -> str | list[str]:
    """Give ``tweet_ids`` in the form that a trigger carries: a URI, or a list of ids.

    :raises InvalidArgumentError: if it is neither.
    """
    return given if is_uri(given) else tweet_ids_from_value(given)


@dataclass(frozen=True, slots=True)
class PollSettings:
    """What to look at, and how often.

    :param engagement_conn_id: the connection's id: no trigger carries a secret.
    :param endpoint: which endpoint.
    :param types: the engagement types.
    :param tweet_ids: ids, or the URI of a file of them.
    :param interval: seconds between two looks.
    """

    engagement_conn_id: str
    endpoint: str
    types: tuple[str, ...]
    tweet_ids: str | list[str]
    interval: float

    async def looks(self, *, patient: bool) -> AsyncIterator[PollResult]:
        """Look again and again, the first time at once.

        A passing fault is logged, and the next look is awaited.

        :param patient: bear with every fault, also those that only a change can mend.
        :raises EngagementError: if a fault cannot pass, unless patient.
        """
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            try:
                seen = await self._look(due)
            except EngagementError as error:
                if not (patient or error.retryable):
                    raise
                log.warning("No look this time, the next in %.0f s: %s", self.interval, error)
                due = clock() + self.interval
            else:
                yield seen
                due = seen.at + self.interval

    async def _look(self, due: float) -> PollResult:
        from airflow_provider_engagement.hooks.engagement import EngagementHook
        from airflow_provider_engagement.thresholds.poller import PollRequest, see

        hook = EngagementHook(self.engagement_conn_id)
        ask = PollRequest(
            settings=await hook.aget_settings(),
            endpoint=self.endpoint,
            types=self.types,
            tweet_ids=self._read,
            interval=self.interval,
            due=due,
            on_secret=hook.mask,
        )
        return await see(ask)

    async def _read(self) -> Sequence[str]:
        if isinstance(self.tweet_ids, list):
            return self.tweet_ids
        from airflow_provider_engagement.hooks.storage import read_tweet_ids

        return await asyncio.to_thread(read_tweet_ids, self.tweet_ids)
