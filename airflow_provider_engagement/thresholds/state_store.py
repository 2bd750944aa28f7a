"""What a watcher keeps in its asset's state store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.thresholds.crossing_state import CrossingState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_provider_engagement.thresholds.evaluation import Rule

__all__ = ["StateStore"]

# What has been told of, and the events that are on their way.
_MARKS: Final = "engagement_marks"
_OUTBOX: Final = "engagement_outbox"


class StateStore:
    """What a watcher keeps in its asset's state store.

    What has been told of is written only once the event that tells of it is in Airflow's
    database. The event itself is written before it is sent, so that it comes again as it was if
    the triggerer ends in between.

    :param store: the asset's state store.
    :param rule: what is watched for.
    :param fire_existing: tell also of Tweets that are first seen beyond a threshold.
    """

    def __init__(self, store: Any, rule: Rule, *, fire_existing: bool) -> None:
        self.marks = CrossingState(rule, fire_existing=fire_existing)
        self._store = store
        self._stored: Any = None
        self._on_their_way: list[dict[str, Any]] = []

    async def recall(self) -> list[dict[str, Any]]:
        """Take up what is stored.

        :returns: the events that were on their way, and of which not all is known to be told.
        """
        self._stored = await self._store.aget(_MARKS)
        self.marks.load(self._stored)
        sent = await self._store.aget(_OUTBOX) or []
        return [event for event in sent if self.marks.settle(event["crossings"])]

    @property
    def is_news(self) -> bool:
        """Whether there is anything to put down."""
        return bool(self._on_their_way) or self.marks.dump() != self._stored

    async def intend(self, events: list[dict[str, Any]]) -> None:
        """Note events that are about to be sent."""
        self._on_their_way += events
        await self._store.aset(_OUTBOX, self._on_their_way)

    def put_down(self, events: list[dict[str, Any]]) -> Callable[[], Awaitable[None]]:
        """Give what notes, later, that events are stored, and what had been seen by now."""
        return partial(self._put_down, self.marks.dump(), events)

    async def _put_down(self, marks: dict[str, Any], events: list[dict[str, Any]]) -> None:
        if marks != self._stored:
            await self._store.aset(_MARKS, marks)
            self._stored = marks
        if events:
            self._on_their_way = [one for one in self._on_their_way if one not in events]
            await self._store.aset(_OUTBOX, self._on_their_way)
