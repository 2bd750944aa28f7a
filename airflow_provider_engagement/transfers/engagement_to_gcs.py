"""From the Engagement API to objects in Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.operators.base import one_of
from airflow_provider_engagement.transfers.base import EngagementTransfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.sinks.base import ObjectStore, Sink, WriteResult

__all__ = ["EngagementToGCSOperator"]

_FORMATS = ("parquet", "jsonl", "jsonl.gz")


class EngagementToGCSOperator(EngagementTransfer):
    """Pulls engagement counts into a bucket.

    The objects belong to their task: they lie in
    ``{object_prefix}/{endpoint}/{account}/{snapshot}/{task hash}/``, parts first, then what became
    of every id, and last ``manifest.json``, which says that the folder is complete. A re-run owns
    exactly that folder. A snapshot of counts to date is taken once: where the folder already holds
    the answer to the same question, it stands, and nothing is asked.

    :param bucket: the bucket's name (templated).
    :param object_prefix: the folder to write below (templated).
    :param file_format: ``"parquet"``, ``"jsonl"`` or ``"jsonl.gz"``.

    The other parameters are those of :class:`EngagementTransfer` and of every pull.
    """

    template_fields: Sequence[str] = (
        *EngagementTransfer.template_fields,
        "bucket",
        "object_prefix",
    )

    def __init__(
        self,
        *,
        bucket: str,
        object_prefix: str = "engagement",
        file_format: str = "parquet",
        **kwargs: Any,
    ) -> None:
        one_of(file_format, _FORMATS, name="file_format")
        super().__init__(**kwargs)
        self.bucket = bucket
        self.object_prefix = object_prefix
        self.file_format = file_format

    def make_sink(self, job: TaskRun) -> Sink:
        """Give the task's folder."""
        from airflow_provider_engagement.sinks.objects import ObjectSink, folder_name

        folder = folder_name(
            self.object_prefix,
            self.endpoint,
            job.settings.account,
            job.folder_part,
            job.task_hash,
        )
        return ObjectSink(
            self._store(),
            folder,
            # The same counts in another form are not what is asked for.
            fingerprint=f"{job.fingerprint}-{self.layout}-{self.file_format}",
            layout=self.layout,
            groupings=job.groupings,
            expected_rows=job.plan.max_rows,
            file_format=self.file_format,
            first_answer_stands=job.moment.period is None,
        )

    def make_pieces(self, job: TaskRun) -> CheckpointStore:
        """Keep finished requests in the bucket, beside the folders."""
        from airflow_provider_engagement.sinks.objects import folder_name

        return job.pieces(self._store(), folder_name(self.object_prefix, "_staging"))

    def _store(self) -> ObjectStore:
        from airflow_provider_engagement.hooks.google import storage_client
        from airflow_provider_engagement.sinks.gcs import GcsStore

        return GcsStore(storage_client(self.gcp_conn_id, self.impersonation_chain), self.bucket)

    def already(self, job: TaskRun, sink: Sink) -> tuple[WriteResult, dict[str, Any]] | None:
        """Keep a snapshot that was taken before."""
        from airflow_provider_engagement.sinks.objects import ObjectSink

        existing = sink.existing() if isinstance(sink, ObjectSink) else None
        if existing is None or not existing.covers(job.plan.tweet_ids):
            return None
        self.log.info("The snapshot of %s was taken before and stands.", job.folder_part)
        result = existing.result
        return result, {**existing.manifest.summary, "coverage": result.coverage}
