"""The BigQuery sink: rows are staged, then written in one transaction."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc

from airflow_provider_engagement.api.spec import GroupBy, check_one_of
from airflow_provider_engagement.rows.layout import LAYOUTS, WIDE_LAYOUT, Layout, layout_of
from airflow_provider_engagement.rows.schema import COVERAGE
from airflow_provider_engagement.rows.wide import refuse_nameless
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
from airflow_provider_engagement.sinks.bigquery.loads import (
    LoadBudget,
    LoadSettings,
    StagingTable,
)
from airflow_provider_engagement.sinks.bigquery.locations import (
    check_bucket_location,
    dataset_location,
)
from airflow_provider_engagement.sinks.bigquery.locks import prepare_lock
from airflow_provider_engagement.sinks.bigquery.merge import (
    SCRIPTS,
    STAGING,
    Batch,
)
from airflow_provider_engagement.sinks.bigquery.names import TableName, sanitize_labels
from airflow_provider_engagement.sinks.bigquery.partitions import (
    MAX_PARTITIONS,
    check_partition_filter,
    max_days,
    warn_of_expiration,
)
from airflow_provider_engagement.sinks.bigquery.retries import DEFAULT_WAIT, Patience
from airflow_provider_engagement.sinks.bigquery.tables import (
    COVERAGE_CLUSTER,
    TableSpec,
    ensure_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    import pyarrow as pa
    from google.cloud import bigquery
    from tenacity.wait import wait_base

    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.sinks.base import ObjectStore

__all__ = ["WRITE_MODES", "BigQuerySink"]

log = logging.getLogger(__name__)

WRITE_MODES: Final = tuple(SCRIPTS)


class BigQuerySink:
    """Writes the rows of a pull to a BigQuery table, and their coverage to ``<table>_coverage``.

    :param client: a BigQuery client; jobs run in its project.
    :param destination_table: ``project.dataset.table`` or ``dataset.table``.
    :param layout: the layout of the table, ``long`` or ``wide``. The rows that are written to the
        sink are long.
    :param groupings: the canonical groupings of the pull. One without a place in the layout is
        refused.
    :param write_mode: ``upsert``: repeatable, the same rows make the same table. ``append``: adds
        rows every time. ``truncate``: replaces all rows, unless the pull has none.
    :param expected_rows: the rows that the plan expects; they decide the size of load jobs.
    :param period: what the counts of the pull are about; None for unknown.
    :param staging: a bucket to load through, with one load job.
    :param staging_folder: the folder in the bucket. The default names the day, so that the sweep of
        old checkpoints finds what a killed task left.
    :param location: the location of the dataset; read from the dataset by default.
    :param labels: labels of every job; made valid for BigQuery.
    :param maximum_bytes_billed: the bytes that one query may bill; None for no limit.
    :param budget: the number and the size of load jobs.
    :param wait: the pause before a failed job is started again.
    :param patience: how long a failing job is repeated.
    :raises InvalidArgumentError: if a parameter has a value that is not allowed.
    """

    def __init__(
        self,
        client: bigquery.Client,
        destination_table: str,
        *,
        layout: str = "long",
        groupings: Iterable[str] = (),
        write_mode: str = "upsert",
        expected_rows: int = 0,
        period: ReportingPeriod | None = None,
        staging: ObjectStore | None = None,
        staging_folder: str | None = None,
        location: str | None = None,
        labels: Mapping[str, str] | None = None,
        maximum_bytes_billed: int | None = None,
        budget: LoadBudget | None = None,
        wait: wait_base = DEFAULT_WAIT,
        patience: Patience | None = None,
    ) -> None:
        check_one_of(write_mode, WRITE_MODES, name="write_mode")
        self.table = TableName.parse(destination_table, client.project)
        self._groupings = tuple(groupings)
        self._layout = layout_of(layout, self._groupings)
        self._mode = write_mode
        self._period = period
        self._jobs = JobRunner(
            client,
            location,
            sanitize_labels(labels),
            maximum_bytes_billed,
            wait,
            patience or Patience(),
        )
        self._loading = LoadSettings(
            replace(budget or LoadBudget(), expected_rows=expected_rows),
            staging,
            staging_folder or f"engagement-staging/{datetime.now(UTC).date()}",
        )
        self._max_days = MAX_PARTITIONS
        self._rows = 0
        self._extent = _Extent()
        self._staging: StagingTable | None = None

    def prepare(self) -> None:
        """Check dataset, bucket, tables and permissions, and create or extend the tables.

        :raises InvalidArgumentError: if one of them cannot take the rows.
        :raises PermissionDeniedError: if the credentials may not write, or the project has no
            billing account.
        """
        jobs = self._jobs
        jobs.location = dataset_location(jobs.client, self.table, jobs.location)
        if self._loading.bucket is not None:
            self._check_bucket(self._loading.bucket)
        self._max_days = max_days(self._prepare_table(self.table, self._row_spec()))
        self._prepare_table(self.table.coverage, self._coverage_spec())
        prepare_lock(jobs, self.table)

    def write(self, table: pa.Table) -> None:
        """Stage some rows.

        :param table: long rows.
        :raises InvalidArgumentError: if the layout is wide, and a row has no Tweet or no type.
        """
        if self._layout is WIDE_LAYOUT:
            refuse_nameless(table)
        self._staging_table().write(table)
        self._rows += table.num_rows
        self._extent.add(table)

    def commit(
        self,
        coverage: Iterable[pa.Table],
        manifest: Mapping[str, object],  # noqa: ARG002 - a table has no place for it
    ) -> WriteResult:
        """Load the rest, and write rows and coverage in one transaction.

        Transient failures are repeated here for as long as ``patience`` allows.

        :param coverage: the status of every id, in several tables.
        :param manifest: not used.
        """
        staging, extent = self._staging_table(), _Extent()
        try:
            for table in coverage:
                staging.write(table)
                extent.add(table)
            staging.finish()
            batch = Batch(
                target=self.table,
                staging=staging.name,
                layout=self._layout,
                accounts=self._extent.accounts | extent.accounts,
                row_dates=self._extent.dates,
                coverage_dates=extent.dates,
                max_days=self._max_days,
            )
            stats = {"load_jobs": staging.loads, **self._run_script(batch)}
        finally:
            self.discard()
        return WriteResult(self._rows, str(self.table), (), str(self.table.coverage), stats)

    def discard(self) -> None:
        """Delete the staging table, its objects and its files."""
        staging, self._staging = self._staging, None
        if staging is not None:
            staging.drop()

    def cancel(self) -> None:
        """End the job that runs now, and start no further one. Never raises."""
        self._jobs.cancel()

    def _row_spec(self) -> TableSpec:
        return TableSpec(
            self._layout.columns,
            self._layout.description,
            self._layout.cluster,
            other_layouts=_columns_of_other_layouts(self._layout),
            filled=_filled_columns(self._groupings, self._period),
        )

    def _coverage_spec(self) -> TableSpec:
        description = f"The status of every id that was requested for {self.table.table}."
        return TableSpec(COVERAGE, description, COVERAGE_CLUSTER)

    def _prepare_table(self, name: TableName, spec: TableSpec) -> bigquery.Table:
        table = ensure_table(self._jobs.client, name, spec)
        if self._mode == "upsert":
            check_partition_filter(table, name)
        if self._period is not None:
            window = self._period.period
            first = self._period.snapshot_at if window is None else window.start
            warn_of_expiration(table, name, first.date())
        return table

    def _check_bucket(self, bucket: ObjectStore) -> None:
        bucket.check(self._loading.folder)
        location = bucket.location(f"{self._loading.folder}/")
        check_bucket_location(bucket.uri(""), location, self._jobs.location)

    def _staging_table(self) -> StagingTable:
        if self._staging is None:
            name = self.table.new_staging()
            self._staging = StagingTable(self._jobs, name, STAGING, self._loading)
        return self._staging

    def _run_script(self, batch: Batch) -> dict[str, Any]:
        if batch.row_dates is None and batch.coverage_dates is None:
            return {}
        # A pull without rows is no reason to delete the rows of the table.
        mode = "upsert" if self._mode == "truncate" and batch.row_dates is None else self._mode
        job = self._jobs.query(SCRIPTS[mode](batch))
        return {
            "job_id": job.job_id,
            "bytes_billed": job.total_bytes_billed,
            **self._changed_rows(job),
        }

    def _changed_rows(self, job: bigquery.QueryJob) -> dict[str, int]:
        """Return how many rows the script changed; empty where its statements cannot be listed.

        Each statement is a job of its own. The emulator lists none, and a narrow role may not.
        """
        try:
            statements = list(self._jobs.client.list_jobs(parent_job=job))
        except Exception:
            # The rows are written; the figures are optional.
            log.debug("The statements of job %s cannot be listed.", job.job_id, exc_info=True)
            return {}
        changes = [
            statement.dml_stats
            for statement in statements
            if getattr(statement, "dml_stats", None) is not None
            and self.table.table in {table.table_id for table in statement.referenced_tables}
        ]
        if not changes:
            return {}
        return {
            "rows_inserted": sum(change.inserted_row_count for change in changes),
            "rows_updated": sum(change.updated_row_count for change in changes),
        }


@dataclass(slots=True)
class _Extent:
    """The dates and the accounts of the rows that were added."""

    dates: tuple[date, date] | None = None
    accounts: set[str] = field(default_factory=set)

    def add(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        found = pc.min_max(table.column("date")).as_py()
        first, last = self.dates or (found["min"], found["max"])
        self.dates = min(first, found["min"]), max(last, found["max"])
        self.accounts.update(table.column("account").unique().to_pylist())


def _columns_of_other_layouts(layout: Layout) -> frozenset[str]:
    own = {column.name for column in layout.columns}
    others = (other for other in LAYOUTS.values() if other is not layout)
    return frozenset(column.name for other in others for column in other.columns) - own


def _filled_columns(groupings: tuple[str, ...], period: ReportingPeriod | None) -> frozenset[str]:
    """Return the optional columns that no row of a pull leaves null."""
    levels = [set(grouping.split("/")) for grouping in groupings]
    if not levels:
        return frozenset()
    has_day = [GroupBy.DAY in each for each in levels]
    has_hour = [GroupBy.HOUR in each for each in levels]
    is_of_period = period is not None and period.period is not None
    has_period = all(has_day) or is_of_period
    filled = {
        "tweet_id": all(GroupBy.TWEET_ID in each for each in levels),
        "engagement_type": all(GroupBy.ENGAGEMENT_TYPE in each for each in levels),
        "period_start": has_period,
        "period_end": has_period,
        "hour_of_day": all(has_hour) and not any(has_day),
        "snapshot_at": period is not None and not (is_of_period or any(has_day + has_hour)),
    }
    return frozenset(name for name, is_filled in filled.items() if is_filled)
