"""The counts of some Tweets at one moment."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.pull import fetch_counts
from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.sinks.memory import MemorySink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.rows.coverage import Coverage

__all__ = ["Counts", "Observation", "UnavailableCounts", "observe"]


@dataclass(frozen=True, slots=True)
class UnavailableCounts:
    """Counts that a Tweet does not have any more, or that the connection may not see.

    :param engagement_types: which ones.
    :param reason: why.
    """

    engagement_types: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one engagement type, an entry for each Tweet.

    A count that is available and not answered may be answered by the next poll.

    :param values: the counts; 0 where there is none.
    :param answered: whether the service reported the count.
    :param available: whether the service can report it at all.
    """

    values: NDArray[np.int64]
    answered: NDArray[np.bool_]
    available: NDArray[np.bool_]

    def take(self, rows: NDArray[np.intp]) -> Counts:
        """Return the counts of some of the Tweets, in the order of their places."""
        return Counts(self.values[rows], self.answered[rows], self.available[rows])


@dataclass(frozen=True, slots=True)
class Observation:
    """What the service reported of some Tweets at one moment.

    :param seen_at: the moment, UTC.
    :param tweet_ids: the Tweets, each once.
    :param counts: by engagement type, in the order of the Tweets.
    :param unavailable: by id, for the Tweets that lack counts which no later poll will bring.
    """

    seen_at: datetime
    tweet_ids: Sequence[str]
    counts: Mapping[str, Counts]
    unavailable: Mapping[str, UnavailableCounts] = field(default_factory=dict)

    @classmethod
    def from_rows(
        cls,
        seen_at: datetime,
        tweet_ids: Sequence[str],
        rows: pa.Table,
        *,
        engagement_types: Sequence[str],
        unavailable: Mapping[str, UnavailableCounts],
    ) -> Observation:
        """Read an observation from rows of the long layout.

        :param rows: the rows; of their columns ``tweet_id``, ``engagement_type`` and ``value``
            are read.
        :param engagement_types: the types that were requested.
        """
        ids = pa.array(tweet_ids, type=pa.string())
        counts = {
            name: _counts_of_type(name, ids, rows, _available(name, ids, unavailable))
            for name in engagement_types
        }
        return cls(seen_at, tweet_ids, counts, unavailable)

    def select(self, tweet_ids: Sequence[str]) -> Observation:
        """Return the part of the observation that is about some of its Tweets, in their order."""
        if tweet_ids == self.tweet_ids:
            return self
        rows = _places(
            pa.array(tweet_ids, type=pa.string()), pa.array(self.tweet_ids, type=pa.string())
        )
        counts = {name: column.take(rows) for name, column in self.counts.items()}
        unavailable = {
            tweet_id: self.unavailable[tweet_id]
            for tweet_id in tweet_ids
            if tweet_id in self.unavailable
        }
        return Observation(self.seen_at, tweet_ids, counts, unavailable)


def observe(client: EngagementClient, query: Query, tweet_ids: Sequence[str]) -> Observation:
    """Fetch the counts of some Tweets, in as few requests as possible.

    :param client: the connection to use.
    :param query: what to request: counts by Tweet and type, without a window.
    :param tweet_ids: the Tweets, each once.
    :raises EngagementError: if a request stays unanswered.
    """
    now = datetime.now(UTC)
    sink = MemorySink()
    plan = make_plan(query, tweet_ids, now=now)
    coverage = fetch_counts(client, plan, period=ReportingPeriod(now), write=sink.write)
    return Observation.from_rows(
        now,
        tweet_ids,
        sink.table,
        engagement_types=query.engagement_types,
        unavailable=_unavailable(coverage),
    )


def _unavailable(coverage: Coverage) -> dict[str, UnavailableCounts]:
    """Return the counts that no later poll will bring: they are missing for a lasting reason."""
    found = {}
    for tweet_id, outcome in coverage.outcomes.items():
        types = frozenset(outcome.missing_types) - frozenset(outcome.absent_types)
        if types and outcome.status is not Status.UNANSWERED:
            found[tweet_id] = UnavailableCounts(types, outcome.reason or "")
    return found


def _counts_of_type(
    name: str, tweet_ids: pa.StringArray, rows: pa.Table, available: NDArray[np.bool_]
) -> Counts:
    of_type = rows.filter(pc.equal(rows["engagement_type"], name))
    places = _places(of_type["tweet_id"], tweet_ids)
    values = np.zeros(len(tweet_ids), np.int64)
    values[places] = of_type["value"].to_numpy()
    answered = np.zeros(len(tweet_ids), np.bool_)
    answered[places] = True
    return Counts(values, answered & available, available)


def _available(
    name: str, tweet_ids: pa.StringArray, unavailable: Mapping[str, UnavailableCounts]
) -> NDArray[np.bool_]:
    without = [i for i, counts in unavailable.items() if name in counts.engagement_types]
    available = np.ones(len(tweet_ids), np.bool_)
    available[_places(pa.array(without, type=pa.string()), tweet_ids)] = False
    return available


def _places(some: pa.Array | pa.ChunkedArray, among: pa.StringArray) -> NDArray[np.intp]:
    """Return where each of some ids stands among others. Fails if one does not."""
    found = pc.index_in(some, value_set=among)
    if found.null_count:
        msg = "an id is not in the observation"
        raise KeyError(msg)
    return np.asarray(found).astype(np.intp)
