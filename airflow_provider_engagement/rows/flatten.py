"""Turns the counts of a response into rows of the long layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from airflow_provider_engagement.api.errors import InvalidResponseError
from airflow_provider_engagement.api.spec import EndpointName, GroupBy
from airflow_provider_engagement.rows.build import RowBuilder
from airflow_provider_engagement.rows.decode import Counts, read_counts
from airflow_provider_engagement.rows.schema import LONG, arrow_schema
from airflow_provider_engagement.rows.time_buckets import (
    check_28_hours,
    within_parts,
    within_window,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.api.query import Grouping, PlannedRequest, Query
    from airflow_provider_engagement.api.response import EngagementResponse

__all__ = ["NO_ROWS", "RequestResult", "flatten"]

NO_ROWS: Final = arrow_schema(LONG).empty_table()


@dataclass(slots=True)
class RequestResult:
    """What one request brought: rows, and what happened to its Tweets.

    :param request: the request.
    :param rows: final rows, in the long layout.
    :param partial_sums: rows that are summed with those of other requests.
    :param counted: ids that have at least one count.
    :param unavailable: ids that are deleted, protected or suspended.
    :param forbidden: ids that belong to another account.
    :param unresolved: ids of batches that were refused, and not narrowed down within bounds.
    :param unsupported: by id, the types that the service lists as unsupported.
    :param missing: by id, types of the request that the response does not contain; under None
        those of sums over all Tweets.
    :param unrequested: how many counts the response has that the request did not ask for.
    :param resumed: whether an earlier try of the task fetched it.
    """

    request: PlannedRequest
    rows: pa.Table = field(default_factory=lambda: NO_ROWS)
    partial_sums: pa.Table = field(default_factory=lambda: NO_ROWS)
    counted: set[str] = field(default_factory=set)
    unavailable: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    unresolved: set[str] = field(default_factory=set)
    unsupported: dict[str, frozenset[str]] = field(default_factory=dict)
    missing: dict[str | None, frozenset[str]] = field(default_factory=dict)
    unrequested: int = 0
    resumed: bool = False

    def add_missing(self, tweet_id: str | None, types: Collection[str]) -> None:
        """Record types that the response does not contain."""
        self.missing[tweet_id] = self.missing.get(tweet_id, frozenset()).union(types)

    def merge(self, other: RequestResult) -> None:
        """Add what a part of the same request brought."""
        self.rows = pa.concat_tables([self.rows, other.rows])
        self.partial_sums = pa.concat_tables([self.partial_sums, other.partial_sums])
        self.counted |= other.counted
        self.unavailable |= other.unavailable
        self.forbidden |= other.forbidden
        self.unresolved |= other.unresolved
        self.unsupported |= other.unsupported
        self.unrequested += other.unrequested
        for tweet_id, types in other.missing.items():
            self.add_missing(tweet_id, types)


def flatten(
    response: EngagementResponse,
    *,
    query: Query,
    request: PlannedRequest,
    account: str,
    period: ReportingPeriod,
) -> RequestResult:
    """Turn a response into rows.

    Counts that the request did not ask for are left out. So is what the service lists as
    unsupported or unavailable, though it may send a ``"0"`` for it, and the zeros from before a
    Tweet was created.

    :param response: the response.
    :param query: the endpoint and the groupings.
    :param request: the Tweets, types and window of the request.
    :param account: the owner, for the column ``account``.
    :param period: what the pull is about.
    :raises InvalidResponseError: if a count is not a 64-bit integer, or stands at the wrong level.
    """
    if query.endpoint.name is EndpointName.LAST_28_HOURS:
        check_28_hours(response)
    result = RequestResult(
        request,
        unavailable=set(response.unavailable.intersection(request.tweet_ids)),
        forbidden=set(response.forbidden.intersection(request.tweet_ids)),
        unsupported=dict(response.unsupported),
    )
    final, partial = [NO_ROWS], [NO_ROWS]
    for grouping in query.groupings:
        counts = _read(response, grouping)
        requested = _requested(counts, request)
        if GroupBy.DAY in counts.levels:
            requested = within_window(requested, response, request.window)
        served = _served(requested, response)
        if request.parts:
            served = within_parts(served, request.parts)
        for tweet_id, types in _missing_types(served, response, request):
            result.add_missing(tweet_id, types)
        if GroupBy.TWEET_ID in served.levels:
            result.counted.update(served.levels[GroupBy.TWEET_ID].used())
        builder = RowBuilder(served, grouping, response, query, request, account, period)
        (partial if _is_partial(grouping, query.endpoint.name) else final).append(builder.build())
        result.unrequested += len(counts) - len(requested) + builder.before_creation
    if not any(GroupBy.TWEET_ID in grouping.group_by for grouping in query.groupings):
        result.counted.update(set(request.tweet_ids) - response.uncounted)
    result.rows, result.partial_sums = pa.concat_tables(final), pa.concat_tables(partial)
    return result


def _read(response: EngagementResponse, grouping: Grouping) -> Counts:
    """Read a grouping's counts. A response has no grouping if all Tweets are unavailable."""
    if response.groupings and grouping.name not in response.groupings:
        msg = f"A response does not have {grouping.name!r}, one of the groupings of the request."
        raise InvalidResponseError(msg)
    return read_counts(response.groupings.get(grouping.name, {}), grouping)


def _requested(counts: Counts, request: PlannedRequest) -> Counts:
    """Return the counts of Tweets and types that the request names."""
    for level, names in (
        (GroupBy.TWEET_ID, request.tweet_ids),
        (GroupBy.ENGAGEMENT_TYPE, request.engagement_types),
    ):
        if level in counts.levels:
            counts = counts.where(level, frozenset(names).__contains__)
    return counts


def _served(counts: Counts, response: EngagementResponse) -> Counts:
    """Return the counts without those that the service says it does not serve."""
    if GroupBy.TWEET_ID not in counts.levels:
        return counts
    uncounted = response.uncounted
    if uncounted:
        counts = counts.where(GroupBy.TWEET_ID, lambda key: key not in uncounted)
    if response.unsupported and GroupBy.ENGAGEMENT_TYPE in counts.levels:
        ids, types = counts.levels[GroupBy.TWEET_ID], counts.levels[GroupBy.ENGAGEMENT_TYPE]
        unsupported = np.array(
            [
                [name in response.unsupported.get(item, ()) for name in types.keys]
                for item in ids.keys
            ],
            dtype=np.bool_,
        ).reshape(len(ids.keys), len(types.keys))
        counts = counts.keep(~unsupported[ids.codes, types.codes])
    return counts


def _missing_types(
    counts: Counts, response: EngagementResponse, request: PlannedRequest
) -> Iterator[tuple[str | None, frozenset[str]]]:
    """Yield, by Tweet, the types of the request that the response does not contain."""
    types = counts.levels.get(GroupBy.ENGAGEMENT_TYPE)
    if types is None:
        return
    wanted = frozenset(request.engagement_types)
    ids = counts.levels.get(GroupBy.TWEET_ID)
    if ids is None:
        if missing := wanted.difference(types.keys):
            yield None, missing
        return
    present = np.zeros((len(ids.keys), len(types.keys)), dtype=np.bool_)
    present[ids.codes, types.codes] = True
    places = {item: place for place, item in enumerate(ids.keys)}
    uncounted = response.uncounted
    for tweet_id in request.tweet_ids:
        if tweet_id in uncounted:
            continue
        row = present[places[tweet_id]] if tweet_id in places else ()
        if len(row) == len(wanted) and np.all(row):
            continue
        found = {name for name, is_present in zip(types.keys, row, strict=False) if is_present}
        if missing := wanted - found - response.unsupported.get(tweet_id, frozenset()):
            yield tweet_id, missing


def _is_partial(grouping: Grouping, endpoint: EndpointName) -> bool:
    """Return whether one request's counts of a grouping may be only a part of the sum.

    Without Tweets they are summed over the batches, and without days over the windows.
    """
    if GroupBy.TWEET_ID not in grouping.group_by:
        return True
    if endpoint is EndpointName.TOTALS or GroupBy.DAY in grouping.group_by:
        return False
    return endpoint is EndpointName.HISTORICAL or GroupBy.HOUR in grouping.group_by
