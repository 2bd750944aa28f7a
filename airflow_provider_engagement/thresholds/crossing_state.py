"""Which crossings a watcher has reported, in memory and in the asset's state store."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from airflow_provider_engagement.thresholds.evaluation import evaluate
from airflow_provider_engagement.thresholds.rules import SUM

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from airflow_provider_engagement.thresholds.evaluation import Crossing
    from airflow_provider_engagement.thresholds.observation import Observation
    from airflow_provider_engagement.thresholds.rules import Rule

__all__ = ["AssetStore", "CrossingState", "StateStore", "make_event"]

# The state of one Tweet and condition. Stored as a character each, in this order.
_NOT_SEEN, _BELOW, _REPORTED = range(3)
_CHARACTERS: Final = ".01"
_AS_TEXT: Final = bytes.maketrans(bytes(range(3)), _CHARACTERS.encode())

# The key of the collection's sum, which has no id.
_SUM_KEY: Final = ""

# The keys in the asset's state store: the state, and the events that Airflow has not stored yet.
_STATE: Final = "engagement_crossing_state"
_PENDING: Final = "engagement_pending_events"


class CrossingState:
    """For each Tweet and condition: not seen, below the threshold, or reported.

    A crossing is reported once, even if a count falls back and rises again. A Tweet whose first
    count is beyond a threshold counts as reported: it is part of the baseline.

    :param rule: what is watched.
    :param fire_existing: report Tweets whose first count is beyond a threshold, too.
    """

    def __init__(self, rule: Rule, *, fire_existing: bool = False) -> None:
        self._rule = rule
        self._first_beyond = _BELOW if fire_existing else _REPORTED
        self._conditions = [str(condition) for condition in rule.conditions]
        self._rows: dict[str, int] = {}
        self._states = self._not_seen(0)

    def load(self, stored: dict[str, Any] | None) -> None:
        """Restore what :meth:`dump` returned earlier.

        A condition that was not watched then has not been seen.

        :param stored: None if nothing is stored.
        """
        if not stored:
            return
        columns = {name: column for column, name in enumerate(stored["conditions"])}
        for characters, ids in stored["states"].items():
            states = [
                _CHARACTERS.index(characters[columns[name]]) if name in columns else _NOT_SEEN
                for name in self._conditions
            ]
            rows = self._rows_of(ids.split(","))  # the key of the sum is empty
            self._states[rows] = states

    def dump(self) -> dict[str, Any]:
        """Return the whole state ready for JSON: 20 bytes a Tweet."""
        width = len(self._conditions)
        text = self._states.tobytes().translate(_AS_TEXT).decode()
        by_states: defaultdict[str, list[str]] = defaultdict(list)
        for row, key in enumerate(self._rows):
            by_states[text[row * width : (row + 1) * width]].append(key)
        by_states.pop(_CHARACTERS[_NOT_SEEN] * width, None)
        return {
            "conditions": self._conditions,
            "states": {states: ",".join(keys) for states, keys in by_states.items()},
        }

    def update(self, observation: Observation) -> list[Crossing]:
        """Add an observation of the collection.

        :returns: the crossings to report now, which count as reported from here on. It is empty
            as long as fewer Tweets have crossed than are required; with ``require="all"`` those
            without the counts are not required.
        """
        found = evaluate(self._rule, observation)
        rows = self._rows_of([_SUM_KEY] if self._rule.require == SUM else observation.tweet_ids)
        states = self._states[rows]
        first = found.known & (states == _NOT_SEEN)
        states[first] = np.where(found.crossed, self._first_beyond, _BELOW)[first]
        if self._rule.require == "all":
            needed = max(1, found.can_meet)
        else:
            needed = self._rule.needed(len(observation.tweet_ids))
        new = found.crossed & (states == _BELOW) & (found.met >= needed)
        states[new] = _REPORTED
        self._states[rows] = states
        return [found.crossing(row, column) for row, column in np.argwhere(new).tolist()]

    def mark_reported(self, crossings: Iterable[dict[str, Any]]) -> bool:
        """Mark the crossings of an event as reported.

        :returns: whether any of them was not. That includes conditions that are not watched any
            more.
        """
        unreported = False
        for crossing in crossings:
            if crossing["threshold"] not in self._conditions:
                unreported = True
                continue
            (row,) = self._rows_of([crossing["tweet_id"] or _SUM_KEY])
            column = self._conditions.index(crossing["threshold"])
            unreported = unreported or self._states[row, column] != _REPORTED
            self._states[row, column] = _REPORTED
        return unreported

    def _rows_of(self, keys: Sequence[str]) -> NDArray[np.intp]:
        """Return the rows of some Tweets, and add those that are new."""
        rows = [self._rows.setdefault(key, len(self._rows)) for key in keys]
        missing = len(self._rows) - len(self._states)
        self._states = np.concatenate([self._states, self._not_seen(missing)])
        return np.array(rows, np.intp)

    def _not_seen(self, rows: int) -> NDArray[np.int8]:
        return np.full((rows, len(self._conditions)), _NOT_SEEN, np.int8)


class AssetStore(Protocol):
    """The part of Airflow's asset state store that is used."""

    async def aget(self, key: str) -> Any:
        """Return the value of a key, or None."""

    async def aset(self, key: str, value: Any) -> None:
        """Write a value."""


class StateStore:
    """Keeps a watcher's state in its asset's state store.

    A crossing is stored as reported only after Airflow has stored its event. Before an event is
    sent it is stored as pending, and sent again unchanged if the triggerer ends in between.

    :param store: the asset's state store.
    :param rule: what is watched.
    :param fire_existing: as for :class:`CrossingState`.
    :param source: as for :func:`make_event`.
    """

    def __init__(self, store: AssetStore, rule: Rule, *, fire_existing: bool, source: str) -> None:
        self._source = source
        self._state = CrossingState(rule, fire_existing=fire_existing)
        self._store = store
        self._stored: Any = None
        self._current: Any = None
        self._pending: list[dict[str, Any]] = []

    async def load(self) -> list[dict[str, Any]]:
        """Restore the state.

        :returns: the pending events that hold a crossing which is not stored as reported.
        """
        self._stored = await self._store.aget(_STATE)
        pending = await self._store.aget(_PENDING) or []
        return await asyncio.to_thread(self._load, pending)

    async def update(
        self, observation: Observation, tweet_ids: Sequence[str]
    ) -> dict[str, Any] | None:
        """Add an observation, in a thread.

        :param tweet_ids: the watched Tweets, which are some of the observation's.
        :returns: the event of the crossings to report now; None if there are none.
        """
        return await asyncio.to_thread(self._update, observation, tweet_ids)

    @property
    def has_changed(self) -> bool:
        """Whether there is anything to store."""
        return bool(self._pending) or self._current != self._stored

    async def add_pending(self, events: list[dict[str, Any]]) -> None:
        """Store events that are about to be sent."""
        self._pending += events
        await self._store.aset(_PENDING, self._pending)

    def when_sent(self, events: list[dict[str, Any]]) -> Callable[[], Awaitable[None]]:
        """Return what to call once Airflow has stored some events: it stores the present state."""
        return partial(self._confirm, self._current, events)

    async def _confirm(self, state: dict[str, Any], events: list[dict[str, Any]]) -> None:
        if state != self._stored:
            await self._store.aset(_STATE, state)
            self._stored = state
        if events:
            self._pending = [event for event in self._pending if event not in events]
            await self._store.aset(_PENDING, self._pending)

    def _load(self, pending: list[dict[str, Any]]) -> list[dict[str, Any]]:
        self._state.load(self._stored)
        unsent = [event for event in pending if self._state.mark_reported(event["crossings"])]
        self._current = self._state.dump()
        return unsent

    def _update(self, observation: Observation, tweet_ids: Sequence[str]) -> dict[str, Any] | None:
        crossings = self._state.update(observation.select(tweet_ids))
        self._current = self._state.dump()
        return make_event(crossings, source=self._source) if crossings else None


def make_event(crossings: Sequence[Crossing], *, source: str) -> dict[str, Any]:
    """Return one event of several crossings: Airflow starts one run for all events of a poll.

    :param crossings: the crossings.
    :param source: the watcher's asset. The same crossings of another one have another event id.
    """
    described = [crossing.to_dict() for crossing in crossings]
    digest = hashlib.sha256(source.encode())
    for crossing in described:
        # One at a time, because json keeps other threads from running until it is done.
        digest.update(json.dumps(crossing).encode())
    return {"event_id": digest.hexdigest()[:32], "crossings": described}
