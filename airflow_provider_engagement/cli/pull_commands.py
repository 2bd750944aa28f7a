"""`engagement plan` and `engagement pull`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.plan import period_of_snapshot, period_of_window
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.since_posting import around_tweets, period_since_posting
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.cli.connection import find_settings, settings_of_environment
from airflow_provider_engagement.cli.exit_codes import ExitCode
from airflow_provider_engagement.cli.output import OutputSink
from airflow_provider_engagement.cli.sources import read_sources
from airflow_provider_engagement.collections.parsing import parse_list, parse_literal
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.pull import pull as run_pull
from airflow_provider_engagement.pull.deadline import PullLimits
from airflow_provider_engagement.pull.pull import has_tweets, plan_requests
from airflow_provider_engagement.rows.coverage import Status

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.cli.terminal import Terminal
    from airflow_provider_engagement.pull import PullResult

__all__ = ["plan", "pull"]

# A bar that moves; Airflow's task state is updated every ten seconds.
_BAR_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _Job:
    """What the arguments ask for.

    :param period: what the counts are about.
    :param plan: the requests; None if there is nothing to ask.
    """

    period: ReportingPeriod
    plan: Plan | None


def plan(options: Namespace, terminal: Terminal) -> int:
    """Print the plan of a pull.

    :param options: the arguments.
    :param terminal: where messages go.
    :raises EngagementError: if an argument is not allowed.
    """
    settings = _settings_for_plan(options.conn_id, terminal)
    job = _job(options, settings)
    if options.json:
        facts = {} if job.plan is None else job.plan.describe() | {"window": job.period.describe()}
        print(json.dumps(facts, indent=2))
    elif job.plan is not None:
        minutes = job.plan.minutes(settings.requests_per_minute.get(job.plan.query.endpoint.name))
        rate = "" if minutes is None else f" About {minutes:.0f} minutes at the contract's rate."
        print(f"{job.plan}{rate}")
    return ExitCode.OK


def pull(options: Namespace, terminal: Terminal) -> int:
    """Pull counts, and write them as rows.

    :param options: the arguments.
    :param terminal: where messages go.
    :raises EngagementError: if an argument is not allowed, or the pull fails.
    """
    sink = OutputSink(
        options.output,
        coverage=options.coverage,
        file_format=options.format,
        for_spreadsheet=options.spreadsheet,
    )
    settings = find_settings(options.conn_id, hide=terminal.hide)
    with EngagementClient(settings, on_secret=terminal.hide) as client:
        job = _job(options, settings)
        if job.plan is None or not has_tweets(job.plan):
            return ExitCode.OK
        result = _result(options, terminal, client, sink, plan=job.plan, period=job.period)
    terminal.say(str(result))
    is_partial = options.max_missing_share is None and _missing(result, job.plan)
    return ExitCode.PARTIAL if is_partial else ExitCode.OK


def _result(
    options: Namespace,
    terminal: Terminal,
    client: EngagementClient,
    sink: OutputSink,
    *,
    plan: Plan,
    period: ReportingPeriod,
) -> PullResult:
    share = options.max_missing_share
    with (
        terminal.progress(len(plan.requests)) as report,
        terminal.interruptible(sink.discard) as restore,
    ):

        def before_output() -> None:
            terminal.end_progress()
            # What is half written must not be left.
            restore()

        sink.before_output = before_output
        return run_pull(
            client,
            plan,
            sink,
            period=period,
            max_missing_share=1.0 if share is None else share,
            keep_incomplete=options.incomplete == "keep",
            limits=PullLimits(report=report, report_seconds=_BAR_SECONDS),
        )


def _job(options: Namespace, settings: Settings) -> _Job:
    query = build_query(
        options.endpoint,
        has_owner=settings.credentials.has_owner,
        engagement_types=options.types and parse_list(options.types, name="--types"),
        granularity=options.granularity,
        groupings=options.groupings and parse_literal(options.groupings),
    )
    period = _period(options, query)
    tweet_ids = _tweet_ids(options)
    period = around_tweets(period, tweet_ids, query)
    return _Job(period, plan_requests(query, tweet_ids, period, settings))


def _tweet_ids(options: Namespace) -> list[str]:
    shard = Shard.parse(options.shard)
    reader = read_sources(
        options.tweets,
        id_column=options.id_column,
        reposts=options.reposts,
        with_attributes=False,
    )
    return shard.select(reader.tweet_ids()) if shard else reader.tweet_ids()


def _period(options: Namespace, query: Query) -> ReportingPeriod:
    now, start, end, since = datetime.now(UTC), options.start, options.end, options.since_posting
    if options.endpoint != EndpointName.HISTORICAL:
        if start or end or since:
            raise InvalidArgumentError(
                "--start, --end and --since-posting are for historical; "
                f"{options.endpoint} takes no window."
            )
        return period_of_snapshot(now)
    if bool(start or end) == bool(since) or (end and not start):
        raise InvalidArgumentError(
            "historical needs --start, or --since-posting without --start and --end.",
            advice="Such as --start 7d.",
        )
    if since:
        return period_since_posting(query, since, now)
    return period_of_window(Window(start, end or now), query)


def _missing(result: PullResult, plan: Plan) -> int:
    """Return how many Tweets have no counts, without those created after the window."""
    tweets = cast("Mapping[str, int]", result.summary["tweets"])
    return tweets["asked"] - tweets[Status.ANSWERED] - len(plan.too_young)


def _settings_for_plan(conn_id: str | None, terminal: Terminal) -> Settings:
    if conn_id is not None:
        return find_settings(conn_id, hide=terminal.hide)
    found = settings_of_environment(None, hide=terminal.hide)
    if found is not None:
        return found
    terminal.say("No credentials in the environment: the plan assumes the owner's tokens.")
    assumed = Secret("assumed")
    return Settings(Credentials(assumed, assumed, assumed, assumed), account="assumed")
