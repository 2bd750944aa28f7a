"""The sensor that users see."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.operators.base import one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.thresholds.evaluation import Verdict

__all__ = ["EngagementThresholdSensor"]

# What Airflow 2.11 resumes a deferred task with when its time is up. 3.x says it by an exception.
_TIMED_OUT_ON_2 = "Trigger/execution timeout"


class EngagementThresholdSensor(BaseSensorOperator):
    """Waits until Tweets have crossed thresholds.

    It returns which ones have, with the counts seen: ``{"crossed", "needed", "crossings":
    [{"tweet_id", "threshold", "value", "seen_at", "counts"}, ...], "crossings_not_shown"}``,
    below 10 kB. Where so many Tweets can no longer answer that the rest cannot do it, the task
    fails and says why. A fault that passes is waited out.

    ``mode="poke"``, ``mode="reschedule"`` and ``deferrable=True`` behave alike, ``timeout`` and
    ``soft_fail`` included; deferred sensors share their requests.

    :param tweet_ids: the Tweets (templated): ids, or what a template renders to; or the URI of a
        file of ids, which is read again at each poll.
    :param thresholds: by metric, a number for at least that, or text of a comparison (templated):
        ``{"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}``. A rate
        over zero is not crossed.
    :param match: ``"any"`` or ``"all"`` of the thresholds.
    :param require: how many Tweets must match (templated): ``"any"``, ``"all"``, a number; or
        ``"sum"``: the counts of the collection, added up.
    :param endpoint: ``"totals"``, or ``"28hr"`` for what happened in the last 28 hours.
    :param engagement_conn_id: the connection (templated).
    :param deferrable: wait in the triggerer, where no worker is needed; by default as Airflow's
        setting ``[operators] default_deferrable`` says.

    The other parameters are those of every sensor: ``poke_interval``, ``timeout``, ``mode``,
    ``soft_fail`` and so on.
    """

    template_fields: Sequence[str] = ("tweet_ids", "thresholds", "require", "engagement_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "tweet_ids": "json",
        "thresholds": "json",
    }
    ui_color = "#e8f5fd"

    def __init__(
        self,
        *,
        tweet_ids: Any,
        thresholds: Any,
        match: str = "any",
        require: str | int = "any",
        endpoint: str = "totals",
        engagement_conn_id: str = "engagement_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        from airflow_provider_engagement.thresholds.evaluation import MATCHES
        from airflow_provider_engagement.thresholds.parsing import POLLABLE_ENDPOINTS

        super().__init__(**kwargs)
        # A mapped task is made when its collection is known, which may be empty like any other.
        mapped = getattr(self, "_BaseOperator__from_mapped", False)
        if not mapped and isinstance(tweet_ids, (list, tuple)) and not tweet_ids:
            msg = "tweet_ids is an empty list: this task would have nothing to wait for."
            raise InvalidArgumentError(msg)
        one_of(match, MATCHES, name="match")
        one_of(endpoint, POLLABLE_ENDPOINTS, name="endpoint")
        self.tweet_ids = tweet_ids
        self.thresholds = thresholds
        self.match = match
        self.require = require
        self.endpoint = endpoint
        self.engagement_conn_id = engagement_conn_id
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Wait, on a worker or in the triggerer.

        :returns: which Tweets have crossed which threshold, with the counts seen.
        """
        if self.deferrable:
            self._defer()
        return super().execute(context)

    def _defer(self) -> NoReturn:
        from airflow_provider_engagement.triggers.engagement import EngagementThresholdTrigger

        try:
            trigger = EngagementThresholdTrigger(
                tweet_ids=self.tweet_ids,
                thresholds=self.thresholds,
                match=self.match,
                require=self.require,
                endpoint=self.endpoint,
                engagement_conn_id=self.engagement_conn_id,
                poll_interval=self.poke_interval,
            )
        except EngagementError as error:
            raise self._given_up(str(error)) from error
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - a sensor's signature
        """Look once."""
        try:
            verdict = self._look()
        except EngagementError as error:
            if not error.retryable:
                raise self._given_up(str(error)) from error
            self.log.warning("No look this time: %s", error)
            return PokeReturnValue(is_done=False)
        if not verdict.met and verdict.unreachable_reason:
            raise self._given_up(verdict.unreachable_reason)
        self.log.info("%d of %d needed have crossed.", verdict.crossed, verdict.needed)
        return PokeReturnValue(verdict.met, verdict.describe() if verdict.met else None)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:  # noqa: ARG002 - Airflow's signature
        """Take up what the trigger has found."""
        if event["status"] != "met":
            raise self._given_up(event["message"])
        return event["result"]

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Resume, and time out as a poking sensor does: Airflow 2.11 would fail otherwise."""
        if (next_kwargs or {}).get("error") == _TIMED_OUT_ON_2:
            message = f"Sensor has timed out after {self.timeout} seconds."
            raise AirflowSkipException(message) if self.soft_fail else AirflowSensorTimeout(message)
        return super().resume_execution(next_method, next_kwargs, context)

    def _look(self) -> Verdict:
        from airflow_provider_engagement.api.query import build_query
        from airflow_provider_engagement.hooks.engagement import EngagementHook
        from airflow_provider_engagement.hooks.storage import read_tweet_ids
        from airflow_provider_engagement.thresholds.evaluation import judge, make_rule
        from airflow_provider_engagement.thresholds.observation import observe

        rule = make_rule(
            self.thresholds, match=self.match, require=self.require, endpoint=self.endpoint
        )
        tweet_ids = read_tweet_ids(self.tweet_ids)
        with EngagementHook(self.engagement_conn_id).get_conn() as client:
            query = build_query(
                self.endpoint,
                has_owner=client.settings.credentials.has_owner,
                engagement_types=list(rule.types),
                granularity="total",
            )
            return judge(rule, observe(client, query, tweet_ids), tweet_ids)

    def _given_up(self, message: str) -> Exception:
        """Give what to raise where waiting is no use: the same in each mode, on each Airflow."""
        skipped = self.soft_fail or self.never_fail
        return AirflowSkipException(message) if skipped else AirflowFailException(message)
