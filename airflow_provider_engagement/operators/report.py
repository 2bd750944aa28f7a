"""Operators that say what the counts mean: views."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_engagement.operators.base import fail_for_good
from airflow_provider_engagement.operators.google import GoogleCloudOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.operators.parameters import TaskParameters, Text, TextList
    from airflow_provider_engagement.reports.engine import Engine

__all__ = ["EngagementViewsOperator"]

log = logging.getLogger(__name__)


class EngagementViewsOperator(GoogleCloudOperator):
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

    _engine: Engine | None = None

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

    def on_kill(self) -> None:
        """Cancel the BigQuery job that is running."""
        if self._engine is not None:
            self._engine.close()

    def _create(self, context: Context) -> tuple[list[str], list[str]]:
        from airflow_provider_engagement.hooks.report import report_engine
        from airflow_provider_engagement.hooks.storage import AirflowFiles
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
        )
        try:
            return engine.create_views(), engine.publish(AirflowFiles(conn_id, chain).put)
        finally:
            engine.close()

    def _report(self, context: Context, views: list[str], uris: list[str]) -> None:
        """Push the link, and describe the events of the task's assets."""
        from airflow_provider_engagement.operators import reporting
        from airflow_provider_engagement.sinks.base import WriteResult

        made = WriteResult(0, None if uris else views[0], tuple(uris), coverage="")
        context["ti"].xcom_push(key=reporting.LINK_KEY, value=reporting.console_url(made))
        reporting.describe_events(context, self.outlets or (), {"views": views})
