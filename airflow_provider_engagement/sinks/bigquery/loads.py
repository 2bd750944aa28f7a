"""Staging: rows to a local file, files to a staging table, in few load jobs."""

from __future__ import annotations

import functools
import logging
import math
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from google.cloud import bigquery

from airflow_provider_engagement.rows.schema import arrow_schema
from airflow_provider_engagement.sinks.bigquery.jobs import DEFAULT_WAIT, run_job
from airflow_provider_engagement.sinks.bigquery.tables import schema_of
from airflow_provider_engagement.sinks.writers import Part, RollingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tenacity.wait import wait_base

    from airflow_provider_engagement.rows.schema import Column
    from airflow_provider_engagement.sinks.base import ObjectStore
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["LoadBudget", "LoadSettings", "StagingTable"]

log = logging.getLogger(__name__)

# Measured on the long layout: 1 byte a row by the hour, some 4 where a Tweet has few rows. Only
# the first part is sized by this guess, the others by the parts before them.
_BYTES_A_ROW: Final = 4

# Should a task be killed before it drops its staging table, BigQuery does.
_LIFETIME: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class LoadBudget:
    """How large a part has to be, so that there are few of them.

    :param expected_rows: rows that the plan foresees; 0 where it cannot tell.
    :param least_bytes: no part is smaller than this, the last aside.
    :param most_loads: no more parts than this, however wrong the plan was.
    """

    expected_rows: int = 0
    least_bytes: int = 64 * 1024 * 1024
    most_loads: int = 20

    def part_bytes(self, done: Sequence[Part]) -> int:
        """Say how large the next part may get, given the finished ones."""
        left = self.most_loads - len(done)
        if left <= 1:
            return sys.maxsize
        rows = sum(part.rows for part in done)
        size = sum(part.size for part in done)
        bytes_a_row = size / rows if rows else _BYTES_A_ROW
        to_come = max(self.expected_rows - rows, 0) * bytes_a_row
        return max(self.least_bytes, math.ceil(to_come / left))


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How load jobs are run.

    :param location: where the dataset lies.
    :param labels: labels of every job, fit for BigQuery.
    :param budget: how many, and how large.
    :param bucket: where to put files first, so that one load job takes them all.
    :param folder: the folder in there.
    :param wait: how long to wait before trying a failed job again.
    """

    location: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    budget: LoadBudget = field(default_factory=LoadBudget)
    bucket: ObjectStore | None = None
    folder: str = "engagement-staging"
    wait: wait_base = DEFAULT_WAIT


class StagingTable:
    """A table of its own for the rows of one pull, until they are merged.

    Nothing is made before there is something to load.

    :param client: the BigQuery client.
    :param name: the table to make: a new name each time.
    :param columns: its columns.
    :param settings: how to load.
    """

    def __init__(
        self,
        client: bigquery.Client,
        name: TableName,
        columns: Sequence[Column],
        settings: LoadSettings,
    ) -> None:
        self.name = name
        self.loads = 0
        self._client = client
        self._settings = settings
        self._fields = schema_of(columns)
        self._schema = arrow_schema(tuple(columns))
        self._folder: Path | None = None
        self._writer: RollingWriter | None = None
        self._uploaded: list[str] = []

    def write(self, table: pa.Table) -> None:
        """Spool rows; columns that they lack are null."""
        if table.num_rows:
            self._rolling().write(self._widened(table))

    def finish(self) -> None:
        """Load whatever is not loaded yet. The table is complete after this."""
        if self._writer is not None:
            self._writer.close()
        if self._uploaded and self._settings.bucket is not None:
            uris = [self._settings.bucket.uri(name) for name in self._uploaded]
            self._load(lambda: self._client.load_table_from_uri(uris, **self._target()))

    def drop(self) -> None:
        """Delete the table, its objects and its files. Never raises, and may be called twice."""
        writer, self._writer = self._writer, None
        folder, self._folder = self._folder, None
        if writer is None or folder is None:
            return
        writer.abandon()
        shutil.rmtree(folder, ignore_errors=True)
        # The table would expire in a day, and the rows are landed or not: no reason to fail.
        _quietly(lambda: self._client.delete_table(str(self.name), not_found_ok=True))
        if self._settings.bucket is not None:
            for name in self._uploaded:
                _quietly(functools.partial(self._settings.bucket.delete, name))

    def _rolling(self) -> RollingWriter:
        if self._writer is None:
            staging = bigquery.Table(str(self.name), schema=self._fields)
            staging.expires = datetime.now(UTC) + _LIFETIME
            staging.description = "Rows on their way. Safe to delete when a day old."
            self._folder = Path(tempfile.mkdtemp(prefix="engagement-"))
            self._writer = RollingWriter(
                self._folder,
                self._schema,
                "parquet",
                part_bytes=self._settings.budget.part_bytes,
                on_part=self._land,
            )
            self._client.create_table(staging)
        return self._writer

    def _land(self, part: Part) -> None:
        """Upload a finished part, and free its disk."""
        bucket = self._settings.bucket
        if bucket is not None:
            name = f"{self._settings.folder}/{self.name.table}/{part.path.name}"
            # First noted, then sent: half an upload is cleared away as well.
            self._uploaded.append(name)
            bucket.put_file(part.path, name)
        else:
            self._load(lambda: self._load_file(part.path))
        part.path.unlink()

    def _load_file(self, path: Path) -> bigquery.LoadJob:
        with path.open("rb") as file:
            return self._client.load_table_from_file(file, **self._target())

    def _load(self, start: Callable[[], bigquery.LoadJob]) -> None:
        # A load that fails leaves nothing, but one whose end we did not see may have been done
        # all the same. That is harmless: equal rows are one row after the merge.
        run_job(start, wait=self._settings.wait)
        self.loads += 1

    def _target(self) -> dict[str, Any]:
        config = bigquery.LoadJobConfig(
            schema=self._fields,
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            # A job that outlives its task must not bring the table back.
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            labels=self._settings.labels,
        )
        return {
            "destination": str(self.name),
            "job_config": config,
            "location": self._settings.location,
            "project": self._client.project,
        }

    def _widened(self, table: pa.Table) -> pa.Table:
        columns = [
            table.column(field.name)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in self._schema
        ]
        return pa.table(columns, schema=self._schema)


def _quietly(clear: Callable[[], object]) -> None:
    try:
        clear()
    except Exception:
        log.warning("Staging was not cleared away.", exc_info=True)
