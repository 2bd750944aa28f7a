"""Settings for a simulated account, and pulls of its totals into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.pull import PullResult, PullStats, pull
from airflow_provider_engagement.sinks.memory import MemorySink

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from airflow_provider_engagement.simulator import Simulator

QUICK = RetryPolicy(budget=5.0, first_wait=0.001, max_wait=0.01)


def settings_for(
    simulator: Simulator,
    account: str = "acme",
    *,
    user_tokens: bool = True,
    bearer: bool = True,
    **changes: Any,
) -> Settings:
    """Give the settings that the connection to a simulated account would have."""
    held = simulator.connection(account, user_tokens=user_tokens, bearer=bearer)
    extra = held["extra"]
    names = ("access_token", "access_token_secret", "bearer_token")
    return Settings(
        credentials=Credentials(
            consumer_key=Secret(held["login"]),
            consumer_secret=Secret(held["password"]),
            **{name: Secret(extra[name]) for name in names if name in extra},
        ),
        account=account,
        host=held["host"],
        oauth2_endpoint=extra["oauth2_endpoint"],
        **changes,
    )


def pull_rows(
    simulator: Simulator,
    tweet_ids: list[str],
    *,
    now: datetime,
    rate_state_directory: Path,
    settings: Settings | None = None,
    retry: RetryPolicy = QUICK,
    max_missing_share: float = 1.0,
    stats: PullStats | None = None,
    **query_options: Any,
) -> tuple[PullResult, list[dict[str, Any]]]:
    """Pull totals into memory."""
    settings = settings or settings_for(simulator)
    query = build_query("totals", has_owner=settings.credentials.has_owner, **query_options)
    sink = MemorySink()
    with EngagementClient(
        settings, retry=retry, rate_state_directory=rate_state_directory
    ) as client:
        outcome = pull(
            client,
            make_plan(query, tweet_ids, now=now),
            sink,
            period=ReportingPeriod(now),
            max_missing_share=max_missing_share,
            stats=stats,
        )
    return outcome, sink.rows()
