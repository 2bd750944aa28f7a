"""Observes the counts of some Tweets as they are now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.pull import fetch_counts
from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.rows.period import ReportingPeriod
from airflow_provider_engagement.thresholds.evaluation import Observation, UnavailableCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from airflow_provider_engagement.api.client import EngagementClient
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.rows.coverage import Coverage

__all__ = ["observe"]

# A later observation may have the counts that this one does not.
_MAY_CHANGE: Final = Status.UNANSWERED


def observe(client: EngagementClient, query: Query, tweet_ids: Sequence[str]) -> Observation:
    """Request the counts of some Tweets, in as few requests as possible.

    :param client: the connection.
    :param query: what is asked: counts by Tweet and type, without a window.
    :param tweet_ids: the Tweets, each once.
    :raises EngagementError: if a request stays unanswered.
    """
    now = datetime.now(UTC)
    counts: dict[str, dict[str, int]] = {}

    def write(table: pa.Table) -> None:
        columns = ("tweet_id", "engagement_type", "value")
        rows = zip(*(table[name].to_pylist() for name in columns), strict=True)
        for tweet_id, engagement_type, value in rows:
            counts.setdefault(tweet_id, {})[engagement_type] = value

    plan = make_plan(query, tweet_ids, now=now)
    coverage = fetch_counts(client, plan, period=ReportingPeriod(now), write=write)
    return Observation(now, counts, _unavailable(coverage))


def _unavailable(coverage: Coverage) -> dict[str, UnavailableCounts]:
    unavailable = {}
    for tweet_id, outcome in coverage.outcomes.items():
        types = frozenset(outcome.missing_types) - frozenset(outcome.absent_types)
        if types and outcome.status is not _MAY_CHANGE:
            unavailable[tweet_id] = UnavailableCounts(types, outcome.reason or "")
    return unavailable
