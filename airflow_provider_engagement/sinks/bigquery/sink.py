"""The BigQuery sink: rows staged, then landed in one transaction."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow.compute as pc
from google.cloud import bigquery

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.rows.layout import LAYOUTS, WIDE_LAYOUT, Layout, layout_of
from airflow_provider_engagement.rows.schema import COVERAGE
from airflow_provider_engagement.rows.wide import refuse_nameless
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.bigquery.jobs import DEFAULT_WAIT, run_job
from airflow_provider_engagement.sinks.bigquery.loads import (
    LoadBudget,
    LoadSettings,
    StagingTable,
)
from airflow_provider_engagement.sinks.bigquery.merge import (
    STAGING,
    Batch,
    append_script,
    truncate_script,
    upsert_script,
)
from airflow_provider_engagement.sinks.bigquery.names import TableName, labels_that_fit
from airflow_provider_engagement.sinks.bigquery.tables import (
    COVERAGE_CLUSTER,
    LOCK_COLUMNS,
    ensure_table,
    location_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    import pyarrow as pa
    from tenacity.wait import wait_base

    from airflow_provider_engagement.sinks.base import ObjectStore

__all__ = ["WRITE_MODES", "BigQuerySink"]

log = logging.getLogger(__name__)

WRITE_MODES: Final = ("upsert", "append", "truncate")


class BigQuerySink:
    """Lands the rows of a pull in a BigQuery table, and their coverage in ``<table>_coverage``.

    :param client: a BigQuery client, whose project the jobs run in.
    :param destination_table: ``project.dataset.table`` or ``dataset.table``.
    :param layout: ``long`` or ``wide``, the shape of the table; rows are handed over long.
    :param groupings: the groupings that are asked for, to be refused where the layout has no
        place for them.
    :param write_mode: ``upsert``: repeatable, the same rows make the same table. ``append``:
        adds, every time. ``truncate``: replaces all that the table holds, unless there are no
        rows.
    :param expected_rows: rows that the plan foresees, from which follows how much goes into one
        load job.
    :param staging: a bucket to load through, with a single load job.
    :param staging_folder: the folder in there; by default one that tells the day, so that what a
        killed task leaves in it is swept out with the pieces of that day.
    :param location: where the dataset is; looked up where it is not given.
    :param labels: labels of every job, such as dag, task and run; bent to BigQuery's rule.
    :param budget: how many load jobs, and how large, at the least and at the most.
    :param wait: how long to wait before trying a failed job again.
    :raises InvalidArgumentError: if a parameter cannot be used as it is.
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
        staging: ObjectStore | None = None,
        staging_folder: str | None = None,
        location: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: LoadBudget | None = None,
        wait: wait_base = DEFAULT_WAIT,
    ) -> None:
        if write_mode not in WRITE_MODES:
            message = f"write_mode is {write_mode!r}."
            raise InvalidArgumentError(message, advice=f"Use one of {', '.join(WRITE_MODES)}.")
        self.table = TableName.parse(destination_table, client.project)
        self._client = client
        self._layout = layout_of(layout, groupings)
        self._mode = write_mode
        self._bucket = staging
        self._folder = staging_folder or f"engagement-staging/{datetime.now(UTC).date()}"
        self._location = location
        self._labels = labels_that_fit(labels or {})
        self._budget = replace(budget or LoadBudget(), expected_rows=expected_rows)
        self._wait = wait
        self._rows = 0
        self._dates: tuple[date, date] | None = None
        self._staging: StagingTable | None = None

    def prepare(self) -> None:
        """Check the dataset, and make or widen the tables.

        :raises InvalidArgumentError: if the dataset is missing or somewhere else, or a column is
            unfit.
        :raises PermissionDeniedError: if the credentials may not write there.
        """
        self._location = location_of(self._client, self.table, self._location)
        ensure_table(
            self._client,
            self.table,
            self._layout.columns,
            description=self._layout.description,
            cluster=self._layout.cluster,
            foreign=_columns_of_other_layouts(self._layout),
        )
        ensure_table(
            self._client,
            self.table.coverage,
            COVERAGE,
            description=f"What became of every id that was asked for {self.table.table}.",
            cluster=COVERAGE_CLUSTER,
        )
        ensure_table(
            self._client,
            self.table.locks,
            LOCK_COLUMNS,
            description="By touching a row here, writers of one table notice each other.",
        )
        if self._bucket is not None:
            self._bucket.check(self._folder)

    def write(self, table: pa.Table) -> None:
        """Stage some rows.

        :raises InvalidArgumentError: if the layout is wide, and a row has no Tweet or no type.
        """
        if self._layout is WIDE_LAYOUT:
            refuse_nameless(table)
        self._staged().write(table)
        self._rows += table.num_rows
        self._dates = _spanning(self._dates, table)

    def commit(
        self,
        coverage: Iterable[pa.Table],
        manifest: Mapping[str, object],  # noqa: ARG002 - a table has no place for it
    ) -> WriteResult:
        """Load the rest, and land rows and coverage in one transaction."""
        staging = self._staged()
        try:
            dates = None
            for table in coverage:
                staging.write(table)
                dates = _spanning(dates, table)
            staging.finish()
            batch = Batch(
                target=self.table,
                staging=staging.name,
                layout=self._layout,
                row_dates=self._dates,
                coverage_dates=dates,
            )
            stats = {"load_jobs": staging.loads, **self._land(batch)}
        finally:
            self.discard()
        return WriteResult(self._rows, str(self.table), (), str(self.table.coverage), stats)

    def discard(self) -> None:
        """Drop the staging table, its objects and its files."""
        staging, self._staging = self._staging, None
        if staging is not None:
            staging.drop()

    def _staged(self) -> StagingTable:
        if self._staging is None:
            settings = LoadSettings(
                location=self._location,
                labels=self._labels,
                budget=self._budget,
                bucket=self._bucket,
                folder=self._folder,
                wait=self._wait,
            )
            self._staging = StagingTable(self._client, self.table.new_staging(), STAGING, settings)
        return self._staging

    def _land(self, batch: Batch) -> dict[str, Any]:
        if batch.row_dates is None and batch.coverage_dates is None:
            return {}
        # A pull without rows says nothing of the rows that are there.
        mode = "upsert" if self._mode == "truncate" and batch.row_dates is None else self._mode
        write = {"upsert": upsert_script, "append": append_script, "truncate": truncate_script}
        script = write[mode](batch)
        config = bigquery.QueryJobConfig(labels=self._labels, use_legacy_sql=False)
        job = run_job(
            lambda: self._client.query(
                script,
                job_config=config,
                location=self._location,
                # One policy of when to try again is enough, and ours knows of conflicts.
                job_retry=None,
            ),
            wait=self._wait,
            idempotent=mode != "append",
        )
        return {"job_id": job.job_id, "bytes_billed": job.total_bytes_billed, **self._changed(job)}

    def _changed(self, job: bigquery.QueryJob) -> dict[str, int]:
        """Count what the script changed, where its statements may be looked at.

        Each is a job of its own. The emulator lists none, and so may a narrow role.
        """
        try:
            statements = list(self._client.list_jobs(parent_job=job))
        except Exception:
            # The rows have landed, whatever becomes of this.
            log.debug("The statements of job %s cannot be listed.", job.job_id, exc_info=True)
            return {}
        merged = [
            statement.dml_stats
            for statement in statements
            if getattr(statement, "dml_stats", None) is not None
            and self.table.table in {table.table_id for table in statement.referenced_tables}
        ]
        if not merged:
            return {}
        return {
            "rows_inserted": sum(counts.inserted_row_count for counts in merged),
            "rows_updated": sum(counts.updated_row_count for counts in merged),
        }


def _spanning(period: tuple[date, date] | None, table: pa.Table) -> tuple[date, date] | None:
    """Widen a range of dates to cover a table's."""
    if not table.num_rows:
        return period
    seen = pc.min_max(table.column("date")).as_py()
    first, last = period or (seen["min"], seen["min"])
    return min(first, seen["min"]), max(last, seen["max"])


def _columns_of_other_layouts(layout: Layout) -> frozenset[str]:
    own = {column.name for column in layout.columns}
    others = (other for other in LAYOUTS.values() if other is not layout)
    return frozenset(column.name for other in others for column in other.columns) - own
