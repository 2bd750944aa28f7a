"""The sensor that waits for thresholds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, Unpack

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.hooks.engagement import EngagementHook
    from airflow_provider_engagement.operators.parameters import Text, TweetIds
    from airflow_provider_engagement.sensors.parameters import (
        Match,
        PolledEndpoint,
        Requirement,
        SensorParameters,
        Thresholds,
    )
    from airflow_provider_engagement.thresholds.evaluation import Verdict
    from airflow_provider_engagement.thresholds.rules import Rule

__all__ = ["EngagementThresholdSensor"]

# What Airflow resumes a deferred task with when its timeout is over: 3.x, and 2.11.
_TIMEOUT_REASONS: Final = ("Trigger timeout", "Trigger/execution timeout")


class EngagementThresholdSensor(BaseSensorOperator):
    """Waits until Tweets have crossed thresholds.

    It returns the crossings with their counts: ``{"crossed", "needed", "crossings": [{"tweet_id",
    "threshold", "value", "seen_at", "counts"}, ...], "crossings_not_shown"}``, below 10 kB.

    If the counts of so many Tweets are unavailable that the others are too few, the task fails
    with the reason. With ``soft_fail=True`` it is skipped then, and when its ``timeout`` is over;
    nothing else is skipped. An outage of the service is waited out. Wrong credentials and wrong
    parameters fail the task at once; after a successful poll, such an error is waited out for
    five minutes.

    ``mode="poke"``, ``mode="reschedule"`` and ``deferrable=True`` return the same, time out alike
    and are skipped alike. Deferred sensors share their requests.

    :param tweet_ids: the Tweets (templated): ids, or what a template renders to; or the URI of a
        file, a folder or a pattern, which is read again at each poll.
    :param id_column: the column of a table, or the key of JSON objects, that holds the ids
        (templated). By default it is found by its name, such as ``tweet_id`` or ``Post id``.
    :param thresholds: by metric, a number for "at least", or text of a comparison (templated):
        ``{"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}``. A rate
        over zero is not crossed.
    :param match: ``"any"`` or ``"all"`` of the thresholds.
    :param require: how many Tweets must match (templated): ``"any"``, ``"all"``, a number; or
        ``"sum"`` for the added counts of the collection.
    :param endpoint: ``"totals"`` for the counts to date, ``"28hr"`` for those of the last 28 hours.
    :param engagement_conn_id: the connection (templated).
    :param deferrable: wait in the triggerer, without a worker slot; by default as Airflow's
        setting ``[operators] default_deferrable`` says.

    The other parameters are those of every sensor: ``poke_interval``, ``timeout``, ``mode``,
    ``soft_fail``, ``exponential_backoff`` and so on.
    """

    template_fields: Sequence[str] = (
        "tweet_ids",
        "id_column",
        "thresholds",
        "require",
        "engagement_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "tweet_ids": "json",
        "thresholds": "json",
    }
    ui_color = "#e8f5fd"

    def __init__(
        self,
        *,
        tweet_ids: TweetIds,
        thresholds: Thresholds,
        id_column: Text | None = None,
        match: Match = "any",
        require: Requirement = "any",
        endpoint: PolledEndpoint = "totals",
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Unpack[SensorParameters],
    ) -> None:
        from airflow_provider_engagement.thresholds.parsing import POLLABLE_ENDPOINTS
        from airflow_provider_engagement.thresholds.rules import MATCHES
        from airflow_provider_engagement.thresholds.schedule import Patience

        super().__init__(**kwargs)
        # Mapped tasks are created at run time, when an empty list is valid.
        is_mapped = getattr(self, "_BaseOperator__from_mapped", False)
        if not is_mapped and isinstance(tweet_ids, (list, tuple)) and not tweet_ids:
            msg = "tweet_ids is an empty list: this task would have nothing to wait for."
            raise InvalidArgumentError(msg)
        check_one_of(match, MATCHES, name="match")
        check_one_of(endpoint, POLLABLE_ENDPOINTS, name="endpoint")
        self.tweet_ids = tweet_ids
        self.id_column = id_column
        self.thresholds = thresholds
        self.match = match
        self.require = require
        self.endpoint = endpoint
        self.engagement_conn_id = engagement_conn_id
        self.deferrable = deferrable
        self._patience = Patience()
        self._read_ids: list[str] | None = None

    def execute(self, context: Context) -> Any:
        """Wait, on a worker or in the triggerer.

        :returns: the crossings, with their counts.
        """
        try:
            rule = self._rule()
            if self.deferrable:
                self._defer(rule)
            return super().execute(context)
        except EngagementError as error:
            # Out here, because soft_fail makes BaseSensorOperator skip an AirflowFailException.
            # In reschedule mode it is unknown whether an earlier poll has succeeded.
            may_pass = self.reschedule and not isinstance(error, InvalidArgumentError)
            raise self._failure(str(error), retryable=error.retryable or may_pass) from error

    def poke(self, context: Context) -> PokeReturnValue:  # noqa: ARG002 - a sensor's signature
        """Poll once.

        :raises EngagementError: if the task must fail.
        """
        try:
            verdict = self._poll(self._hook().get_conn())
        except EngagementError as error:
            if not (error.retryable or self._patience.lasts()):
                raise
            self.log.warning("This poll failed. %s", error)
            return PokeReturnValue(is_done=False)
        self._patience.succeed()
        if not verdict.met and verdict.unreachable_reason:
            raise self._unreachable(verdict.unreachable_reason)
        self.log.info("%d of %d needed have crossed.", verdict.crossed, verdict.needed)
        return PokeReturnValue(verdict.met, verdict.to_dict() if verdict.met else None)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:  # noqa: ARG002 - Airflow's signature
        """Return what the trigger found, or fail as it says.

        :param event: the trigger's event: see :class:`EngagementThresholdTrigger`.
        """
        if event["status"] == "unreachable":
            raise self._unreachable(event["message"])
        if event["status"] != "met":
            raise self._failure(event["message"], retryable=event["retryable"])
        return event["result"]

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Resume as the poking modes do: ``soft_fail`` skips a timeout, and no failure."""
        if (next_kwargs or {}).get("error") in _TIMEOUT_REASONS:
            message = f"Sensor has timed out after {self.timeout} seconds."
            raise AirflowSkipException(message) if self.soft_fail else AirflowSensorTimeout(message)
        try:
            # Past BaseSensorOperator, whose soft_fail skips every failure of a deferred sensor.
            return super(BaseSensorOperator, self).resume_execution(
                next_method, next_kwargs, context
            )
        except AirflowException as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def _defer(self, rule: Rule) -> NoReturn:
        from airflow_provider_engagement.triggers.engagement import EngagementThresholdTrigger
        from airflow_provider_engagement.triggers.polling import serialize_tweet_ids

        hook = self._hook()
        # A connection that is not found fails the task here, at once. The trigger is patient.
        try:
            hook.get_settings()
        except EngagementError as error:
            if not error.retryable:
                raise
        trigger = EngagementThresholdTrigger(
            tweet_ids=serialize_tweet_ids(self.tweet_ids, self._id_column()),
            id_column=self._id_column(),
            thresholds=rule.serialize(),
            match=self.match,
            require=rule.require,
            endpoint=self.endpoint,
            engagement_conn_id=hook.engagement_conn_id,
            poll_interval=self.poke_interval,
            exponential_backoff=self.exponential_backoff,
            max_wait=self.max_wait.total_seconds() if self.max_wait else None,
            jitter_seed=f"{self.dag_id}#{self.task_id}#{datetime.now(UTC)}",
            timeout=self.timeout,
            silent_fail=self.silent_fail,
        )
        timeout = timedelta(seconds=self.timeout)
        self.defer(trigger=trigger, method_name="execute_complete", timeout=timeout)

    def _poll(self, client: EngagementClient) -> Verdict:
        from airflow_provider_engagement.api.query import build_query
        from airflow_provider_engagement.thresholds.evaluation import decide
        from airflow_provider_engagement.thresholds.observation import observe

        rule = self._rule()
        with client:
            query = build_query(
                self.endpoint,
                has_owner=client.settings.credentials.has_owner,
                engagement_types=list(rule.engagement_types),
                granularity="total",
            )
            return decide(rule, observe(client, query, self._tweet_ids()))

    def _hook(self) -> EngagementHook:
        from airflow_provider_engagement.hooks.engagement import EngagementHook
        from airflow_provider_engagement.operators.coercion import or_default

        return EngagementHook(str(or_default(self.engagement_conn_id, ENGAGEMENT_CONN_ID)))

    def _rule(self) -> Rule:
        from airflow_provider_engagement.operators.coercion import or_default
        from airflow_provider_engagement.thresholds.rules import parse_rule

        require = or_default(self.require, "any")
        return parse_rule(
            self.thresholds, match=self.match, require=require, endpoint=self.endpoint
        )

    def _id_column(self) -> str | None:
        from airflow_provider_engagement.operators.coercion import or_default

        chosen = or_default(self.id_column, None)
        return None if chosen is None else str(chosen)

    def _tweet_ids(self) -> list[str]:
        """Return the collection: a file is read at each poll, a value once."""
        from airflow_provider_engagement.collections.tweet_ids import is_uri
        from airflow_provider_engagement.hooks.storage import read_tweet_ids

        if self._read_ids is not None:
            return self._read_ids
        tweet_ids = read_tweet_ids(self.tweet_ids, id_column=self._id_column())
        if not is_uri(self.tweet_ids):
            self._read_ids = tweet_ids
        return tweet_ids

    def _unreachable(self, reason: str) -> AirflowException:
        if self.soft_fail or self.never_fail:
            return AirflowSkipException(reason)
        return AirflowFailException(reason)

    def _failure(self, message: str, *, retryable: bool) -> AirflowException:
        if self.never_fail:
            return AirflowSkipException(message)
        return AirflowException(message) if retryable else AirflowFailException(message)
