"""From a collection of Tweets to a BigQuery table of what is known of them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.operators.base import (
    WithLineage,
    fail_for_good,
    refuse_empty_list,
)
from airflow_provider_engagement.operators.google import GoogleCloudOperator
from airflow_provider_engagement.transfers.base import job_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.collections.collection import Collection
    from airflow_provider_engagement.operators.parameters import (
        Flag,
        Labels,
        Number,
        Reposts,
        TaskParameters,
        Text,
        TextList,
        TweetIds,
    )
    from airflow_provider_engagement.sinks.base import WriteResult
    from airflow_provider_engagement.sinks.bigquery.tweets import TweetTable

__all__ = ["EngagementTweetsToBigQueryOperator"]

log = logging.getLogger(__name__)


class EngagementTweetsToBigQueryOperator(WithLineage, GoogleCloudOperator):
    """Writes what a collection says of its Tweets to a table, and labels to ``<table>_labels``.

    The table has a row for each Tweet: its URL, author, text, language, kind, media, hashtags and
    time. The table of labels has a row for each Tweet and other column of a CSV file, such as
    ``campaign``. Both are created if they don't exist, and are written in one transaction. The last
    call wins, column by column: a column that the source does not have stays as it is. The task may
    be repeated. No row is ever deleted. No request is sent to the API.

    It returns ``{"table", "rows", "labels"}``: the table, and the numbers of Tweets and of labels.

    :param tweet_ids: the Tweets (templated): the URI of a file, a folder or a pattern, of any
        format that ``read_collection`` reads; or Tweet objects, or ids, as for the other operators.
    :param id_column: the column of a table, or the key of JSON objects, that holds the ids
        (templated). By default it is found by its name, such as ``tweet_id`` or ``Post id``.
    :param reposts: ``"drop"`` leaves reposts out, with a warning; ``"keep"`` writes them too.
    :param destination_table: ``project.dataset.table`` or ``dataset.table`` (templated). The
        dataset must exist.
    :param coverage_table: the ``<table>_coverage`` of the task that writes the counts (templated).
        A Tweet that was unavailable when the service last answered for it loses its text, as X's
        developer policy asks. Without it all texts stay.
    :param keep_text: keep the texts of unavailable Tweets (templated).
    :param location: where the dataset is (templated); looked up where it is not given.
    :param labels: labels of every BigQuery job, beside those of dag, task and run (templated).
    :param maximum_bytes_billed: a query that would be billed for more bytes fails (templated).

    The other parameters are those of :class:`GoogleCloudOperator` and of every Airflow task.
    """

    template_fields: Sequence[str] = (
        *GoogleCloudOperator.template_fields,
        "tweet_ids",
        "id_column",
        "destination_table",
        "coverage_table",
        "keep_text",
        "location",
        "labels",
        "maximum_bytes_billed",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tweet_ids": "json"}

    _table: TweetTable | None = None

    def __init__(
        self,
        *,
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        reposts: Reposts = "drop",
        destination_table: Text,
        coverage_table: Text | None = None,
        keep_text: Flag = False,
        location: Text | None = None,
        labels: Labels = None,
        maximum_bytes_billed: Number = None,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        check_one_of(reposts, ("drop", "keep"), name="reposts")
        super().__init__(gcp_conn_id=gcp_conn_id, impersonation_chain=impersonation_chain, **kwargs)
        refuse_empty_list(self, tweet_ids)
        self.tweet_ids = tweet_ids
        self.id_column = id_column
        self.reposts = reposts
        self.destination_table = destination_table
        self.coverage_table = coverage_table
        self.keep_text = keep_text
        self.location = location
        self.labels = labels
        self.maximum_bytes_billed = maximum_bytes_billed

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the collection, and write all of it or nothing.

        :returns: ``{"table", "rows", "labels"}``.
        """
        with fail_for_good():
            collection = self._read()
            if not collection.tweet_ids:
                log.warning("The collection is empty, so nothing is written.")
                return {"table": str(self.destination_table), "rows": 0, "labels": 0}
            self._table = self._tweet_table(context)
            written = self._table.write(collection)
        self._report(context, collection, written)
        labels = collection.labels.num_rows
        return {"table": written.table, "rows": written.rows, "labels": labels}

    def on_kill(self) -> None:
        """Cancel the BigQuery job that is running."""
        if self._table is not None:
            self._table.cancel()

    def _read(self) -> Collection:
        from airflow_provider_engagement.hooks.storage import read_collection
        from airflow_provider_engagement.operators.coercion import as_text

        conn_id, chain = self.google_access
        return read_collection(
            self.tweet_ids,
            id_column=as_text(self.id_column),
            reposts=self.reposts,
            gcp_conn_id=conn_id,
            impersonation_chain=chain,
        )

    def _tweet_table(self, context: Context) -> TweetTable:
        from airflow_provider_engagement.hooks.google import bigquery_client
        from airflow_provider_engagement.operators.coercion import as_bool, as_text
        from airflow_provider_engagement.operators.task_run import job_labels
        from airflow_provider_engagement.sinks.bigquery.tweets import TweetTable

        keep_text = as_bool(self.keep_text, name="keep_text")
        options = job_options(self)
        options["labels"] |= job_labels(context)
        return TweetTable(
            bigquery_client(*self.google_access, options["location"]),
            str(self.destination_table),
            coverage_table=None if keep_text else as_text(self.coverage_table),
            **options,
        )

    def _report(self, context: Context, collection: Collection, written: WriteResult) -> None:
        """Push the link and the summary, and describe the task's assets and lineage."""
        from airflow_provider_engagement.collections.tweet_ids import is_uri
        from airflow_provider_engagement.operators import reporting

        summary = {"skipped": dict(collection.skipped), "write_stats": written.stats}
        context["ti"].xcom_push(key=reporting.SUMMARY_KEY, value=summary)
        context["ti"].xcom_push(key=reporting.LINK_KEY, value=reporting.console_url(written))
        extra = {"rows": written.rows, "table": written.table}
        reporting.describe_events(context, self.outlets or (), extra)
        source = str(self.tweet_ids).strip() if is_uri(self.tweet_ids) else ""
        self._lineage = source, written
        reporting.collect_lineage(self, source, written)
