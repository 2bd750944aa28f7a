"""One execution of a pulling operator: from its rendered parameters to rows and reports."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.since_posting import around_tweets
from airflow_provider_engagement.collections.parsing import (
    parse_duration,
    parse_list,
    parse_literal,
)
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.collections.tweet_ids import is_uri
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.operators import reporting
from airflow_provider_engagement.operators.coercion import (
    as_bool,
    as_share,
    or_default,
)
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID, MAX_SNAPSHOT_AGE
from airflow_provider_engagement.operators.run_window import late_reason, reporting_period
from airflow_provider_engagement.operators.task_run import TaskRun
from airflow_provider_engagement.pull import PullStats, pull
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.pull.pull import has_tweets, plan_requests

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.operators.destination import Destination
    from airflow_provider_engagement.operators.run_window import WindowParameters
    from airflow_provider_engagement.pull import PullResult
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = ["PullExecution", "PullOperator"]

log = logging.getLogger(__name__)


class PullOperator(Protocol):
    """What an execution reads of its operator."""

    endpoint: str
    tweet_ids: Any
    shard: Any
    engagement_types: Any
    granularity: str | None
    groupings: Any
    incomplete: str
    max_missing_share: Any
    max_snapshot_age: Any
    plan_only: Any
    engagement_conn_id: Any
    execution_timeout: timedelta | None
    outlets: Any

    def destination(self) -> Destination:
        """Return where the rows go."""

    def window_parameters(self) -> WindowParameters:
        """Return the parameters that choose the window."""

    def read_tweet_ids(self) -> list[str]:
        """Read the collection."""

    @property
    def chosen_id_column(self) -> str | None:
        """The column of the ids that was chosen."""


@dataclass(slots=True)
class PullExecution:
    """One execution of a pulling operator.

    :param operator: the operator, its templates rendered.
    :param context: the task's context.
    :param began: the value of :func:`time.monotonic` at which the task began.
    """

    operator: PullOperator
    context: Mapping[str, Any]
    began: float
    lineage: tuple[str, WriteResult] | None = field(default=None, init=False)
    _destination: Destination | None = field(default=None, init=False)
    _max_missing_share: float = field(default=1.0, init=False)

    def run(self) -> Any:
        """Pull, and return what the task returns.

        :raises EngagementError: if a parameter is not allowed, or the pull fails.
        :raises AirflowSkipException: if the run's counts can no longer be had.
        """
        operator = self.operator
        plan_only = as_bool(operator.plan_only, name="plan_only")
        share = or_default(operator.max_missing_share, 1.0)
        self._max_missing_share = as_share(share, name="max_missing_share")
        shard = Shard.parse(operator.shard)
        self._destination = destination = operator.destination()
        with self._hook.get_conn() as client:
            query = self._query(client)
            period = reporting_period(
                self.context,
                query,
                operator.window_parameters(),
                max_snapshot_age=self._max_snapshot_age,
            )
            plan, period = self._plan(client, query, period, shard)
            if plan is not None and plan_only:
                return plan.describe()
            if plan is None or not has_tweets(plan):
                return destination.returned(None, period.describe())
            collection = plan.tweet_ids
            if is_uri(operator.tweet_ids):
                collection = (operator.tweet_ids, *filter(None, [operator.chosen_id_column]))
            run = TaskRun(
                self.context, plan, client.settings, period, tuple(collection), self.began, shard
            )
            result = self._result(run, client, destination)
        self._report(run, result)
        return destination.returned(result.written, period.describe())

    def cancel(self) -> None:
        """Cancel what runs outside this process, such as a BigQuery job."""
        if self._destination is not None:
            self._destination.cancel()

    @property
    def _hook(self) -> EngagementHook:
        return EngagementHook(str(or_default(self.operator.engagement_conn_id, ENGAGEMENT_CONN_ID)))

    @property
    def _max_snapshot_age(self) -> timedelta:
        given = or_default(self.operator.max_snapshot_age, MAX_SNAPSHOT_AGE)
        return parse_duration(given, name="max_snapshot_age")

    def _plan(
        self, client: EngagementClient, query: Query, period: ReportingPeriod, shard: Shard | None
    ) -> tuple[Plan | None, ReportingPeriod]:
        """Plan the requests for the collection, or for one shard of it.

        :returns: the plan, or None if there is nothing to request; and the period, which depends on
            the Tweets if ``since_posting`` is given.
        """
        tweet_ids = self.operator.read_tweet_ids()
        if shard is not None and tweet_ids:
            number, tweet_ids = len(tweet_ids), shard.select(tweet_ids)
            log.info("Shard %s has %d of %d Tweets.", shard, len(tweet_ids), number)
            if not tweet_ids:
                log.warning("Shard %s has no Tweet: nothing is asked, nothing is written.", shard)
                return None, period
        period = around_tweets(period, tweet_ids, query)
        plan = plan_requests(
            query,
            tweet_ids,
            period,
            client.settings,
            execution_timeout=self.operator.execution_timeout,
        )
        return plan, period

    def _query(self, client: EngagementClient) -> Query:
        operator = self.operator
        types = or_default(operator.engagement_types, None)
        groupings: Any = or_default(operator.groupings, None)
        return build_query(
            operator.endpoint,
            has_owner=client.settings.credentials.has_owner,
            engagement_types=None if types is None else parse_list(types, name="engagement_types"),
            granularity=operator.granularity,
            groupings=parse_literal(groupings) if isinstance(groupings, str) else groupings,
        )

    def _result(
        self, run: TaskRun, client: EngagementClient, destination: Destination
    ) -> PullResult:
        """Pull what no earlier run has left."""
        existing = destination.existing(run)
        late = late_reason(run, self._max_snapshot_age)
        if existing is None:
            if late is not None:
                raise AirflowSkipException(f"Skipped: {late}")
            return self._pull(run, client, destination)
        new = [item for item in run.plan.tweet_ids if item not in existing.tweet_ids]
        if late is not None and new:
            log.warning("%d Tweets are new, and are not asked for: %s", len(new), late)
        if late is not None or not new:
            return existing.result
        plan = make_plan(run.plan.query, new, now=run.period.ages_at(datetime.now(UTC)))
        log.info("Plan for the Tweets that are new: %s", plan)
        return self._pull(replace(run, plan=plan), client, destination, existing.counted)

    def _pull(
        self,
        run: TaskRun,
        client: EngagementClient,
        destination: Destination,
        existing: tuple[int, int] = (0, 0),
    ) -> PullResult:
        stats, checkpoints = PullStats(), destination.checkpoints(run)
        end_by = run.end_by(self.operator.execution_timeout) if checkpoints else None
        report = reporting.progress_reporter(self.context.get("task_state_store"))
        try:
            result = pull(
                client,
                run.plan,
                destination.sink(run),
                period=run.period,
                max_missing_share=self._max_missing_share,
                keep_incomplete=self.operator.incomplete == "keep",
                stats=stats,
                checkpoints=checkpoints,
                limits=PullLimits(end_by, report),
                existing=existing,
            )
        except BaseException as error:
            if checkpoints and (run.is_last_try or _is_permanent(error)):
                checkpoints.clear()
            raise
        finally:
            reporting.count_metrics(stats, self.operator.endpoint)
        log.info("Done: %s", result)
        return result

    def _report(self, run: TaskRun, result: PullResult) -> None:
        instance, written = self.context["ti"], result.written
        shard = {"shard": str(run.shard)} if run.shard is not None else {}
        instance.xcom_push(key=reporting.SUMMARY_KEY, value={**shard, **result.summary})
        url = reporting.console_url(written)
        if url is not None:
            instance.xcom_push(key=reporting.LINK_KEY, value=url)
        reporting.describe_assets(run.context, run.period, written, self.operator.outlets or ())
        source = run.settings.url(run.plan.query.endpoint)
        self.lineage = source, written
        reporting.collect_lineage(self._hook, source, written)


def _is_permanent(error: BaseException) -> bool:
    """Return whether no retry can mend an error."""
    return isinstance(error, EngagementError) and not error.retryable
