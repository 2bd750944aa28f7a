"""Operators that make views of the counts, and a report on them."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Unpack

from airflow_provider_engagement.operators.base import WithLineage, fail_for_good
from airflow_provider_engagement.operators.google import GoogleCloudOperator
from airflow_provider_engagement.operators.links import EngagementReportLink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.operators.parameters import (
        DateTimeLike,
        Number,
        TaskParameters,
        Text,
        TextList,
    )
    from airflow_provider_engagement.reports.content import Report, ReportOptions
    from airflow_provider_engagement.reports.engine import Engine

__all__ = ["EngagementReportOperator", "EngagementViewsOperator"]

log = logging.getLogger(__name__)

# One query on all counts of a large account reads less than this. A report has about ten queries.
_MAXIMUM_BYTES_BILLED: Final = 100 * 2**30


class _EngineOperator(GoogleCloudOperator):
    """Runs queries on a table of counts: on BigQuery, or with DuckDB on a folder of files."""

    table: Text
    tweets_table: Text | None
    location: Text | None
    _engine: Engine | None = None

    def on_kill(self) -> None:
        """Cancel the BigQuery job that is running."""
        if self._engine is not None:
            self._engine.close()

    @contextmanager
    def _open_engine(
        self, context: Context, maximum_bytes_billed: int | None = None
    ) -> Iterator[Engine]:
        from airflow_provider_engagement.hooks.report import report_engine
        from airflow_provider_engagement.operators.coercion import as_text
        from airflow_provider_engagement.operators.task_run import job_labels

        conn_id, chain = self.google_access
        engine = self._engine = report_engine(
            str(self.table).strip(),
            as_text(self.tweets_table),
            gcp_conn_id=conn_id,
            impersonation_chain=chain,
            location=as_text(self.location),
            labels=job_labels(context),
            maximum_bytes_billed=maximum_bytes_billed,
        )
        try:
            yield engine
        finally:
            engine.close()


class EngagementViewsOperator(_EngineOperator):
    """Makes or replaces the views of a table of counts, beside it.

    They are ``<table>_latest``, ``_daily``, ``_top``, ``_growth``, ``_campaigns``, ``_types``,
    ``_benchmark`` and ``_rollup``; ``docs/reference/views.md`` describes each column, and so does
    BigQuery. The views show at any time what the tables hold then, so one run is enough, until a
    new version of this provider has better ones.

    For a folder of Parquet files the task writes ``<folder>/<name>_views.sql``, a script that makes
    the same views in DuckDB. It lists the files that are finished now, so run the task after each
    pull.

    It returns ``{"table", "views"}``, and ``"uris"`` of a script.

    :param table: the counts, in either layout (templated): ``project.dataset.table`` or
        ``dataset.table``; or the URI of a folder, such as ``gs://bucket/engagement/``.
    :param tweets_table: what is known of the Tweets (templated): the table that
        ``EngagementTweetsToBigQueryOperator`` writes; for a folder, the URI of Parquet files with
        its columns, or of any collection that ``read_collection`` reads. Without it, views have no
        texts, campaigns and kinds.
    :param location: where the dataset is (templated); looked up where it is not given.

    The other parameters are those of :class:`GoogleCloudOperator` and of every Airflow task.
    """

    template_fields: Sequence[str] = (
        *GoogleCloudOperator.template_fields,
        "table",
        "tweets_table",
        "location",
    )

    def __init__(
        self,
        *,
        table: Text,
        tweets_table: Text | None = None,
        location: Text | None = None,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(gcp_conn_id=gcp_conn_id, impersonation_chain=impersonation_chain, **kwargs)
        self.table = table
        self.tweets_table = tweets_table
        self.location = location

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the views.

        :returns: ``{"table", "views"}``, and ``"uris"`` of a script.
        """
        with fail_for_good():
            views, uris = self._create(context)
        self._report(context, views, uris)
        result: dict[str, Any] = {"table": str(self.table), "views": views}
        return {**result, "uris": uris} if uris else result

    def _create(self, context: Context) -> tuple[list[str], list[str]]:
        from airflow_provider_engagement.hooks.storage import AirflowFiles

        with self._open_engine(context) as engine:
            return engine.create_views(), engine.publish(AirflowFiles(*self.google_access).put)

    def _report(self, context: Context, views: list[str], uris: list[str]) -> None:
        """Push the link, and describe the events of the task's assets."""
        from airflow_provider_engagement.operators import reporting
        from airflow_provider_engagement.sinks.base import WriteResult

        made = WriteResult(0, None if uris else views[0], tuple(uris), coverage="")
        context["ti"].xcom_push(key=reporting.LINK_KEY, value=reporting.console_url(made))
        reporting.describe_events(context, self.outlets or (), {"views": views})


class EngagementReportOperator(WithLineage, _EngineOperator):
    """Writes a report on counts into a folder: ``report.html`` and CSV files.

    The page is one file without scripts, which opens without network and prints. It has the period
    against the one before, counts by day, top Tweets, campaigns with 95 % intervals, what works by
    kind of Tweet, growth, and what is missing and why. ``top_tweets.csv``, ``campaigns.csv``,
    ``accounts.csv`` and ``days.csv`` hold the same numbers. Files of an earlier report in the
    folder are replaced, each whole, the page last.

    The sections by day are about the period; those by post are about all Tweets of the table. The
    numbers come from the views of the table, which are made if they are not there.

    It returns ``{"uris", "window"}``: the files, the page first, and the period, null without
    counts by day. The task has a link to the page.

    :param table: the counts, in either layout (templated): ``project.dataset.table`` or
        ``dataset.table``; or the URI of a folder of Parquet files, which DuckDB reads.
    :param tweets_table: what is known of the Tweets (templated), as for
        :class:`EngagementViewsOperator`. Without it the report has no texts, campaigns and kinds.
    :param output_path: the folder's URI (templated), such as ``gs://bucket/reports/{{ ds }}/``.
    :param start: the first day of the period (templated), with ``end``. By default the run's
        partition, else its data interval, else the last 28 days with counts. Whole UTC days.
    :param end: the first moment after the period (templated); snaps outward to a whole day.
    :param top: how many Tweets are listed for each account and type (templated).
    :param campaign_label: the label of the Tweets whose values are the campaigns (templated).
    :param title: the page's title (templated).
    :param location: where the dataset is (templated); looked up where it is not given.
    :param maximum_bytes_billed: a query that would be billed for more bytes fails (templated);
        100 GiB.

    The other parameters are those of :class:`GoogleCloudOperator` and of every Airflow task.
    """

    template_fields: Sequence[str] = (
        *GoogleCloudOperator.template_fields,
        "table",
        "tweets_table",
        "output_path",
        "start",
        "end",
        "top",
        "campaign_label",
        "title",
        "location",
        "maximum_bytes_billed",
    )
    operator_extra_links = (EngagementReportLink(),)

    def __init__(
        self,
        *,
        table: Text,
        tweets_table: Text | None = None,
        output_path: Text,
        start: DateTimeLike = None,
        end: DateTimeLike = None,
        top: Number = 10,
        campaign_label: Text = "campaign",
        title: Text = "Engagement report",
        location: Text | None = None,
        maximum_bytes_billed: Number = _MAXIMUM_BYTES_BILLED,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(gcp_conn_id=gcp_conn_id, impersonation_chain=impersonation_chain, **kwargs)
        self.table = table
        self.tweets_table = tweets_table
        self.output_path = output_path
        self.start = start
        self.end = end
        self.top = top
        self.campaign_label = campaign_label
        self.title = title
        self.location = location
        self.maximum_bytes_billed = maximum_bytes_billed

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the report.

        :returns: ``{"uris", "window"}``.
        """
        with fail_for_good():
            options = self._options(context)
            report, uris = self._write(context, options)
        self._push(context, report, uris)
        period = report.days.period
        window = {"start": f"{period.first}", "end": f"{period.end}"} if period else None
        return {"uris": uris, "window": window}

    def _options(self, context: Context) -> ReportOptions:
        from airflow_provider_engagement.operators.coercion import as_whole_number, or_default
        from airflow_provider_engagement.operators.report_period import report_period
        from airflow_provider_engagement.reports.content import ReportOptions

        period, origin = report_period(context, self.start, self.end)
        return ReportOptions(
            table=str(self.table).strip(),
            made_at=datetime.now(UTC),
            period=period,
            period_origin=origin,
            top=as_whole_number(self.top, name="top") or 10,
            campaign_label=str(or_default(self.campaign_label, "campaign")),
            title=str(or_default(self.title, "Engagement report")),
        )

    def _write(self, context: Context, options: ReportOptions) -> tuple[Report, list[str]]:
        """Make the files on this machine, and put them in place, the page last."""
        from airflow_provider_engagement.hooks.storage import AirflowFiles
        from airflow_provider_engagement.operators.coercion import as_whole_number
        from airflow_provider_engagement.reports.report import make_report
        from airflow_provider_engagement.sinks.scratch import ScratchFolder

        limit = as_whole_number(self.maximum_bytes_billed, name="maximum_bytes_billed")
        scratch = ScratchFolder()
        try:
            with self._open_engine(context, limit) as engine:
                report, paths = make_report(engine, options, scratch.path)
                folder = str(self.output_path).strip().rstrip("/")
                store = AirflowFiles(*self.google_access)
                for path in paths:
                    store.put(path, f"{folder}/{path.name}")
        finally:
            scratch.remove()
        return report, [f"{folder}/{path.name}" for path in reversed(paths)]

    def _push(self, context: Context, report: Report, uris: list[str]) -> None:
        """Push the link and the summary, and describe the task's assets and lineage."""
        from airflow_provider_engagement.operators import reporting
        from airflow_provider_engagement.sinks.base import WriteResult

        url = reporting.page_url(uris[0])
        log.info("The report is at %s", url)
        context["ti"].xcom_push(key=reporting.REPORT_KEY, value=url)
        context["ti"].xcom_push(key=reporting.SUMMARY_KEY, value=report.summary())
        reporting.describe_events(context, self.outlets or (), {"uris": uris})
        written = WriteResult(len(report.top_tweets), None, tuple(uris), coverage="")
        self._lineage = report.options.table, written
        reporting.collect_lineage(self, report.options.table, written)
