"""One look at the counts of some Tweets as they are now, for whoever watches them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.pull.pull import ReportingPeriod, survey
from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.thresholds.evaluation import Observation, UnavailableCounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.rows.coverage import Coverage

__all__ = ["observe"]

# Of these a later look may give the counts that this one did not.
_PASSING: Final = Status.UNANSWERED


def observe(client: EngagementClient, query: Query, tweet_ids: Sequence[str]) -> Observation:
    """Ask for the counts of some Tweets, in as few requests as there can be.

    :param client: through which connection.
    :param query: what is asked: counts by Tweet and type, of no range.
    :param tweet_ids: of which Tweets, each once.
    :raises EngagementError: if a request stays unanswered.
    """
    now = datetime.now(UTC)
    counts = _InMemory()
    plan = make_plan(query, tweet_ids, now=now)
    coverage = survey(client, plan, counts, moment=ReportingPeriod(now))
    return Observation(now, counts.by_tweet, _closed(coverage))


def _closed(coverage: Coverage) -> dict[str, UnavailableCounts]:
    closed = {}
    for tweet_id, fate in coverage.outcomes.items():
        types = frozenset(fate.missing_types) - frozenset(fate.lacking_types)
        if types and fate.status is not _PASSING:
            closed[tweet_id] = UnavailableCounts(types, fate.reason or "")
    return closed


class _InMemory:
    """A sink that keeps the counts, and lands nothing."""

    def __init__(self) -> None:
        self.by_tweet: dict[str, dict[str, int]] = {}

    def prepare(self) -> None:
        """Need nothing."""

    def write(self, table: pa.Table) -> None:
        """Keep counts."""
        columns = ("tweet_id", "engagement_type", "value")
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        for tweet_id, engagement_type, value in rows:
            self.by_tweet.setdefault(tweet_id, {})[engagement_type] = value

    def commit(self, coverage: pa.Table, manifest: Mapping[str, object]) -> WriteResult:  # noqa: ARG002 - a sink's
        """Land nothing."""
        return WriteResult(rows=0, table=None, uris=(), coverage="")

    def discard(self) -> None:
        """Leave nothing behind."""
