"""The triggers: one for the sensor, one for an ``AssetWatcher``."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.compat import BaseEventTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Mapping, Sequence

    from airflow_provider_engagement.thresholds.crossing_state import AssetStore, StateStore
    from airflow_provider_engagement.thresholds.evaluation import Verdict
    from airflow_provider_engagement.thresholds.poller import PollResult
    from airflow_provider_engagement.thresholds.rules import Rule
    from airflow_provider_engagement.triggers.stream import Poll, PollingProducer

__all__ = ["EngagementThresholdEventTrigger", "EngagementThresholdTrigger"]

_MODULE: Final = "airflow_provider_engagement.triggers.engagement"


class EngagementThresholdTrigger(BaseTrigger):
    """Waits in the triggerer until Tweets have crossed thresholds, for the sensor.

    It sends one event:

    - ``{"status": "met", "result": {...}}`` with what the sensor returns;
    - ``{"status": "unreachable", "message": "..."}`` if too few Tweets can still cross;
    - ``{"status": "failed", "message": "...", "retryable": true or false}`` if it cannot poll.

    :param tweet_ids: ids; or the URI of a file, a folder or a pattern, which is read again at each
        poll.
    :param id_column: the column of a table that holds the ids; None to go by the known names.
    :param thresholds: by metric, a number for "at least", or text such as ``"< 5"``.
    :param match: ``"any"`` or ``"all"`` of the thresholds.
    :param require: how many Tweets: ``"any"``, ``"all"``, a number; or ``"sum"`` for their sum.
    :param endpoint: ``"totals"`` or ``"28hr"``.
    :param engagement_conn_id: the connection, which is read in the triggerer.
    :param poll_interval: seconds between two polls.
    :param exponential_backoff: double the interval with each poll, as Airflow's sensors do.
    :param max_wait: the longest interval with ``exponential_backoff``, seconds.
    :param jitter_seed: text from which the jitter of ``exponential_backoff`` is derived.
    :param timeout: seconds after which Airflow ends the trigger. With ``exponential_backoff`` the
        last poll comes shortly before.
    :param silent_fail: log every error, and go on polling.
    """

    def __init__(
        self,
        *,
        tweet_ids: Sequence[str | int] | str,
        thresholds: Mapping[str, float | str] | str,
        id_column: str | None = None,
        match: str = "any",
        require: str | int = "any",
        endpoint: str = "totals",
        engagement_conn_id: str = "engagement_default",
        poll_interval: float = 60.0,
        exponential_backoff: bool = False,
        max_wait: float | None = None,
        jitter_seed: str = "",
        timeout: float | None = None,
        silent_fail: bool = False,
    ) -> None:
        from airflow_provider_engagement.thresholds.schedule import PollSchedule
        from airflow_provider_engagement.triggers.polling import PollSettings

        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.settings = PollSettings.parse(
            tweet_ids=tweet_ids,
            id_column=id_column,
            thresholds=thresholds,
            match=match,
            require=require,
            endpoint=endpoint,
            engagement_conn_id=engagement_conn_id,
        )
        self.schedule = PollSchedule(
            float(poll_interval), exponential_backoff, max_wait, jitter_seed, timeout
        )
        self.silent_fail = silent_fail

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, from which Airflow makes the trigger again."""
        return f"{_MODULE}.{type(self).__name__}", {
            **self.settings.serialize(),
            "poll_interval": self.schedule.interval,
            "exponential_backoff": self.schedule.exponential_backoff,
            "max_wait": self.schedule.max_wait,
            "jitter_seed": self.schedule.jitter_seed,
            "timeout": self.schedule.timeout,
            "silent_fail": self.silent_fail,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until the rule is met or cannot be met any more, and yield one event."""
        loop = self.settings.loop(self.schedule, waits_out_all=self.silent_fail)
        try:
            async for result in loop.results():
                verdict = await asyncio.to_thread(_decide, self.settings.rule, result)
                if verdict.met:
                    yield _event(status="met", result=verdict.to_dict())
                    return
                if verdict.unreachable_reason:
                    yield _event(status="unreachable", message=verdict.unreachable_reason)
                    return
        except EngagementError as error:
            yield _event(status="failed", message=str(error), retryable=error.retryable)
        except Exception as error:
            # An error that a trigger raises reaches the task without its message.
            self.log.exception("The trigger failed.")
            msg = f"The trigger failed: {type(error).__name__}. See the triggerer's log."
            yield _event(status="failed", message=msg, retryable=True)


class EngagementThresholdEventTrigger(BaseEventTrigger):
    """Starts DAGs when Tweets cross thresholds, as the trigger of an ``AssetWatcher``.

    All crossings seen in one poll are sent in one event, ``{"event_id", "crossings": [{"tweet_id",
    "threshold", "value", "seen_at"}, ...]}``. Each crossing is reported once. After a crash an
    event may be sent again with the same ``event_id``; none is lost. Needs Airflow 3.3.

    :param asset_name: the name of the asset that is watched. Airflow keeps the watcher's state
        with it.
    :param tweet_ids: ids; or the URI of a file, a folder or a pattern, which is read again at each
        poll.
    :param id_column: the column of a table that holds the ids; None to go by the known names.
    :param thresholds: by metric, a number for "at least", or text such as ``"< 5"``.
    :param match: report each of the thresholds by itself (``"any"``), or ``"all"`` together.
    :param require: report once ``"any"``, ``"all"`` or a number of the Tweets are beyond a
        threshold; or report the ``"sum"`` of them.
    :param endpoint: ``"totals"`` or ``"28hr"``.
    :param engagement_conn_id: the connection, which is read in the triggerer.
    :param fire_existing: report Tweets whose first count is beyond a threshold, too.
    :param poll_interval: seconds between two polls.
    """

    def __init__(
        self,
        *,
        asset_name: str,
        tweet_ids: Sequence[str | int] | str,
        thresholds: Mapping[str, float | str] | str,
        id_column: str | None = None,
        match: str = "any",
        require: str | int = "any",
        endpoint: str = "totals",
        engagement_conn_id: str = "engagement_default",
        fire_existing: bool = False,
        poll_interval: float = 60.0,
    ) -> None:
        from airflow_provider_engagement.triggers.polling import PollSettings

        _check_airflow()
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.asset_name = asset_name
        self.fire_existing = fire_existing
        self.poll_interval = float(poll_interval)
        self.settings = PollSettings.parse(
            tweet_ids=tweet_ids,
            id_column=id_column,
            thresholds=thresholds,
            match=match,
            require=require,
            endpoint=endpoint,
            engagement_conn_id=engagement_conn_id,
        )
        if not self.settings.tweet_ids:
            msg = "tweet_ids is an empty list: this watcher would have nothing to poll."
            raise InvalidArgumentError(msg)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments, from which Airflow makes the trigger again."""
        return f"{_MODULE}.{type(self).__name__}", {
            "asset_name": self.asset_name,
            **self.settings.serialize(),
            "fire_existing": self.fire_existing,
            "poll_interval": self.poll_interval,
        }

    def shared_stream_key(self) -> Hashable:
        """Return the same key for all watchers that poll the same counts at the same interval."""
        settings = self.settings
        return (
            _MODULE,
            settings.engagement_conn_id,
            settings.endpoint,
            settings.rule.engagement_types,
            self.poll_interval,
            # A digest, because Airflow logs the key.
            hashlib.sha256(settings.tweet_ids.encode()).hexdigest(),
            settings.id_column,
        )

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> PollingProducer:
        """Return the polling for all watchers of a stream."""
        from airflow_provider_engagement.thresholds.schedule import PollSchedule
        from airflow_provider_engagement.triggers.stream import PollingProducer

        trigger = cls(**kwargs)
        schedule = PollSchedule(trigger.poll_interval)
        return PollingProducer(trigger.settings.loop(schedule, waits_out_all=True))

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Poll]
    ) -> AsyncIterator[TriggerEvent]:
        """Yield one event for each poll with new crossings."""
        # In a thread, because of what is imported.
        store = await asyncio.to_thread(self._state_store, self._asset_store())
        events = await store.load()
        async for poll in shared_stream:
            event = await store.update(poll.result.observation, poll.result.tweet_ids)
            if event:
                events.append(event)
            if events:
                await store.add_pending(events)
            if store.has_changed:
                poll.when_stored.append(store.when_sent(events))
            for event in events:
                yield TriggerEvent(event)  # type: ignore[no-untyped-call]  # Airflow's own
            events = []

    def _state_store(self, store: AssetStore) -> StateStore:
        from airflow_provider_engagement.thresholds.crossing_state import StateStore

        return StateStore(
            store, self.settings.rule, fire_existing=self.fire_existing, source=self.asset_name
        )

    def _asset_store(self) -> AssetStore:
        from airflow.providers.common.compat.sdk import Asset

        try:
            if self.asset_state_store is not None:
                return self.asset_state_store[Asset.ref(name=self.asset_name)]
        except KeyError:
            pass
        msg = (
            f"asset_name is {self.asset_name!r}, but no asset of that name has this watcher. "
            "It must be the name of the asset whose watchers include it."
        )
        raise InvalidArgumentError(msg)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Refuse to run alone: Airflow 3.3 runs event triggers by their shared stream."""
        _check_airflow()
        msg = "EngagementThresholdEventTrigger is for an AssetWatcher; to wait, use the sensor."
        raise InvalidArgumentError(msg)
        yield  # type: ignore[unreachable]  # makes it a generator


def _decide(rule: Rule, result: PollResult) -> Verdict:
    """Decide in a thread, because of large collections and of what is imported."""
    from airflow_provider_engagement.thresholds.evaluation import decide

    return decide(rule, result.observation.select(result.tweet_ids))


def _event(**payload: object) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's own


def _check_airflow() -> None:
    """Refuse an Airflow that does not report to an event trigger when its events are stored."""
    if hasattr(BaseEventTrigger, "create_shared_stream_producer"):
        return
    from airflow import __version__

    msg = (
        f"EngagementThresholdEventTrigger needs Airflow 3.3 or later; this is {__version__}. "
        "On earlier versions wait with EngagementThresholdSensor."
    )
    raise InvalidArgumentError(msg)
