"""From the Engagement API to a BigQuery table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID, MAX_SNAPSHOT_AGE
from airflow_provider_engagement.transfers.base import WRITE_MODES, EngagementTransfer, job_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.destination import Destination
    from airflow_provider_engagement.operators.parameters import (
        DateTimeLike,
        Duration,
        Endpoint,
        EngagementTypes,
        Flag,
        Granularity,
        Groupings,
        Incomplete,
        Labels,
        Layout,
        Number,
        Share,
        TaskParameters,
        Text,
        TextList,
        TweetIds,
        WriteMode,
    )

__all__ = ["EngagementToBigQueryOperator"]


class EngagementToBigQueryOperator(EngagementTransfer):
    """Pulls engagement counts into a table, and the status of every id into ``<table>_coverage``.

    Both tables are created if they don't exist. The task may be repeated: the same counts make the
    same table. The first answer of a snapshot stands, and nothing is ever deleted.

    :param destination_table: ``project.dataset.table`` or ``dataset.table`` (templated). The
        dataset must exist.
    :param write_mode: ``"upsert"``: rows that exist are updated by newer answers, the others
        inserted, in one transaction. ``"append"``: rows are added every time, so that a retry may
        add them twice. ``"truncate"``: they replace all that the table holds, in one transaction;
        refused in a mapped task, whose instances would delete each other's rows.
    :param staging_bucket: a bucket to load through, with one load job (templated). Answers are
        saved there too, so that the retry of a task that was killed sends only the other requests.
    :param location: where the dataset is (templated); looked up where it is not given.
    :param labels: labels of every BigQuery job, beside those of dag, task and run (templated).
    :param maximum_bytes_billed: a query that would be billed for more bytes fails (templated).

    The other parameters are those of :class:`EngagementTransfer` and of every pull.
    """

    template_fields: Sequence[str] = (
        *EngagementTransfer.template_fields,
        "destination_table",
        "staging_bucket",
        "location",
        "labels",
        "maximum_bytes_billed",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint = "totals",
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        destination_table: Text,
        write_mode: WriteMode = "upsert",
        staging_bucket: Text | None = None,
        location: Text | None = None,
        labels: Labels = None,
        maximum_bytes_billed: Number = None,
        layout: Layout = "long",
        engagement_types: EngagementTypes = None,
        granularity: Granularity | None = None,
        groupings: Groupings = None,
        start: DateTimeLike = None,
        end: DateTimeLike = None,
        lookback: Duration = None,
        since_posting: Duration = None,
        incomplete: Incomplete = "keep",
        max_missing_share: Share = 1.0,
        max_snapshot_age: Duration = MAX_SNAPSHOT_AGE,
        plan_only: Flag = False,
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        check_one_of(write_mode, WRITE_MODES, name="write_mode")
        super().__init__(
            endpoint=endpoint,
            tweet_ids=tweet_ids,
            id_column=id_column,
            shard=shard,
            layout=layout,
            engagement_types=engagement_types,
            granularity=granularity,
            groupings=groupings,
            start=start,
            end=end,
            lookback=lookback,
            since_posting=since_posting,
            incomplete=incomplete,
            max_missing_share=max_missing_share,
            max_snapshot_age=max_snapshot_age,
            plan_only=plan_only,
            engagement_conn_id=engagement_conn_id,
            gcp_conn_id=gcp_conn_id,
            impersonation_chain=impersonation_chain,
            **kwargs,
        )
        self.destination_table = destination_table
        self.write_mode = write_mode
        self.staging_bucket = staging_bucket
        self.location = location
        self.labels = labels
        self.maximum_bytes_billed = maximum_bytes_billed

    def destination(self) -> Destination:
        """Return the table."""
        from airflow_provider_engagement.operators.coercion import as_text
        from airflow_provider_engagement.transfers.destinations import BigQueryDestination

        return BigQueryDestination(
            table=str(self.destination_table),
            layout=self.layout,
            write_mode=self.write_mode,
            staging_bucket=as_text(self.staging_bucket),
            google_access=self.google_access,
            **job_options(self),
        )
