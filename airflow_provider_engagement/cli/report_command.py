"""`engagement report`: write a report on counts that a pull has written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.window import DAY, Window, align_to
from airflow_provider_engagement.cli.exit_codes import ExitCode
from airflow_provider_engagement.cli.sources import file_uri
from airflow_provider_engagement.collections.tweet_ids import is_uri
from airflow_provider_engagement.hooks.report import report_engine
from airflow_provider_engagement.hooks.storage import put_file
from airflow_provider_engagement.reports.content import Period, ReportOptions
from airflow_provider_engagement.reports.report import make_report
from airflow_provider_engagement.sinks.scratch import ScratchFolder

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_provider_engagement.cli.terminal import Terminal
    from airflow_provider_engagement.reports.engine import Engine

__all__ = ["report"]

_TABLE: Final = re.compile(r"(?:[\w:-]+\.)?\w+\.[\w-]+")
_GCP_CONN_ID: Final = "google_cloud_default"


def report(options: Namespace, terminal: Terminal) -> int:
    """Write a report into a folder, and print where its files are, the page first.

    :param options: the arguments.
    :param terminal: where messages go.
    :raises EngagementError: if an argument is not allowed, or the counts cannot be read.
    """
    table = _source(options.counts)
    about = ReportOptions(
        table=table,
        made_at=datetime.now(UTC),
        period=_period(options),
        period_origin="as the command asks" if options.start else "the last 28 days with counts",
        top=options.top,
        campaign_label=options.campaign_label,
        title=options.title,
    )
    tweets = None if options.tweets is None else _source(options.tweets)
    engine = report_engine(table, tweets, gcp_conn_id=_GCP_CONN_ID)
    for uri in reversed(_write(engine, about, options.output)):
        print(uri)
    terminal.say("The page opens in a browser, without network.")
    return ExitCode.OK


def _write(engine: Engine, about: ReportOptions, output: str) -> list[str]:
    folder = file_uri(output).rstrip("/")
    scratch = ScratchFolder()
    try:
        _, paths = make_report(engine, about, scratch.path)
        uris = [f"{folder}/{path.name}" for path in paths]
        for path, uri in zip(paths, uris, strict=True):
            put_file(path, uri)
    finally:
        engine.close()
        scratch.remove()
    return uris


def _source(text: str) -> str:
    """Return the name of a BigQuery table, or the URI of a file or folder."""
    if is_uri(text) or Path(text).exists():
        return file_uri(text)
    if _TABLE.fullmatch(text) and not text.endswith(".parquet"):
        return text
    raise InvalidArgumentError(
        f"{text} is neither a file or folder that exists, nor the name of a table.",
        advice="Give a folder of Parquet files, or project.dataset.table.",
    )


def _period(options: Namespace) -> Period | None:
    if options.start is None:
        if options.end is not None:
            raise InvalidArgumentError("--end needs --start.")
        return None
    days = align_to(Window(options.start, options.end or datetime.now(UTC)), DAY)
    return Period(days.start.date(), days.end.date())
