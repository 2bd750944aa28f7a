"""The triggers that users see: one for the sensor, one for an ``AssetWatcher``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from airflow_provider_engagement.thresholds.evaluation import Rule
    from airflow_provider_engagement.triggers.stream import Poll, PollingProducer

__all__ = ["EngagementThresholdEventTrigger", "EngagementThresholdTrigger"]

_MODULE: Final = "airflow_provider_engagement.triggers.engagement"


class EngagementThresholdTrigger(BaseTrigger):
    """Waits in the triggerer until Tweets have crossed thresholds, for the sensor.

    Its one event is ``{"status": "met", "result": {...}}``, or ``{"status": "failed", "message"}``
    where it can no longer come to that, or no retry can mend what went wrong.

    :param tweet_ids: ids, or the URI of a file of them, which is read again at each poll.
    :param thresholds: by metric, a number for at least that, or text such as ``"< 5"``.
    :param match: ``"any"`` or ``"all"`` of the thresholds.
    :param require: how many Tweets: ``"any"``, ``"all"``, a number, or ``"sum"`` of them.
    :param endpoint: ``"totals"`` or ``"28hr"``.
    :param engagement_conn_id: the connection, which is read in the triggerer.
    :param poll_interval: seconds between two polls.
    """

    def __init__(
        self,
        *,
        tweet_ids: Any,
        thresholds: Any,
        match: str = "any",
        require: str | int = "any",
        endpoint: str = "totals",
        engagement_conn_id: str = "engagement_default",
        poll_interval: float = 60.0,
    ) -> None:
        from airflow_provider_engagement.thresholds.evaluation import make_rule
        from airflow_provider_engagement.triggers.polling import PollSettings, plain_tweet_ids

        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.rule = make_rule(thresholds, match=match, require=require, endpoint=endpoint)
        self.match = match
        self.watch = PollSettings(
            engagement_conn_id,
            endpoint,
            self.rule.types,
            plain_tweet_ids(tweet_ids),
            float(poll_interval),
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and the arguments that make this trigger again."""
        watch = self.watch
        return f"{_MODULE}.{type(self).__name__}", {
            "tweet_ids": watch.tweet_ids,
            "thresholds": _plain(self.rule),
            "match": self.match,
            "require": self.rule.require,
            "endpoint": str(watch.endpoint),
            "engagement_conn_id": watch.engagement_conn_id,
            "poll_interval": watch.interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and give one event."""
        from airflow_provider_engagement.thresholds.evaluation import judge

        try:
            async for seen in self.watch.looks(patient=False):
                verdict = judge(self.rule, seen.look, seen.tweet_ids)
                if verdict.met:
                    yield _event({"status": "met", "result": verdict.describe()})
                    return
                if verdict.unreachable_reason:
                    yield _failed(verdict.unreachable_reason)
                    return
        except EngagementError as error:
            yield _failed(str(error))
        except Exception as error:
            # The sensor raises what it is told: a trigger that raises loses its words on the way.
            self.log.exception("The trigger broke off.")
            yield _failed(f"The trigger broke off: {type(error).__name__}. Its log tells more.")


class EngagementThresholdEventTrigger(BaseEventTrigger):
    """Starts DAGs when Tweets cross thresholds, as the trigger of an ``AssetWatcher``.

    All crossings seen in one poll travel in one event, ``{"event_id", "crossings": [{"tweet_id",
    "threshold", "value", "seen_at"}, ...]}``. Each is told of once; after a crash an event may
    come again, with the same ``event_id``, and none is lost. Needs Airflow 3.3.

    :param asset_name: the name of the asset that is watched; Airflow keeps the watcher's state
        with it.
    :param tweet_ids: ids, or the URI of a file of them, which is read again at each poll.
    :param thresholds: by metric, a number for at least that, or text such as ``"< 5"``.
    :param match: whether any of the thresholds is told of by itself, or all together.
    :param require: tell of Tweets once ``"any"``, ``"all"`` or a number of them are beyond a
        threshold; or of the ``"sum"`` of them.
    :param endpoint: ``"totals"`` or ``"28hr"``.
    :param engagement_conn_id: the connection, which is read in the triggerer.
    :param fire_existing: tell also of Tweets that are first seen beyond a threshold.
    :param poll_interval: seconds between two polls.
    """

    def __init__(
        self,
        *,
        asset_name: str,
        tweet_ids: Any,
        thresholds: Any,
        match: str = "any",
        require: str | int = "any",
        endpoint: str = "totals",
        engagement_conn_id: str = "engagement_default",
        fire_existing: bool = False,
        poll_interval: float = 60.0,
    ) -> None:
        from airflow_provider_engagement.thresholds.evaluation import make_rule
        from airflow_provider_engagement.triggers.polling import PollSettings, plain_tweet_ids

        _check_airflow()
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's own
        self.asset_name = asset_name
        self.rule = make_rule(thresholds, match=match, require=require, endpoint=endpoint)
        self.match = match
        self.fire_existing = fire_existing
        self.watch = PollSettings(
            engagement_conn_id,
            endpoint,
            self.rule.types,
            plain_tweet_ids(tweet_ids),
            float(poll_interval),
        )
        if not self.watch.tweet_ids:
            msg = "tweet_ids is an empty list: this watcher would have nothing to ask for."
            raise InvalidArgumentError(msg)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the class and the arguments that make this trigger again."""
        watch = self.watch
        return f"{_MODULE}.{type(self).__name__}", {
            "asset_name": self.asset_name,
            "tweet_ids": watch.tweet_ids,
            "thresholds": _plain(self.rule),
            "match": self.match,
            "require": self.rule.require,
            "endpoint": str(watch.endpoint),
            "engagement_conn_id": watch.engagement_conn_id,
            "fire_existing": self.fire_existing,
            "poll_interval": watch.interval,
        }

    def shared_stream_key(self) -> Hashable:
        """Tell whose polling this watcher can share: those who ask for the same counts."""
        watch = self.watch
        ids = watch.tweet_ids
        whose = ids if isinstance(ids, str) else tuple(ids)
        return (
            _MODULE,
            watch.engagement_conn_id,
            watch.endpoint,
            watch.types,
            watch.interval,
            whose,
        )

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> PollingProducer:
        """Make what polls for all watchers of a stream."""
        from airflow_provider_engagement.triggers.stream import PollingProducer

        return PollingProducer(cls(**kwargs).watch)

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Poll]
    ) -> AsyncIterator[TriggerEvent]:
        """Give one event for each poll that has brought crossings."""
        from airflow_provider_engagement.thresholds.crossing_state import make_event
        from airflow_provider_engagement.thresholds.state_store import StateStore

        memory = StateStore(self._store(), self.rule, fire_existing=self.fire_existing)
        events = await memory.recall()
        async for poll in shared_stream:
            crossings = memory.marks.update(poll.seen.look, poll.seen.tweet_ids)
            if crossings:
                events.append(make_event(crossings, source=self.asset_name))
            if events:
                await memory.intend(events)
            if memory.is_news:
                poll.when_stored.append(memory.put_down(events))
            for event in events:
                yield _event(event)
            events = []

    def _store(self) -> Any:
        from airflow.providers.common.compat.sdk import Asset

        try:
            if self.asset_state_store is not None:
                return self.asset_state_store[Asset.ref(name=self.asset_name)]
        except KeyError:
            pass
        msg = (
            f"asset_name is {self.asset_name!r}, and no asset of that name has this watcher. "
            "It must be the name of the asset whose watchers it is in."
        )
        raise InvalidArgumentError(msg)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Refuse to run alone: Airflow 3.3 runs event triggers by their shared stream."""
        _check_airflow()
        msg = "EngagementThresholdEventTrigger is for an AssetWatcher; to wait, use the sensor."
        raise InvalidArgumentError(msg)
        yield  # type: ignore[unreachable]  # what makes it a generator


def _plain(rule: Rule) -> dict[str, str]:
    from airflow_provider_engagement.thresholds.parsing import as_plain

    return as_plain(one for condition in rule.conditions for one in condition.thresholds)


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]  # Airflow's own


def _failed(message: str) -> TriggerEvent:
    return _event({"status": "failed", "message": message})


def _check_airflow() -> None:
    """Refuse an Airflow whose event triggers cannot tell when their events are stored."""
    if hasattr(BaseEventTrigger, "create_shared_stream_producer"):
        return
    from airflow import __version__

    msg = (
        f"EngagementThresholdEventTrigger needs Airflow 3.3 or later; this is {__version__}. "
        "On earlier ones wait with EngagementThresholdSensor."
    )
    raise InvalidArgumentError(msg)
