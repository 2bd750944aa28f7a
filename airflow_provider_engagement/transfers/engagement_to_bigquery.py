"""From the Engagement API to a BigQuery table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.operators.base import one_of
from airflow_provider_engagement.transfers.base import EngagementTransfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.sinks.base import ObjectStore, Sink

__all__ = ["EngagementToBigQueryOperator"]

_WRITE_MODES = ("upsert", "append", "truncate")


class EngagementToBigQueryOperator(EngagementTransfer):
    """Pulls engagement counts into a table, and what became of every id into ``<table>_coverage``.

    Both tables are made if they are missing. The task may be repeated: the same counts make the
    same table. The first answer of a snapshot stands, and nothing is ever deleted.

    :param destination_table: ``project.dataset.table`` or ``dataset.table`` (templated). The
        dataset must exist.
    :param write_mode: ``"upsert"``: rows that are there are updated by newer answers, the others
        inserted, in one transaction. ``"append"``: rows are added every time, so that a retry may
        add them twice. ``"truncate"``: they replace all that the table holds, in one transaction;
        refused in a mapped task, whose instances would delete each other's rows.
    :param staging_bucket: a bucket to load through, with one load job (templated). Finished
        requests wait there too, so that the retry of a task that was killed sends only the others.
    :param location: where the dataset is (templated); looked up where it is not given.

    The other parameters are those of :class:`EngagementTransfer` and of every pull.
    """

    template_fields: Sequence[str] = (
        *EngagementTransfer.template_fields,
        "destination_table",
        "staging_bucket",
        "location",
    )

    def __init__(
        self,
        *,
        destination_table: str,
        write_mode: str = "upsert",
        staging_bucket: str | None = None,
        location: str | None = None,
        **kwargs: Any,
    ) -> None:
        one_of(write_mode, _WRITE_MODES, name="write_mode")
        super().__init__(**kwargs)
        self.destination_table = destination_table
        self.write_mode = write_mode
        self.staging_bucket = staging_bucket
        self.location = location

    def make_sink(self, job: TaskRun) -> Sink:
        """Give the table."""
        from airflow_provider_engagement.hooks.google import bigquery_client
        from airflow_provider_engagement.sinks.bigquery import BigQuerySink

        if self.write_mode == "truncate" and job.map_index >= 0:
            raise InvalidArgumentError(
                'write_mode is "truncate" in a mapped task: each instance would delete the rows of '
                "the others.",
                advice='Use "upsert".',
            )
        return BigQuerySink(
            bigquery_client(self.gcp_conn_id, self.impersonation_chain, self.location),
            self.destination_table,
            layout=self.layout,
            groupings=job.groupings,
            write_mode=self.write_mode,
            expected_rows=job.plan.max_rows,
            staging=self._staging(),
            location=self.location,
            labels=job.labels,
        )

    def make_pieces(self, job: TaskRun) -> CheckpointStore | None:
        """Keep finished requests in the staging bucket, where there is one."""
        store = self._staging()
        return job.pieces(store, "engagement-staging") if store else None

    def _staging(self) -> ObjectStore | None:
        if not self.staging_bucket:
            return None
        from airflow_provider_engagement.hooks.google import storage_client
        from airflow_provider_engagement.sinks.gcs import GcsStore

        client = storage_client(self.gcp_conn_id, self.impersonation_chain)
        return GcsStore(client, self.staging_bucket)

    def nothing(self, window: dict[str, str]) -> Any:
        """Give what the task returns for an empty collection."""
        return {"table": self.destination_table, "rows": 0, "window": window}
