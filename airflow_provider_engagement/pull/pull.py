"""The spine: plan, send, flatten, sink.

Requests are sent by threads; everything else, the sink above all, happens on the thread that
called, in the order in which the answers come.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    IncompleteDataError,
    PermissionDeniedError,
)
from airflow_provider_engagement.api.plan import Plan, PlannedRequest, batches
from airflow_provider_engagement.api.spec import Access, EndpointName, GroupBy
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.pull.fetch import Fetcher
from airflow_provider_engagement.pull.results import PullResult, PullStats
from airflow_provider_engagement.pull.settle import settle, settle_unasked
from airflow_provider_engagement.rows.aggregate import sum_rows
from airflow_provider_engagement.rows.coverage import Coverage, Status
from airflow_provider_engagement.rows.flatten import Origin

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_engagement.api.client import EngagementClient, Traffic
    from airflow_provider_engagement.api.window import Window
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.pull.fetched import Fetched
    from airflow_provider_engagement.sinks.base import Sink

__all__ = ["ReportingPeriod", "pull", "survey"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReportingPeriod:
    """What a pull's counts are of.

    :param snapshot_at: the moment that counts to date stand for, UTC.
    :param span: the range that was asked for, aligned, UTC; the plan's window may be shorter,
        where the service does not hold it all. None for counts to date.
    """

    snapshot_at: datetime
    period: Window | None = None

    def describe(self) -> dict[str, str]:
        """Tell it in words that turn into JSON."""
        if self.period is None:
            return {"snapshot_at": _text(self.snapshot_at)}
        return {"start": _text(self.period.start), "end": _text(self.period.end)}


@dataclass(slots=True)
class _Pull:
    """One pull under way: what it is about, and what it has gathered."""

    client: EngagementClient
    plan: Plan
    sink: Sink
    moment: ReportingPeriod
    keep_incomplete: bool
    coverage: Coverage
    tally: PullStats
    pieces: CheckpointStore | None = None
    course: PullLimits = field(default_factory=PullLimits)
    parts: list[pa.Table] = field(default_factory=list)
    lacking: dict[str, set[str | None]] = field(default_factory=dict)
    before: Traffic = field(init=False)

    def __post_init__(self) -> None:
        self.before = replace(self.client.traffic)

    def run(self) -> None:
        """Send everything, and write what comes."""
        query, coverage = self.plan.query, self.coverage
        settle_unasked(self.plan, coverage)
        if self.plan.requests:
            self.client.prepare(query.endpoint.name, query.access)
        origin = Origin(
            account=self.client.settings.account,
            access=query.access,
            endpoint=query.endpoint.name,
            snapshot_at=self.moment.snapshot_at,
            period=self.moment.period,
        )
        fetcher = Fetcher(self.client, query, origin, self.pieces, self.course)
        for fetched in fetcher.fetch_all(self.plan.requests, spared=lambda: coverage.gone):
            self._take(fetched)
        second = self._second_look(fetcher)
        if second is not None:
            fetcher, requests = second
            try:
                for fetched in fetcher.fetch_all(requests, spared=tuple):
                    self._take(fetched)
            except (PermissionDeniedError, AuthenticationError) as error:
                # Such as an app-only token that is stale: no reason to lose the owner's counts.
                log.warning("Public counts of foreign Tweets were refused: %s", error)

    def _take(self, fetched: Fetched) -> None:
        """Write what a request brought, and note what became of its Tweets."""
        self.tally.strangers += fetched.strangers
        self.tally.kept += fetched.kept
        settle(fetched, self.plan, self.coverage)
        self._write(fetched.rows)
        for whom, types in fetched.lacking.items():
            for name in types:
                self.lacking.setdefault(name, set()).add(whom)
        if fetched.parts.num_rows:
            self.parts.append(fetched.parts)

    def _write(self, rows: pa.Table) -> None:
        if not self.keep_incomplete:
            whole = rows.filter(rows["complete"])
            self.tally.incomplete += rows.num_rows - whole.num_rows
            rows = whole
        if rows.num_rows:
            self.tally.rows += rows.num_rows
            self.sink.write(rows)

    def _second_look(self, fetcher: Fetcher) -> tuple[Fetcher, list[PlannedRequest]] | None:
        """Plan the public counts of foreign Tweets, where app-only access is to be had.

        Only rows of single Tweets and types are asked for: a sum over other types, or over other
        people's Tweets, would be another number under the same name.
        """
        query, outcomes = self.plan.query, self.coverage.outcomes
        foreign = [i for i in self.plan.tweet_ids if outcomes[i].status is Status.FORBIDDEN]
        groupings = tuple(
            grouping
            for grouping in query.groupings
            if {GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE}.issubset(grouping.group_by)
        )
        types = [name for name in query.engagement_types if name in query.endpoint.public_types]
        if not (foreign and groupings and types):
            return None
        try:
            self.client.prepare(query.endpoint.name, Access.PUBLIC)
        except EngagementError as error:
            log.warning(
                "Public counts of %d foreign Tweets are not to be had: %s", len(foreign), error
            )
            return None
        by_types: dict[tuple[str, ...], list[str]] = {}
        for tweet_id in foreign:
            spared = self.plan.too_old.get(tweet_id, ())
            by_types.setdefault(tuple(n for n in types if n not in spared), []).append(tweet_id)
        requests = [
            PlannedRequest(tweet_ids=batch, engagement_types=names, access=Access.PUBLIC)
            for names, ids in by_types.items()
            if names
            for batch in batches(ids, query.endpoint.max_tweet_ids)
        ]
        log.info("Asking app-only for the public counts of %d foreign Tweets.", len(foreign))
        return replace(fetcher, query=replace(query, groupings=groupings)), requests

    def write_sums(self) -> None:
        """Write sums over requests; none that a request was missing for."""
        parts = pa.concat_tables(self.parts) if self.parts else None
        if parts is None:
            return
        coverage = self.coverage
        of_tweets = parts.filter(parts["tweet_id"].is_valid())
        of_all = parts.filter(parts["tweet_id"].is_null())
        missing = sorted(coverage.torn | coverage.with_status(Status.UNANSWERED))
        whole = of_tweets.filter(pc.invert(_is_in(of_tweets["tweet_id"], missing)))
        summed = [sum_rows(_without(whole, self.lacking))]
        self.tally.sums_left_out += sum_rows(of_tweets).num_rows - summed[0].num_rows
        # Requests of 28hr are of the same hours only if the clock did not strike between them.
        needed = len(self.plan.requests) if self._needs_every_request() else None
        total = sum_rows(_without(of_all, self.lacking), parts=needed)
        self.tally.sums_left_out += sum_rows(of_all).num_rows - total.num_rows
        if missing:
            self.tally.sums_left_out += total.num_rows
        else:
            summed.append(total)
        if self.tally.sums_left_out:
            log.warning(
                "%d sums are left out, since not every request that they need was answered whole.",
                self.tally.sums_left_out,
            )
        self._write(pa.concat_tables(summed))

    def _needs_every_request(self) -> bool:
        return self.plan.query.endpoint.name is EndpointName.LAST_28_HOURS

    def check_missing(self, max_missing_share: float) -> None:
        """Fail if too few Tweets could be counted."""
        coverage = self.coverage
        answered = coverage.count(Status.ANSWERED)
        # What was made after the range is not missing in it.
        asked = len(coverage.tweet_ids) - len(self.plan.too_young)
        if answered and 1 - answered / asked <= max_missing_share:
            return
        told = ", ".join(
            f"{count} {status}"
            for status in Status
            if status is not Status.ANSWERED and (count := coverage.count(status))
        )
        msg = f"{answered} of {asked} Tweets could be counted ({told})."
        raise IncompleteDataError(
            msg,
            advice="Nothing was written. Check that tweet_ids belong to the connection's account; "
            f"max_missing_share is {max_missing_share}.",
        )

    def count_traffic(self) -> None:
        """Note what was sent, be it in vain."""
        now, before = self.client.traffic, self.before
        self.tally.requests = now.sent - before.sent
        self.tally.refused = now.throttled - before.throttled
        self.tally.retried = now.retried - before.retried

    def summary(self) -> dict[str, object]:
        """Tell the pull in figures."""
        self.count_traffic()
        return {
            "account": self.client.settings.account,
            "plan": self.plan.describe(),
            "window": self.moment.describe(),
            "requests": self.tally.requests,
            "requests_refused": self.tally.refused,
            "requests_retried": self.tally.retried,
            "requests_kept_from_earlier_tries": self.tally.kept,
            "rows": self.tally.rows,
            "rows_incomplete_dropped": self.tally.incomplete,
            "tweets": self.coverage.describe(),
            "counts_never_asked_for": self.tally.strangers,
            "sums_left_out": self.tally.sums_left_out,
        }


def pull(
    client: EngagementClient,
    plan: Plan,
    sink: Sink,
    *,
    moment: ReportingPeriod,
    max_missing_share: float = 1.0,
    keep_incomplete: bool = True,
    tally: PullStats | None = None,
    pieces: CheckpointStore | None = None,
    course: PullLimits | None = None,
) -> PullResult:
    """Send a plan's requests and land their rows: all of them, or none.

    :param client: the connection to ask through.
    :param plan: what to ask.
    :param sink: where the rows go; it is prepared before the first request.
    :param moment: what the counts are of.
    :param max_missing_share: the share of ids, 0 to 1, that may stay without any count.
    :param keep_incomplete: whether to write buckets that had not ended, or were not wholly
        covered, when the service answered.
    :param tally: is kept up while the pull runs, for whoever wants to know after a failure too.
    :param pieces: where finished requests are kept until the pull has landed, for a retry to take
        up; None for nowhere.
    :param course: until when it may go on, and who is told how far it has come.
    :raises IncompleteDataError: if more do, or none has one. Nothing is written then.
    :raises EngagementError: if a request stays unanswered. Nothing is written then.
    """
    coverage = Coverage(plan.tweet_ids)
    under_way = _Pull(
        client,
        plan,
        sink,
        moment,
        keep_incomplete,
        coverage,
        tally or PullStats(),
        pieces,
        course or PullLimits(),
    )
    try:
        sink.prepare()
        if pieces and (earlier := _earlier(pieces)):
            sink.discard()
            pieces.clear()
            return earlier
        under_way.run()
        under_way.check_missing(max_missing_share)
        under_way.write_sums()
        summary = under_way.summary()
        table = coverage.table(
            account=client.settings.account,
            endpoint=plan.query.endpoint.name,
            snapshot_at=moment.snapshot_at,
            period=moment.period,
            collected_at=datetime.now(UTC),
        )
        landed = sink.commit(table, summary)
    except BaseException:
        under_way.count_traffic()
        sink.discard()
        raise
    summary["coverage"] = landed.coverage
    summary["landed"] = landed.stats
    outcome = PullResult(landed, summary, under_way.tally)
    if pieces:
        pieces.finish(outcome)
    return outcome


def _earlier(pieces: CheckpointStore) -> PullResult | None:
    """See how far an earlier try has come, and give what it did if it has landed all."""
    found = pieces.find()
    outcome = pieces.earlier_result()
    if outcome is not None:
        log.info("An earlier try has landed all of it: nothing is sent.")
    elif found:
        log.info("An earlier try has left the answers of %d requests.", found)
    return outcome


def survey(
    client: EngagementClient, plan: Plan, sink: Sink, *, moment: ReportingPeriod
) -> Coverage:
    """Send a plan's requests and hand on what they bring, however little; land nothing.

    :param client: the connection to ask through.
    :param plan: what to ask.
    :param sink: what takes the rows; only its ``write`` is called.
    :param moment: what the counts are of.
    :returns: what became of each Tweet.
    :raises EngagementError: if a request stays unanswered.
    """
    coverage = Coverage(plan.tweet_ids)
    _Pull(
        client, plan, sink, moment, keep_incomplete=True, coverage=coverage, tally=PullStats()
    ).run()
    return coverage


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _without(rows: pa.Table, lacking: Mapping[str, Collection[str | None]]) -> pa.Table:
    """Leave out what some answer does not speak of: by type, the ids; None for all Tweets."""
    for name, whom in lacking.items():
        ids = pa.array(whom, type=pa.string())
        listed = pc.is_in(rows["tweet_id"], value_set=ids)
        of_type = pc.fill_null(pc.equal(rows["engagement_type"], name), fill_value=False)
        rows = rows.filter(pc.invert(pc.and_(listed, of_type)))
    return rows


def _is_in(ids: pa.ChunkedArray, listed: list[str]) -> pa.ChunkedArray:
    return pc.is_in(ids, value_set=pa.array(listed, type=pa.string()))
