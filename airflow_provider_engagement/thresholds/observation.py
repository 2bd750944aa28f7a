"""One look at the counts of some Tweets as they are now, for whoever watches them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.pull.pull import ReportingPeriod, survey
from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.sinks.memory import MemorySink
from airflow_provider_engagement.thresholds.evaluation import Observation, UnavailableCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    counts = MemorySink()
    plan = make_plan(query, tweet_ids, now=now)
    coverage = survey(client, plan, counts, moment=ReportingPeriod(now))
    return Observation(now, _by_tweet(counts.table), _closed(coverage))


def _closed(coverage: Coverage) -> dict[str, UnavailableCounts]:
    closed = {}
    for tweet_id, fate in coverage.outcomes.items():
        types = frozenset(fate.missing_types) - frozenset(fate.lacking_types)
        if types and fate.status is not _PASSING:
            closed[tweet_id] = UnavailableCounts(types, fate.reason or "")
    return closed


def _by_tweet(rows: pa.Table) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    columns = (rows[name].to_pylist() for name in ("tweet_id", "engagement_type", "value"))
    for tweet_id, engagement_type, value in zip(*columns, strict=True):
        counts.setdefault(tweet_id, {})[engagement_type] = value
    return counts
