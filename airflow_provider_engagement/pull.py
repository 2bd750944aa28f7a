"""The spine: plan, send, flatten, sink.

Requests are sent by threads, a parsed answer at a time each; everything else, the sink above all,
happens on the thread that called, in the order in which the answers come.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from airflow_provider_engagement.api.errors import EngagementError, MissingCountsError
from airflow_provider_engagement.api.plan import Plan, PlannedRequest, batches
from airflow_provider_engagement.api.spec import Access, GroupBy
from airflow_provider_engagement.data.coverage import Coverage, Fate, Status
from airflow_provider_engagement.data.flatten import Origin, flatten
from airflow_provider_engagement.data.sums import sum_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_engagement.api.client import Asked, EngagementClient
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.data.sink import Landed, Sink

__all__ = ["Outcome", "pull"]

log = logging.getLogger(__name__)

_PROGRESS_EVERY: Final = 10.0

_TOO_OLD: Final = "too old for some types"
_UNSUPPORTED: Final = "the service lists it as unsupported for some types"
_UNAVAILABLE: Final = "deleted, protected or suspended"
_FOREIGN: Final = "belongs to another account"
_FOREIGN_PUBLIC: Final = "belongs to another account: public counts only"
_NOT_TOLD_APART: Final = "refused together with others, and not told apart within bounds"
_ABSENT: Final = "absent from the answer"


@dataclass(slots=True)
class Outcome:
    """What a pull did.

    :param landed: where its rows are.
    :param requests: requests sent, retries included.
    :param summary: all of it in figures, JSON-able, below 10 kB at any size.
    """

    landed: Landed
    requests: int
    summary: dict[str, object]


@dataclass(slots=True)
class _Fetched:
    """What a thread brings home: the fates of one request's ids, and their rows."""

    request: PlannedRequest
    asked: Asked
    by_tweet: pa.Table
    sums: pa.Table
    seen: set[str]
    unsupported: dict[str, frozenset[str]]
    strangers: int


@dataclass(slots=True)
class _Tally:
    """What a pull has gathered so far, on its own thread."""

    sent: int = 0
    rows: int = 0
    strangers: int = 0
    sums: list[pa.Table] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def pull(
    client: EngagementClient,
    plan: Plan,
    sink: Sink,
    *,
    snapshot_at: datetime,
    max_missing_share: float = 1.0,
) -> Outcome:
    """Send a plan's requests and land their rows: all of them, or none.

    :param client: the connection to ask through.
    :param plan: what to ask.
    :param sink: where the rows go; it is prepared before the first request.
    :param snapshot_at: the moment that counts to date stand for, UTC.
    :param max_missing_share: the share of ids, 0 to 1, that may stay without any count.
    :raises MissingCountsError: if more do, or none has one. Nothing is written then.
    :raises EngagementError: if a request stays unanswered. Nothing is written then.
    """
    query, account = plan.query, client.settings.account
    coverage = Coverage(plan.tweet_ids)
    tally = _Tally()
    try:
        sink.prepare()
        _pull_rounds(client, plan, sink, coverage, tally, snapshot_at=snapshot_at)
        _check_missing(coverage, max_missing_share)
        sums_left_out = _write_sums(sink, coverage, tally)
        summary: dict[str, object] = {
            "account": account,
            "plan": plan.describe(),
            "window": {"snapshot_at": snapshot_at.isoformat()},
            "requests": tally.sent,
            "rows": tally.rows,
            "tweets": coverage.describe(),
            "counts_never_asked_for": tally.strangers,
            "sums_left_out": sums_left_out,
        }
        table = coverage.table(
            account=account,
            endpoint=query.endpoint.name,
            snapshot_at=snapshot_at,
            collected_at=datetime.now(UTC),
        )
        landed = sink.commit(table, summary)
    except BaseException:
        sink.discard()
        raise
    return Outcome(landed=landed, requests=tally.sent, summary=summary)


def _pull_rounds(
    client: EngagementClient,
    plan: Plan,
    sink: Sink,
    coverage: Coverage,
    tally: _Tally,
    *,
    snapshot_at: datetime,
) -> None:
    query = plan.query
    unasked = set(query.engagement_types)
    coverage.settle(
        (item for item, names in plan.too_old.items() if unasked.issubset(names)),
        Fate(Status.UNSUPPORTED, reason=_TOO_OLD, missing_types=query.engagement_types),
    )
    if plan.requests:
        client.prepare(query.endpoint.name, query.access)
    for fetched in _fetch_all(client, query, plan.requests, snapshot_at=snapshot_at):
        _take(fetched, plan, sink, coverage, tally)
    foreign = _foreign_round(client, plan, tally.foreign)
    if foreign is not None:
        public_query, requests = foreign
        for fetched in _fetch_all(client, public_query, requests, snapshot_at=snapshot_at):
            _take(fetched, plan, sink, coverage, tally)


def _foreign_round(
    client: EngagementClient, plan: Plan, foreign: list[str]
) -> tuple[Query, list[PlannedRequest]] | None:
    """Plan the public counts of foreign Tweets, where app-only access is to be had.

    Only rows of single Tweets and types are asked for: a sum over other types, or over other
    people's Tweets, would be another number under the same name.
    """
    query = plan.query
    groupings = tuple(
        grouping
        for grouping in query.groupings
        if {GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE}.issubset(grouping.group_by)
    )
    types = [name for name in query.engagement_types if name in query.endpoint.public_types]
    if not (foreign and groupings and types):
        return None
    try:
        client.prepare(query.endpoint.name, Access.PUBLIC)
    except EngagementError as error:
        log.warning("Public counts of %d foreign Tweets are not to be had: %s", len(foreign), error)
        return None
    by_types: dict[tuple[str, ...], list[str]] = {}
    for tweet_id in foreign:
        spared = plan.too_old.get(tweet_id, ())
        by_types.setdefault(tuple(n for n in types if n not in spared), []).append(tweet_id)
    requests = [
        PlannedRequest(tweet_ids=batch, engagement_types=names, access=Access.PUBLIC)
        for names, ids in by_types.items()
        if names
        for batch in batches(ids, query.endpoint.max_tweet_ids)
    ]
    log.info("Asking app-only for %d foreign Tweets: %d requests.", len(foreign), len(requests))
    return replace(query, groupings=groupings, access=Access.PUBLIC), requests


def _fetch_all(
    client: EngagementClient,
    query: Query,
    requests: Iterable[PlannedRequest],
    *,
    snapshot_at: datetime,
) -> Iterator[_Fetched]:
    """Fetch requests by several threads, and give what they bring as it comes."""
    requests = tuple(requests)
    waiting = iter(requests)
    most = client.settings.max_concurrency
    progress = _Progress(len(requests))
    with ThreadPoolExecutor(max_workers=most, thread_name_prefix="engagement") as threads:

        def send(request: PlannedRequest) -> Future[_Fetched]:
            return threads.submit(_fetch, client, query, request, snapshot_at)

        running = {send(request) for request in islice(waiting, most)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
                    progress.step()
                running |= {send(request) for request in islice(waiting, len(done))}
        except BaseException:
            client.stop()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _fetch(
    client: EngagementClient, query: Query, request: PlannedRequest, snapshot_at: datetime
) -> _Fetched:
    asked = client.ask(query, request)
    origin = Origin(
        account=client.settings.account,
        access=request.access,
        endpoint=query.endpoint.name,
        snapshot_at=snapshot_at,
    )
    single = tuple(g for g in query.groupings if GroupBy.TWEET_ID in g.group_by)
    summed = tuple(g for g in query.groupings if GroupBy.TWEET_ID not in g.group_by)
    fetched = _Fetched(request, asked, pa.table({}), pa.table({}), set(), {}, 0)
    rows: list[pa.Table] = []
    sums: list[pa.Table] = []
    for answer in asked.answers:
        for groupings, tables in ((single, rows), (summed, sums)):
            if groupings:
                flat = flatten(
                    answer,
                    groupings=groupings,
                    tweet_ids=request.tweet_ids,
                    engagement_types=request.engagement_types,
                    origin=origin,
                )
                tables.append(flat.table)
                fetched.seen |= flat.seen
                fetched.strangers += flat.strangers
        fetched.unsupported.update(answer.unsupported)
    if not single:
        gone = asked.forbidden | asked.unavailable | asked.unanswered
        fetched.seen = set(request.tweet_ids) - gone
    # The parsed answers are large, and nobody needs them any more.
    asked.answers.clear()
    fetched.by_tweet = pa.concat_tables(rows) if rows else pa.table({})
    fetched.sums = pa.concat_tables(sums) if sums else pa.table({})
    return fetched


def _take(fetched: _Fetched, plan: Plan, sink: Sink, coverage: Coverage, tally: _Tally) -> None:
    """Write what a thread brought, and note what became of its Tweets."""
    tally.sent += fetched.asked.sent
    tally.strangers += fetched.strangers
    if fetched.by_tweet.num_rows:
        tally.rows += fetched.by_tweet.num_rows
        sink.write(fetched.by_tweet)
    if fetched.sums.num_rows:
        tally.sums.append(fetched.sums)
    _settle(fetched, plan, coverage)
    if fetched.request.access is Access.OWNER:
        tally.foreign += [
            item for item in fetched.request.tweet_ids if item in fetched.asked.forbidden
        ]


def _settle(fetched: _Fetched, plan: Plan, coverage: Coverage) -> None:
    request, asked = fetched.request, fetched.asked
    wanted = plan.query.engagement_types
    fates: dict[tuple[Status, str | None, tuple[str, ...]], list[str]] = {}
    for tweet_id in request.tweet_ids:
        too_old = plan.too_old.get(tweet_id, ())
        listed = fetched.unsupported.get(tweet_id, frozenset())
        missing = tuple(
            name
            for name in wanted
            if name in too_old or name in listed or name not in request.engagement_types
        )
        answered = tweet_id in fetched.seen
        status, reason = Status.ANSWERED if answered else Status.UNANSWERED, None
        if tweet_id in asked.unavailable:
            status, reason = Status.UNAVAILABLE, _UNAVAILABLE
        elif tweet_id in asked.forbidden:
            status, reason = Status.FORBIDDEN, _FOREIGN
        elif tweet_id in asked.unanswered:
            reason = _NOT_TOLD_APART
        elif not answered:
            status = Status.UNSUPPORTED if listed else Status.UNANSWERED
            reason = _UNSUPPORTED if listed else _ABSENT
        elif missing:
            reason = _why_missing(request, plan, fetched, tweet_id)
        gone = status is not Status.ANSWERED
        fates.setdefault((status, reason, wanted if gone else missing), []).append(tweet_id)
    for (status, reason, missing), ids in fates.items():
        access = request.access if status is Status.ANSWERED else None
        coverage.settle(ids, Fate(status, reason, access, missing))


def _why_missing(
    request: PlannedRequest, plan: Plan, fetched: _Fetched, tweet_id: str
) -> str | None:
    if request.access is not plan.query.access:
        return _FOREIGN_PUBLIC
    return _UNSUPPORTED if tweet_id in fetched.unsupported else _TOO_OLD


def _check_missing(coverage: Coverage, max_missing_share: float) -> None:
    share = coverage.missing_share
    answered = coverage.count(Status.ANSWERED)
    if answered and share <= max_missing_share:
        return
    figures = coverage.describe()
    reasons: Mapping[str, int] = {
        str(status): coverage.count(status)
        for status in Status
        if status is not Status.ANSWERED and coverage.count(status)
    }
    told = ", ".join(f"{count} {status}" for status, count in reasons.items())
    msg = f"{answered} of {figures['asked']} Tweets could be counted ({told})."
    raise MissingCountsError(
        msg,
        advice="Nothing was written. Check that tweet_ids belong to the connection's account; "
        f"max_missing_share is {max_missing_share}.",
    )


def _write_sums(sink: Sink, coverage: Coverage, tally: _Tally) -> int:
    """Write the sums over Tweets, unless a Tweet that they need went unanswered.

    :returns: how many were left out.
    """
    if not tally.sums:
        return 0
    summed = sum_rows(pa.concat_tables(tally.sums))
    if coverage.count(Status.UNANSWERED):
        log.warning("%d sums are left out: some Tweets went unanswered.", summed.num_rows)
        return int(summed.num_rows)
    sink.write(summed)
    tally.rows += summed.num_rows
    return 0


class _Progress:
    """Says from time to time how far a pull has come.

    :param total: requests to send.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = self._said = time.monotonic()

    def step(self) -> None:
        """Count one, and say so if it is time."""
        self._done += 1
        now = time.monotonic()
        if now - self._said >= _PROGRESS_EVERY:
            self._said = now
            left = (now - self._began) / self._done * (self._total - self._done)
            log.info(
                "%d of %d requests answered, about %.0f s left.", self._done, self._total, left
            )
