"""What every pulling operator has in common: its parameters, and the way from them to rows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSkipException,
    BaseOperator,
)

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.api.query import GRANULARITIES, Query, build_query
from airflow_provider_engagement.api.spec import EndpointName, GroupBy
from airflow_provider_engagement.compat import DefaultsWhenMapped, retry_policy_kwargs
from airflow_provider_engagement.operators.retry_policy import DEFAULT_RETRY_POLICY
from airflow_provider_engagement.operators.task_run import TaskRun

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.plan import Plan
    from airflow_provider_engagement.api.window import Window
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.rows.period import ReportingPeriod
    from airflow_provider_engagement.sinks.base import Sink, WriteResult

__all__ = ["SUMMARY_KEY", "EngagementPullOperator", "one_of"]

SUMMARY_KEY = "summary"


class EngagementPullOperator(DefaultsWhenMapped, BaseOperator):
    """Pulls engagement counts of Tweets. The base of the operators and transfers.

    :param endpoint: which endpoint to ask.
    :param tweet_ids: the Tweets (templated): a list of ids as text or numbers, or what a template
        renders to: a JSON or Python list, one number, separated ids; or the URI of a file of ids,
        one a line, plain or gzip. For more than 10,000 ids give a URI or an upstream's ``.output``.
    :param engagement_types: the counts to ask for (templated); by default all that the endpoint
        has and the credentials allow.
    :param granularity: how finely; by default ``"total"`` on totals, ``"day"`` on historical and
        ``"hour"`` on 28hr. historical has ``"total"`` and ``"hour"`` too, 28hr ``"total"``.
    :param groupings: the API's own object, ``{name: {"group_by": [...]}}`` (templated), instead
        of ``granularity``.
    :param start: historical only (templated): the first moment of the range, of any precision; a
        datetime, a date, or ISO 8601 text. By default the run's partition, else its data interval.
    :param end: historical only (templated): the first moment after the range.
    :param lookback: historical only (templated): how far to move the start back, so that late
        corrections heal: a request costs the same for 1 day as for 28.
    :param incomplete: ``"keep"``, or ``"drop"`` for buckets that had not ended, or were not wholly
        covered, when the service answered.
    :param max_missing_share: the share of ids, 0 to 1, that may stay without any count before the
        task fails (templated). It always fails if no id has one.
    :param max_snapshot_age: for counts to date and of the 28 hours as a whole (templated): a run
        whose moment is longer ago is skipped, since the API knows only now. A timedelta, or an
        ISO 8601 duration.
    :param plan_only: log and return the plan, and send nothing (templated).
    :param engagement_conn_id: the connection, which is one owner of Tweets (templated).
    :param retries: tries after the first, as on every Airflow task; here 3 unless the DAG's
        ``default_args`` say otherwise. A fault that no retry can mend fails the task at once.
    :param retry_policy: when to try again, as on every Airflow task from 3.3.2 on; here
        ``EngagementRetryPolicy()``, which waits as long as the service says.
    """

    template_fields: Sequence[str] = (
        "tweet_ids",
        "engagement_types",
        "groupings",
        "start",
        "end",
        "lookback",
        "max_missing_share",
        "max_snapshot_age",
        "plan_only",
        "engagement_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "tweet_ids": "json",
        "engagement_types": "json",
        "groupings": "json",
    }
    ui_color = "#e8f5fd"

    # What was asked and where it landed, once it has.
    _written: tuple[str, WriteResult] | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        tweet_ids: Any,
        engagement_types: Any = None,
        granularity: str | None = None,
        groupings: Any = None,
        start: Any = None,
        end: Any = None,
        lookback: Any = None,
        incomplete: str = "keep",
        max_missing_share: float = 1.0,
        max_snapshot_age: timedelta = timedelta(hours=24),
        plan_only: bool = False,
        engagement_conn_id: str = "engagement_default",
        retries: int = DefaultsWhenMapped.default_retries,
        retry_policy: Any = DEFAULT_RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, **retry_policy_kwargs(retry_policy), **kwargs)
        # A mapped task is made when its collection is known, which may be empty like any other.
        mapped = getattr(self, "_BaseOperator__from_mapped", False)
        if not mapped and isinstance(tweet_ids, (list, tuple)) and not tweet_ids:
            msg = "tweet_ids is an empty list: this task would have nothing to ask for."
            raise InvalidArgumentError(msg)
        _check_granularity(endpoint, granularity)
        one_of(incomplete, ("keep", "drop"), name="incomplete")
        if endpoint != EndpointName.HISTORICAL and not start is end is lookback is None:
            msg = f"start, end and lookback are for historical; {endpoint} takes no range."
            raise InvalidArgumentError(msg)
        self.endpoint = endpoint
        self.tweet_ids = tweet_ids
        self.engagement_types = engagement_types
        self.granularity = granularity
        self.groupings = groupings
        self.start = start
        self.end = end
        self.lookback = lookback
        self.incomplete = incomplete
        self.max_missing_share = max_missing_share
        self.max_snapshot_age = max_snapshot_age
        self.plan_only = plan_only
        self.engagement_conn_id = engagement_conn_id

    def execute(self, context: Context) -> Any:
        """Pull, and land all rows or none.

        :returns: ``{"table" or "uris", "rows", "window"}``; the XCom ``summary`` holds the rest.
        """
        try:
            return self._execute(context, began=time.monotonic())
        except EngagementError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error

    def _execute(self, context: Context, *, began: float) -> Any:
        from airflow_provider_engagement.hooks.engagement import EngagementHook
        from airflow_provider_engagement.operators.run_window import as_bool, as_share

        with EngagementHook(self.engagement_conn_id).get_conn() as client:
            query = self._query(client)
            plan_only = as_bool(self.plan_only, name="plan_only")
            max_missing_share = as_share(self.max_missing_share, name="max_missing_share")
            moment, window = self._moment(context, query, strict=client.settings.strict_range)
            tweet_ids = self._read_tweet_ids()
            if not tweet_ids:
                self.log.warning("tweet_ids holds no ids: nothing is asked, nothing is written.")
                return self.nothing(moment.describe())
            if moment.period is not None and window is None:
                return self.nothing(moment.describe())
            plan = self._plan(query, tweet_ids, window, client)
            if plan_only:
                return plan.describe()
            if len(plan.too_young) == len(plan.tweet_ids):
                self.log.warning("All Tweets were made after the range: nothing is asked.")
                return self.nothing(moment.describe())
            job = TaskRun(
                context=context, plan=plan, settings=client.settings, moment=moment, began=began
            )
            return self._pull(job, client, max_missing_share)

    def _moment(
        self, context: Context, query: Query, *, strict: bool
    ) -> tuple[ReportingPeriod, Window | None]:
        """Tell what the run's counts are of, and which part of it the service holds."""
        from airflow_provider_engagement.api.plan import bucket_size
        from airflow_provider_engagement.api.window import align_to, clip_to_available
        from airflow_provider_engagement.operators.run_window import run_range, snapshot_moment
        from airflow_provider_engagement.rows.period import ReportingPeriod

        if self.endpoint != EndpointName.HISTORICAL:
            snapshot_at = snapshot_moment(context)
            self.log.info("Counts as of %s UTC.", f"{snapshot_at:%Y-%m-%d %H:%M}")
            if any(GroupBy.DAY not in grouping.group_by for grouping in query.groupings):
                self._skip_if_late(snapshot_at)
            return ReportingPeriod(snapshot_at), None
        given = run_range(context, start=self.start, end=self.end, lookback=self.lookback)
        period = align_to(given, bucket_size(query))
        self.log.info("Range: %s.", period)
        window, warnings = clip_to_available(period, now=datetime.now(UTC), strict=strict)
        for warning in warnings:
            self.log.warning(warning)
        return ReportingPeriod(period.end, period), window

    def _query(self, client: EngagementClient) -> Query:
        from airflow_provider_engagement.collections.parsing import (
            is_given,
            parse_list,
            parse_literal,
        )

        types, groupings = self.engagement_types, self.groupings
        return build_query(
            self.endpoint,
            has_owner=client.settings.credentials.has_owner,
            engagement_types=parse_list(types, name="engagement_types")
            if is_given(types)
            else None,
            granularity=self.granularity,
            groupings=parse_literal(groupings) if isinstance(groupings, str) else groupings,
        )

    def _read_tweet_ids(self) -> list[str]:
        from airflow_provider_engagement.hooks.storage import read_tweet_ids

        return read_tweet_ids(
            self.tweet_ids,
            gcp_conn_id=getattr(self, "gcp_conn_id", None),
            impersonation_chain=getattr(self, "impersonation_chain", None),
        )

    def _plan(
        self, query: Query, tweet_ids: list[str], window: Window | None, client: EngagementClient
    ) -> Plan:
        from airflow_provider_engagement.api.plan import make_plan

        plan = make_plan(query, tweet_ids, now=datetime.now(UTC), window=window)
        self.log.info("Plan: %s", plan)
        minutes = plan.minutes(client.settings.requests_per_minute.get(query.endpoint.name))
        seconds = 60 * (minutes or 0.0)
        if self.execution_timeout and seconds > self.execution_timeout.total_seconds():
            self.log.warning(
                "At the contract's pace that takes %.0f s, and the execution_timeout is %.0f s.",
                seconds,
                self.execution_timeout.total_seconds(),
            )
        elif minutes is not None:
            self.log.info("At the contract's pace that takes %.0f s.", seconds)
        return plan

    def _skip_if_late(self, snapshot_at: datetime) -> None:
        from airflow_provider_engagement.operators.run_window import as_timedelta

        late = datetime.now(UTC) - snapshot_at
        allowed = as_timedelta(self.max_snapshot_age, name="max_snapshot_age")
        if late > allowed:
            hours, most = (period.total_seconds() / 3600 for period in (late, allowed))
            raise AirflowSkipException(
                f"Skipped: this run stands for {snapshot_at:%Y-%m-%d %H:%M} UTC, {hours:.1f} hours "
                "ago, and the API knows such counts only as they are now. To take them all the "
                f"same, raise max_snapshot_age, which is {most:.1f} hours."
            )

    def _pull(self, job: TaskRun, client: EngagementClient, max_missing_share: float) -> Any:
        from airflow_provider_engagement.operators import reporting
        from airflow_provider_engagement.operators.limits import set_course
        from airflow_provider_engagement.pull import PullStats, pull

        sink = self.make_sink(job)
        kept = self.already(job, sink)
        if kept is not None:
            landed, summary = kept
            self._leave_traces(job, landed, summary)
            return self.result(job, landed, sink)
        tally = PullStats()
        pieces = self.make_pieces(job)
        try:
            outcome = pull(
                client,
                job.plan,
                sink,
                period=job.moment,
                max_missing_share=max_missing_share,
                keep_incomplete=self.incomplete == "keep",
                stats=tally,
                checkpoints=pieces,
                limits=set_course(job, self.execution_timeout, resumes=pieces is not None),
            )
        except BaseException as error:
            if pieces and (job.is_last_try or _is_fatal(error)):
                pieces.clear()
            raise
        finally:
            reporting.count(tally, self.endpoint)
        self.log.info("Done: %s", outcome)
        self._leave_traces(job, outcome.written, outcome.summary)
        return self.result(job, outcome.written, sink)

    def _leave_traces(
        self, job: TaskRun, landed: WriteResult, summary: Mapping[str, object]
    ) -> None:
        from airflow_provider_engagement.hooks.engagement import EngagementHook
        from airflow_provider_engagement.operators import lineage, reporting

        instance = job.context["ti"]
        instance.xcom_push(key=SUMMARY_KEY, value=summary)
        url = reporting.console_url(landed)
        if url is not None:
            instance.xcom_push(key=reporting.LINK_KEY, value=url)
        reporting.tell_assets(job, landed, self.outlets or ())
        self._written = job.source, landed
        lineage.collect(EngagementHook(self.engagement_conn_id), job.source, landed)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:  # noqa: ARG002 - OpenLineage's signature
        """Give OpenLineage what was read and written; its provider calls this after the task."""
        from airflow_provider_engagement.operators import lineage

        return lineage.openlineage_facets(self._written)

    def already(
        self,
        job: TaskRun,  # noqa: ARG002 - for subclasses
        sink: Sink,  # noqa: ARG002 - for subclasses
    ) -> tuple[WriteResult, dict[str, Any]] | None:
        """Give what lies there, and its summary, if the work is done already; None if not."""
        return None

    def make_pieces(self, job: TaskRun) -> CheckpointStore | None:  # noqa: ARG002 - for subclasses
        """Give where finished requests wait for the others; None for nowhere."""
        return None

    def make_sink(self, job: TaskRun) -> Sink:
        """Give where the rows go. Subclasses say."""
        raise NotImplementedError

    def result(self, job: TaskRun, landed: WriteResult, sink: Sink) -> Any:  # noqa: ARG002 - some sinks hold the result
        """Give what the task returns."""
        if landed.table is not None:
            return {"table": landed.table, "rows": landed.rows, "window": job.moment.describe()}
        return {"uris": list(landed.uris), "rows": landed.rows, "window": job.moment.describe()}

    def nothing(self, window: dict[str, str]) -> Any:
        """Give what the task returns where there is nothing to ask for."""
        return {"uris": [], "rows": 0, "window": window}


def _is_fatal(error: BaseException) -> bool:
    """Tell whether no retry can mend it."""
    return isinstance(error, EngagementError) and not error.retryable


def _check_granularity(endpoint: str, granularity: str | None) -> None:
    """Refuse at parse time what no template can mend: endpoint and granularity have none."""
    choices: Mapping[str, Any] = GRANULARITIES.get(EndpointName(endpoint), {})
    if granularity is not None and granularity not in choices:
        msg = (
            f"granularity is {granularity!r}; on {endpoint} it must be one of: "
            f"{', '.join(choices)}."
        )
        raise InvalidArgumentError(msg)


def one_of(value: str, allowed: Collection[str], *, name: str) -> None:
    """Refuse a value that is not in a fixed list, when the DAG is parsed.

    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    if value not in allowed:
        msg = f"{name} is {value!r}; it must be one of: {', '.join(map(repr, map(str, allowed)))}."
        raise InvalidArgumentError(msg)
