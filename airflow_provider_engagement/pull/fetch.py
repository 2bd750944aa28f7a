"""Sends planned requests from several threads, and returns what they bring as rows."""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import (
    DeadlineExceededError,
    RateLimitError,
    TweetsRefusedError,
)
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.rows.flatten import RequestResult, flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.api.query import PlannedRequest, Query
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.pull.results import PullStats

__all__ = ["Fetcher", "Progress"]

# Halving 250 ids down to one takes 16 requests. A refusal that names none of many foreign Tweets
# is not narrowed down any further than this.
_MAX_REFUSALS: Final = 40

log = logging.getLogger(__name__)

_LOG_SECONDS: Final = 10.0


class Progress:
    """Counts the requests of a pull that are finished.

    :param total: requests to send.
    :param limits: the limits of the pull.
    """

    def __init__(self, total: int, limits: PullLimits) -> None:
        self._total = total
        self._limits = limits
        self._done = 0
        self._began = self._logged = self._reported = time.monotonic()

    def step(self) -> None:
        """Count one request, and from time to time and at the end report the progress."""
        self._done += 1
        now = time.monotonic()
        left = (now - self._began) / self._done * (self._total - self._done)
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            log.info(
                "%d of %d requests answered, about %.0f s left.", self._done, self._total, left
            )
        is_time = now - self._reported >= self._limits.report_seconds
        if self._limits.report is not None and (is_time or self._done == self._total):
            self._reported = now
            self._limits.report(
                {
                    "requests_answered": self._done,
                    "requests_planned": self._total,
                    "seconds_left": round(left),
                    "as_of": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            )

    def time_left(self) -> float | None:
        """Return the seconds until the pull has to stop; None if it does not.

        :raises DeadlineExceededError: if there are none left.
        """
        if self._limits.end_by is None:
            return None
        left = self._limits.end_by - time.monotonic()
        if left > 0:
            return left
        msg = f"The task's execution_timeout is near: {self._done} of {self._total} requests done."
        raise DeadlineExceededError(
            msg,
            advice="The next try sends only the others. A longer execution_timeout avoids it.",
        )


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches the counts of one query.

    :param client: the connection.
    :param query: what is asked.
    :param period: what the pull is about.
    :param stats: counts the requests.
    :param checkpoints: results of earlier tries, and where to keep this one's; None for nowhere.
    :param limits: until when requests may be sent, and where the progress is reported.
    """

    client: EngagementClient
    query: Query
    period: ReportingPeriod
    stats: PullStats
    checkpoints: CheckpointStore | None = None
    limits: PullLimits = field(default_factory=PullLimits)

    def fetch_all(
        self, requests: Iterable[PlannedRequest], *, skip: Callable[[], Collection[str]]
    ) -> Iterator[RequestResult]:
        """Send requests, as many at once as the connection allows, and yield their results.

        :param requests: the requests, in the order to send them.
        :param skip: returns the ids that are known by now to have no counts; they are left out.
        :raises EngagementError: if a request stays unanswered; the others are given up.
        :raises DeadlineExceededError: if the deadline is near. Requests in flight are still saved.
        """
        waiting = list(requests)
        progress = Progress(len(waiting), self.limits)
        waiting.reverse()
        concurrency = self.client.settings.max_concurrency
        running: set[Future[RequestResult]] = set()
        with ThreadPoolExecutor(concurrency, thread_name_prefix="engagement") as threads:
            try:
                while waiting or running:
                    seconds_left = progress.time_left()
                    while waiting and len(running) < concurrency:
                        planned = waiting.pop()
                        request = _without(planned, skip())
                        if request.tweet_ids:
                            running.add(threads.submit(self._get, planned, request))
                        else:
                            progress.step()
                    done, running = wait(running, seconds_left, return_when=FIRST_COMPLETED)
                    for future in done:
                        progress.step()
                        yield future.result()
            except BaseException:
                # Also if the caller fails, or Airflow ends the task.
                self.client.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _get(self, planned: PlannedRequest, request: PlannedRequest) -> RequestResult:
        """Return the result of an earlier try, or fetch it and keep it for the next."""
        if self.checkpoints is None:
            return self._fetch(request)
        earlier = self.checkpoints.load(planned)
        if earlier is not None:
            return earlier
        result = self._fetch(request)
        self.checkpoints.save(planned, result)
        return result

    def _fetch(self, request: PlannedRequest) -> RequestResult:
        """Fetch a request's counts, without the Tweets that the service refuses it for.

        With the owner's tokens one foreign or protected Tweet makes the service refuse a whole
        request. The ids that it names are left out. If it names none, the request is halved until
        they are found, within bounds.
        """
        result = RequestResult(request)
        pending = [request.tweet_ids]
        refusals = 0
        while pending:
            tweet_ids = pending.pop()
            try:
                result.merge(self._fetch_batch(replace(request, tweet_ids=tweet_ids)))
            except TweetsRefusedError as refusal:
                refusals += 1
                if refusals > _MAX_REFUSALS:
                    result.unresolved.update(tweet_ids, *pending)
                    break
                pending += _batches_after_refusal(tweet_ids, refusal, result)
        return result

    def _fetch_batch(self, request: PlannedRequest) -> RequestResult:
        """Send one request until its response can be read, or the client's patience ends."""
        for attempt in self.client.attempts():
            with attempt:
                number = attempt.retry_state.attempt_number
                self.stats.count_request(is_retry=number > 1)
                try:
                    response = self.client.send(self.query, request)
                except RateLimitError:
                    self.stats.count_rate_limited()
                    raise
                return flatten(
                    response,
                    query=self.query,
                    request=request,
                    account=self.client.settings.account,
                    period=self.period,
                )
        raise AssertionError  # tenacity returns or raises


def _batches_after_refusal(
    tweet_ids: tuple[str, ...], refusal: TweetsRefusedError, result: RequestResult
) -> list[tuple[str, ...]]:
    """Return what is still to be requested of a refused batch."""
    forbidden = refusal.forbidden.intersection(tweet_ids)
    unavailable = refusal.unavailable.intersection(tweet_ids)
    if not forbidden and not unavailable:
        if len(tweet_ids) == 1:
            result.forbidden.update(tweet_ids)
            return []
        middle = len(tweet_ids) // 2
        return [tweet_ids[:middle], tweet_ids[middle:]]
    result.forbidden |= forbidden
    result.unavailable |= unavailable
    named = forbidden | unavailable
    rest = tuple(item for item in tweet_ids if item not in named)
    return [rest] if rest else []


def _without(request: PlannedRequest, skipped: Collection[str]) -> PlannedRequest:
    if not skipped:
        return request
    return replace(request, tweet_ids=tuple(i for i in request.tweet_ids if i not in skipped))
