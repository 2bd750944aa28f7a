"""A pull: send the plan's requests, flatten the responses, write the rows.

Threads send the requests. Everything else happens on the caller's thread, in the order in which
the responses arrive; so a sink needs no lock.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    IncompleteDataError,
    PermissionDeniedError,
)
from airflow_provider_engagement.api.plan import make_plan, public_requests
from airflow_provider_engagement.api.since_posting import plan_since_posting, until_now
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.api.window import clip_to_available
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.pull.fetch import Fetcher
from airflow_provider_engagement.pull.results import PullResult, PullStats
from airflow_provider_engagement.rows.aggregate import PartialSums
from airflow_provider_engagement.rows.coverage import Coverage, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    import pyarrow as pa

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.rows.flatten import RequestResult
    from airflow_provider_engagement.sinks.base import Sink

__all__ = ["PullRunner", "fetch_counts", "has_tweets", "plan_requests", "pull"]

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PullRunner:
    """Runs the requests of one plan.

    :param client: the connection.
    :param plan: the requests.
    :param period: what the pull is about.
    :param write: takes rows.
    :param stats: the figures, which are updated.
    :param keep_incomplete: whether to write rows of periods that were not complete.
    :param checkpoints: results of earlier tries, and where to keep this one's; None for nowhere.
    :param limits: until when requests may be sent, and where the progress is reported.
    """

    client: EngagementClient
    plan: Plan
    period: ReportingPeriod
    write: Callable[[pa.Table], None]
    stats: PullStats
    keep_incomplete: bool = True
    checkpoints: CheckpointStore | None = None
    limits: PullLimits = field(default_factory=PullLimits)
    sums: PartialSums = field(default_factory=PartialSums)
    coverage: Coverage = field(init=False)

    def __post_init__(self) -> None:
        self.coverage = Coverage(self.plan.tweet_ids)

    def run(self) -> None:
        """Send every request, and write the rows as they come."""
        query, coverage = self.plan.query, self.coverage
        coverage.record_plan(self.plan)
        if self.plan.requests:
            self.client.prepare(query.endpoint.name, query.access)
        fetcher = Fetcher(
            self.client, query, self.period, self.stats, self.checkpoints, self.limits
        )
        for result in fetcher.fetch_all(self.plan.requests, skip=lambda: coverage.unavailable):
            self._take(result)
        self._fetch_public_counts(fetcher)

    def _take(self, result: RequestResult) -> None:
        """Write what a request brought, and record what happened to its Tweets."""
        self.stats.unrequested += result.unrequested
        self.stats.resumed += result.resumed
        self.coverage.record(result, self.plan)
        if result.partial_sums.num_rows or result.missing:
            self.sums.add(result)
        self._write(result.rows)

    def _write(self, rows: pa.Table) -> None:
        if not self.keep_incomplete:
            complete = rows.filter(rows["complete"])
            self.stats.incomplete_dropped += rows.num_rows - complete.num_rows
            rows = complete
        if rows.num_rows:
            self.stats.rows += rows.num_rows
            self.write(rows)

    def _fetch_public_counts(self, fetcher: Fetcher) -> None:
        """Fetch the public counts of foreign Tweets, if app-only access has them."""
        foreign = self.coverage.with_status(Status.FORBIDDEN) if self.plan.requests else []
        query, requests = public_requests(self.plan, foreign)
        if not requests:
            return
        try:
            self.client.prepare(query.endpoint.name, Access.PUBLIC)
            log.info("Fetching the public counts of %d foreign Tweets app-only.", len(foreign))
            public = replace(fetcher, query=query)
            for result in public.fetch_all(requests, skip=tuple):
                self._take(result)
        except (AuthenticationError, PermissionDeniedError) as error:
            if error.retryable:
                raise
            # For example a stale app-only token. The owner's counts are good without it.
            log.warning(
                "The public counts of %d foreign Tweets are missing: %s", len(foreign), error
            )

    def write_sums(self) -> None:
        """Write the sums over requests, without those that a response is missing for."""
        if not self.sums.parts:
            return
        coverage = self.coverage
        # Two /28hr requests cover the same hours only if no hour boundary passed between them.
        needs_all = self.plan.query.endpoint.name is EndpointName.LAST_28_HOURS
        rows = self.sums.rows(
            incomplete_ids=[*coverage.inconsistent, *coverage.with_status(Status.UNANSWERED)],
            parts_of_total=len(self.plan.requests) if needs_all else None,
        )
        self.stats.sums_left_out = self.sums.left_out
        if self.sums.left_out:
            log.warning(
                "%d sums are left out because a response that they need is missing or incomplete.",
                self.sums.left_out,
            )
        self._write(rows)

    def check_missing(self, max_missing_share: float, existing: tuple[int, int]) -> None:
        """Fail if too few Tweets were counted, with those of the rows that exist.

        :raises IncompleteDataError: if more than the share have no count, or none has one.
        """
        coverage = self.coverage
        answered = coverage.count(Status.ANSWERED) + existing[0]
        # A Tweet that was created after the window is not missing in it.
        requested = len(coverage.tweet_ids) - len(self.plan.too_young) + existing[1]
        if answered and 1 - answered / requested <= max_missing_share:
            return
        others = ", ".join(
            f"{count} {status}"
            for status in Status
            if status is not Status.ANSWERED and (count := coverage.count(status))
        )
        msg = f"{answered} of {requested} Tweets were counted ({others})."
        raise IncompleteDataError(
            msg,
            advice="Nothing was written. Check that tweet_ids belong to the connection's account; "
            f"max_missing_share is {max_missing_share}.",
        )

    def summary(self) -> dict[str, object]:
        """Return the pull in figures."""
        stats = self.stats
        return {
            "account": self.client.settings.account,
            "plan": self.plan.describe(),
            "window": self.period.describe(),
            "requests": stats.requests,
            "requests_rate_limited": stats.rate_limited,
            "requests_retried": stats.retried,
            "requests_resumed": stats.resumed,
            "rows": stats.rows,
            "rows_incomplete_dropped": stats.incomplete_dropped,
            "tweets": self.coverage.describe(),
            "unrequested_counts": stats.unrequested,
            "sums_left_out": stats.sums_left_out,
        }


def plan_requests(
    query: Query,
    tweet_ids: Sequence[str],
    period: ReportingPeriod,
    settings: Settings,
    *,
    execution_timeout: timedelta | None = None,
) -> Plan | None:
    """Plan the requests of a pull.

    :param query: what is asked.
    :param tweet_ids: of which Tweets, each once.
    :param period: what the counts are about.
    :param settings: the connection.
    :param execution_timeout: the task's; None if it has none. A plan that takes longer is warned
        of.
    :returns: None if there is nothing to ask.
    """
    if not tweet_ids:
        log.warning("tweet_ids holds no ids: nothing is asked, nothing is written.")
        return None
    now, window = datetime.now(UTC), None
    if period.period is not None:
        window = until_now(period.period, now) if period.since_posting else period.period
        window, warnings = clip_to_available(window, now=now, strict=settings.strict_range)
        for warning in warnings:
            log.warning(warning)
        if window is None:
            return None
    if period.since_posting is None:
        plan = make_plan(query, list(tweet_ids), now=period.ages_at(now), window=window)
    else:
        plan = plan_since_posting(query, tweet_ids, period.since_posting, window)
    log.info("Plan: %s", plan)
    _log_duration(plan, settings, execution_timeout)
    return plan


def has_tweets(plan: Plan) -> bool:
    """Return whether any Tweet of a plan had been created by the end of its window.

    :param plan: the plan.
    """
    if len(plan.too_young) < len(plan.tweet_ids):
        return True
    log.warning("All Tweets were created after the window: nothing is asked, nothing is written.")
    return False


def _log_duration(plan: Plan, settings: Settings, execution_timeout: timedelta | None) -> None:
    minutes = plan.minutes(settings.requests_per_minute.get(plan.query.endpoint.name))
    seconds = 60 * (minutes or 0.0)
    if execution_timeout and seconds > execution_timeout.total_seconds():
        log.warning(
            "At the contract's rate that takes %.0f s, and the execution_timeout is %.0f s.",
            seconds,
            execution_timeout.total_seconds(),
        )
    elif minutes is not None:
        log.info("At the contract's rate that takes %.0f s.", seconds)


def pull(
    client: EngagementClient,
    plan: Plan,
    sink: Sink,
    *,
    period: ReportingPeriod,
    max_missing_share: float = 1.0,
    keep_incomplete: bool = True,
    stats: PullStats | None = None,
    checkpoints: CheckpointStore | None = None,
    limits: PullLimits | None = None,
    existing: tuple[int, int] = (0, 0),
) -> PullResult:
    """Send a plan's requests and write their rows: all of them, or none.

    :param client: the connection.
    :param plan: the requests.
    :param sink: where the rows go. It is prepared before the first request.
    :param period: what the pull is about.
    :param max_missing_share: the share of ids, 0 to 1, that may have no count.
    :param keep_incomplete: whether to write rows of periods that had not ended, or were not wholly
        covered, when the service answered.
    :param stats: figures that are updated, for callers that need them after a failure too.
    :param checkpoints: where finished requests are saved until the rows are written, for a retry;
        None for nowhere.
    :param limits: until when requests may be sent, and where the progress is reported.
    :param existing: of the rows that the sink adds to: how many Tweets were counted, of how many.
    :raises IncompleteDataError: if more ids have no count, or none has one. Nothing is written.
    :raises EngagementError: if a request stays unanswered. Nothing is written.
    """
    runner = PullRunner(
        client,
        plan,
        period,
        sink.write,
        stats or PullStats(),
        keep_incomplete,
        checkpoints,
        limits or PullLimits(),
    )
    try:
        sink.prepare()
        earlier = _find_earlier(checkpoints) if checkpoints else None
        if checkpoints and earlier:
            sink.discard()
            checkpoints.clear()
            return earlier
        runner.run()
        runner.check_missing(max_missing_share, existing)
        runner.write_sums()
        summary = runner.summary()
        coverage = runner.coverage.tables(
            account=client.settings.account,
            endpoint=plan.query.endpoint.name,
            period=period,
            collected_at=datetime.now(UTC),
        )
        written = sink.commit(coverage, summary)
    except BaseException:
        sink.discard()
        raise
    summary |= written.summary
    summary |= {"coverage": written.coverage, "write_stats": written.stats}
    result = PullResult(written, summary, runner.stats)
    if checkpoints:
        checkpoints.finish(result)
    return result


def _find_earlier(checkpoints: CheckpointStore) -> PullResult | None:
    """Look for checkpoints of earlier tries; return the result of one that has written all."""
    found = checkpoints.find()
    result = checkpoints.earlier_result()
    if result is not None:
        log.info("An earlier try has written all rows: no request is sent.")
    elif found:
        log.info("Resuming: earlier tries have finished %d requests.", found)
    return result


def fetch_counts(
    client: EngagementClient,
    plan: Plan,
    *,
    period: ReportingPeriod,
    write: Callable[[pa.Table], None],
) -> Coverage:
    """Send a plan's requests and pass on the rows, however few Tweets have counts.

    :param client: the connection.
    :param plan: the requests.
    :param period: what the counts are about.
    :param write: takes rows.
    :returns: what happened to each Tweet.
    :raises EngagementError: if a request stays unanswered.
    """
    runner = PullRunner(client, plan, period, write, PullStats())
    runner.run()
    return runner.coverage
