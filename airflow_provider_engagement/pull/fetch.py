"""Sends planned requests by several threads, and brings home what they give as rows."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from airflow_provider_engagement.api.client import Asked
from airflow_provider_engagement.api.spec import EndpointName, GroupBy
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.pull.fetched import NO_ROWS, Fetched
from airflow_provider_engagement.pull.progress import Progress
from airflow_provider_engagement.rows.flatten import Origin, flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.plan import PlannedRequest
    from airflow_provider_engagement.api.query import Grouping, Query
    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore

__all__ = ["Fetcher"]


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Sends requests of one query.

    :param client: through which connection.
    :param query: what is asked.
    :param origin: what all rows share; each request adds its own part.
    :param pieces: what earlier tries got, and where to keep what this one gets; None for nowhere.
    :param course: until when it may go on, and who is told how far it has come.
    """

    client: EngagementClient
    query: Query
    origin: Origin
    pieces: CheckpointStore | None = None
    course: PullLimits = field(default_factory=PullLimits)

    def fetch_all(
        self, requests: Iterable[PlannedRequest], *, spared: Callable[[], Collection[str]]
    ) -> Iterator[Fetched]:
        """Send requests, as many at once as the connection allows, and give what each brings.

        :param requests: the requests, in the order to send them.
        :param spared: tells which ids are known by now to give nothing; they are left out.
        :raises EngagementError: if one of them stays unanswered; the others are given up.
        :raises DeadlineExceededError: if the time is up. What is in flight is still kept.
        """
        waiting = list(requests)
        progress = Progress(len(waiting), self.course)
        waiting.reverse()
        most = self.client.settings.max_concurrency
        running: set[Future[Fetched]] = set()
        with ThreadPoolExecutor(most, thread_name_prefix="engagement") as threads:
            try:
                while waiting or running:
                    left = progress.time_left()
                    while waiting and len(running) < most:
                        planned = waiting.pop()
                        request = _without(planned, spared())
                        if request.tweet_ids:
                            running.add(threads.submit(self._get, planned, request))
                        else:
                            progress.step()
                    done, running = wait(running, timeout=left, return_when=FIRST_COMPLETED)
                    for future in done:
                        progress.step()
                        yield future.result()
            except BaseException:
                # Also when whoever takes the rows fails, or Airflow ends the task.
                self.client.stop()
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _get(self, planned: PlannedRequest, request: PlannedRequest) -> Fetched:
        """Get a request's counts: from an earlier try, or from the service."""
        kept = self.pieces.load(planned) if self.pieces else None
        if kept is not None:
            return kept
        fetched = self._fetch(request)
        if self.pieces:
            self.pieces.save(planned, fetched)
        return fetched

    def _fetch(self, request: PlannedRequest) -> Fetched:
        fetched = Fetched(request, Asked())
        origin = replace(self.origin, access=request.access, asked=request.window)
        rows, parts = [NO_ROWS], [NO_ROWS]

        def take(answer: EngagementResponse, tweet_ids: tuple[str, ...]) -> None:
            flat = flatten(
                answer,
                groupings=self.query.groupings,
                tweet_ids=tweet_ids,
                engagement_types=request.engagement_types,
                origin=origin,
            )
            for grouping, table in zip(self.query.groupings, flat.tables, strict=True):
                summed = _is_summed(grouping, self.query.endpoint.name)
                (parts if summed else rows).append(table)
            fetched.add(flat, answer)

        # Read as they come: one that makes no sense is asked for again, like one that is torn.
        asked = fetched.asked = self.client.ask(self.query, request, take=take)
        fetched.rows = pa.concat_tables(rows)
        fetched.parts = pa.concat_tables(parts)
        if not any(GroupBy.TWEET_ID in grouping.group_by for grouping in self.query.groupings):
            gone = asked.forbidden | asked.unavailable | asked.unanswered
            fetched.seen = set(request.tweet_ids) - gone
        return fetched


def _is_summed(grouping: Grouping, endpoint: EndpointName) -> bool:
    """Tell whether one request's counts of a grouping may be but a part of the whole.

    Without Tweets they are summed over the batches, and without days over the windows.
    """
    if GroupBy.TWEET_ID not in grouping.group_by:
        return True
    if endpoint is EndpointName.TOTALS or GroupBy.DAY in grouping.group_by:
        return False
    return endpoint is EndpointName.HISTORICAL or GroupBy.HOUR in grouping.group_by


def _without(request: PlannedRequest, spared: Collection[str]) -> PlannedRequest:
    if not spared:
        return request
    return replace(request, tweet_ids=tuple(i for i in request.tweet_ids if i not in spared))
