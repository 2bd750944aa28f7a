"""The steps from a query and a collection to a plan of requests."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.plan import ReportingPeriod, bucket_size, make_plan
from airflow_provider_engagement.api.window import align_to, clip_to_available

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow_provider_engagement.api.plan import Plan
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.api.window import Window

__all__ = ["has_tweets", "period_of_snapshot", "period_of_window", "plan_requests"]

log = logging.getLogger(__name__)


def period_of_window(window: Window, query: Query) -> ReportingPeriod:
    """Return what the counts of a window are about: whole days or hours, as the query needs.

    :param window: the window, of any precision.
    :param query: what is asked.
    :raises InvalidArgumentError: if the window is empty.
    """
    aligned = align_to(window, bucket_size(query))
    log.info("Window: %s.", aligned)
    return ReportingPeriod(aligned.end, aligned)


def period_of_snapshot(moment: datetime) -> ReportingPeriod:
    """Return what counts to date are about.

    :param moment: the moment that they are of, UTC.
    """
    log.info("Counts as of %s UTC.", f"{moment:%Y-%m-%d %H:%M}")
    return ReportingPeriod(moment)


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
        window, warnings = clip_to_available(period.period, now=now, strict=settings.strict_range)
        for warning in warnings:
            log.warning(warning)
        if window is None:
            return None
    plan = make_plan(query, list(tweet_ids), now=now, window=window)
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
