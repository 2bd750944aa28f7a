"""The destinations of the transfers: a folder of a bucket, and a BigQuery table."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.operators.destination import Destination, ExistingRows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.sinks.base import Sink, WriteResult
    from airflow_provider_engagement.sinks.bigquery import BigQuerySink
    from airflow_provider_engagement.sinks.gcs import GcsStore
    from airflow_provider_engagement.sinks.manifest import ExistingFolder
    from airflow_provider_engagement.sinks.objects import ObjectSink

__all__ = ["BigQueryDestination", "GcsDestination", "store_of"]

log = logging.getLogger(__name__)


def store_of(bucket: str, google_access: tuple[str, Any]) -> GcsStore:
    """Return a bucket.

    :param bucket: its name.
    :param google_access: the id of the Google Cloud connection, and the impersonation chain.
    """
    from airflow_provider_engagement.hooks.google import storage_client
    from airflow_provider_engagement.sinks.gcs import GcsStore

    return GcsStore(storage_client(*google_access), bucket)


@dataclass(slots=True)
class GcsDestination(Destination):
    """A folder of the task's own in a bucket.

    :param bucket: the bucket's name.
    :param object_prefix: the folder above it.
    :param layout: ``long`` or ``wide``.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param google_access: the id of the Google Cloud connection, and the impersonation chain.
    """

    bucket: str
    object_prefix: str
    layout: str
    file_format: str
    google_access: tuple[str, Any]
    _sink: ObjectSink | None = field(default=None, init=False)
    _existing: ExistingFolder | None = field(default=None, init=False)

    def sink(self, run: TaskRun) -> Sink:
        """Return a sink that writes the folder, or adds to what ``existing`` has found there."""
        sink = self._object_sink(run)
        if self._existing is not None:
            sink.extend(self._existing)
        return sink

    def checkpoints(self, run: TaskRun) -> CheckpointStore:
        """Save answers in the bucket, beside the folders."""
        from airflow_provider_engagement.sinks.objects import folder_name

        root = folder_name(self.object_prefix, "_staging")
        return run.checkpoints(store_of(self.bucket, self.google_access), root)

    def existing(self, run: TaskRun) -> ExistingRows | None:
        """Return an earlier snapshot of the same counts.

        A window is pulled again each time, because the service corrects earlier counts.
        """
        from airflow_provider_engagement.pull import PullResult, PullStats
        from airflow_provider_engagement.rows.coverage import Status

        self._existing = found = self._object_sink(run).existing()
        if found is None:
            return None
        log.info("The snapshot of %s exists, so its Tweets are not asked for.", run.folder_part)
        summary = {**found.manifest.summary, "coverage": found.result.coverage}
        answered = found.coverage.column("status").to_pylist().count(Status.ANSWERED)
        return ExistingRows(
            PullResult(found.result, summary, PullStats()), found.tweet_ids, answered
        )

    def returned(self, written: WriteResult | None, window: Mapping[str, str]) -> Any:
        """Return the objects; the manifest, where no object holds rows, because it has coverage."""
        result = Destination.returned(self, written, window)
        if written is not None and not written.uris:
            result["uris"] = [written.stats["manifest"]]
        return result

    def _object_sink(self, run: TaskRun) -> ObjectSink:
        """Return the run's sink: always the same one, because it knows what it has found."""
        from airflow_provider_engagement.sinks.objects import ObjectSink, folder_name

        if self._sink is None:
            folder = folder_name(
                self.object_prefix,
                str(run.plan.query.endpoint.name),
                run.settings.account,
                run.folder_part,
                run.task_hash(self.layout, self.file_format),
            )
            self._sink = ObjectSink(
                store_of(self.bucket, self.google_access),
                folder,
                # Include layout and format, so that output in another format is not reused.
                fingerprint=f"{run.fingerprint}-{self.layout}-{self.file_format}",
                layout=self.layout,
                groupings=run.groupings,
                expected_rows=run.plan.max_rows,
                file_format=self.file_format,
                shard=str(run.shard) if run.shard is not None else None,
                first_answer_stands=run.period.period is None,
            )
        return self._sink


@dataclass(slots=True)
class BigQueryDestination(Destination):
    """A table.

    :param table: its name.
    :param layout: ``long`` or ``wide``.
    :param write_mode: ``upsert``, ``append`` or ``truncate``.
    :param staging_bucket: the bucket to load through; None for none.
    :param location: where the dataset is; None to look it up.
    :param labels: labels of the jobs, beside those of dag, task and run.
    :param maximum_bytes_billed: the most that one query may be billed for; None for no limit.
    :param google_access: the id of the Google Cloud connection, and the impersonation chain.
    """

    table: str
    layout: str
    write_mode: str
    staging_bucket: str | None
    location: str | None
    labels: Mapping[str, str]
    maximum_bytes_billed: int | None
    google_access: tuple[str, Any]
    _sink: BigQuerySink | None = field(default=None, init=False)

    def sink(self, run: TaskRun) -> Sink:
        """Return a sink that writes the table.

        :raises InvalidArgumentError: if several instances or shards would truncate it.
        """
        if run.shard is not None:
            self._refuse_truncate(f"for shard {run.shard}", "shard")
        bucket = self.staging_bucket
        return self.open_sink(
            run.context,
            groupings=run.groupings,
            expected_rows=run.plan.max_rows,
            period=run.period,
            staging=store_of(bucket, self.google_access) if bucket else None,
        )

    def open_sink(self, context: Mapping[str, Any], **options: Any) -> BigQuerySink:
        """Return a sink that writes the table.

        :param context: the task's context.
        :param options: those of :class:`BigQuerySink` that depend on the rows.
        :raises InvalidArgumentError: if several instances of the task would truncate the table.
        """
        from airflow_provider_engagement.hooks.google import bigquery_client
        from airflow_provider_engagement.operators.task_run import has_siblings, job_labels
        from airflow_provider_engagement.sinks.bigquery import BigQuerySink

        if has_siblings(context):
            self._refuse_truncate("in a mapped task or loop", "instance")
        self._sink = BigQuerySink(
            bigquery_client(*self.google_access, self.location),
            self.table,
            layout=self.layout,
            write_mode=self.write_mode,
            location=self.location,
            labels={**self.labels, **job_labels(context)},
            maximum_bytes_billed=self.maximum_bytes_billed,
            **options,
        )
        return self._sink

    def _refuse_truncate(self, where: str, of: str) -> None:
        if self.write_mode == "truncate":
            raise InvalidArgumentError(
                f'write_mode is "truncate" {where}: each {of} would delete the rows of the others.',
                advice='Use "upsert".',
            )

    def checkpoints(self, run: TaskRun) -> CheckpointStore | None:
        """Save answers in the staging bucket, if there is one."""
        if self.staging_bucket is None:
            return None
        store = store_of(self.staging_bucket, self.google_access)
        return run.checkpoints(store, "engagement-staging")

    def returned(self, written: WriteResult | None, window: Mapping[str, str]) -> Any:
        """Return the table's name, with the number of rows."""
        table, rows = (written.table, written.rows) if written else (self.table, 0)
        return {"table": table, "rows": rows, "window": dict(window)}

    def cancel(self) -> None:
        """Cancel the BigQuery job that is running."""
        if self._sink is not None:
            self._sink.cancel()
