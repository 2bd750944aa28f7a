"""Staging: rows are written to local files, and the files to a staging table, in few load jobs."""

from __future__ import annotations

import functools
import logging
import math
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from google.cloud import bigquery

from airflow_provider_engagement.rows.schema import arrow_schema
from airflow_provider_engagement.sinks.bigquery.tables import table_schema
from airflow_provider_engagement.sinks.scratch import ScratchFolder
from airflow_provider_engagement.sinks.writers import Part, RollingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from airflow_provider_engagement.rows.schema import Column
    from airflow_provider_engagement.sinks.base import ObjectStore
    from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["LoadBudget", "LoadSettings", "StagingTable"]

log = logging.getLogger(__name__)

# Measured on the long layout: 1 byte a row by the hour, 4 where a Tweet has few rows. This sizes
# the first part only; the sizes of finished parts replace it.
_BYTES_A_ROW: Final = 4

# BigQuery drops the staging table of a killed task after this time. A pull that goes on renews it.
_LIFETIME: Final = timedelta(days=3)
_RENEW_BELOW: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class LoadBudget:
    """How large a part must be, so that there are few load jobs.

    :param expected_rows: the rows that the plan expects; 0 for unknown.
    :param least_bytes: the size that every part but the last one reaches.
    :param most_loads: the number of parts at most, however wrong the plan is.
    """

    expected_rows: int = 0
    least_bytes: int = 64 * 1024 * 1024
    most_loads: int = 20

    def part_bytes(self, done: Sequence[Part]) -> int:
        """Return the size at which the next part ends.

        :param done: the finished parts.
        """
        left = self.most_loads - len(done)
        if left <= 1:
            return sys.maxsize
        rows = sum(part.rows for part in done)
        size = sum(part.size for part in done)
        bytes_a_row = size / rows if rows else _BYTES_A_ROW
        remaining = max(self.expected_rows - rows, 0) * bytes_a_row
        return max(self.least_bytes, math.ceil(remaining / left))


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How rows get into the staging table.

    :param budget: the number and the size of load jobs.
    :param bucket: a bucket to load through, with one load job; None for none.
    :param folder: the folder in the bucket.
    """

    budget: LoadBudget = field(default_factory=LoadBudget)
    bucket: ObjectStore | None = None
    folder: str = "engagement-staging"


class StagingTable:
    """A table that holds the rows of one pull until they are merged.

    It is created by the first load.

    :param jobs: runs the load jobs.
    :param name: the table's name, which no other table has.
    :param columns: its columns.
    :param settings: how to load.
    """

    def __init__(
        self, jobs: JobRunner, name: TableName, columns: Sequence[Column], settings: LoadSettings
    ) -> None:
        self.name = name
        self.loads = 0
        self._jobs = jobs
        self._settings = settings
        self._fields = table_schema(columns)
        self._schema = arrow_schema(tuple(columns))
        self._scratch: ScratchFolder | None = None
        self._writer: RollingWriter | None = None
        self._uploaded: list[str] = []
        self._expires: datetime | None = None

    def write(self, table: pa.Table) -> None:
        """Write rows to local files, and load a file that is large enough.

        :param table: rows with any of the columns; the others are null.
        """
        if table.num_rows:
            self._open_writer().write(self._with_all_columns(table))
            self._renew()

    def finish(self) -> None:
        """Load the rest. The table is complete after this."""
        if self._writer is not None:
            self._writer.close()
        if self._uploaded and self._settings.bucket is not None:
            uris = [self._settings.bucket.uri(name) for name in self._uploaded]
            self._load(functools.partial(self._jobs.client.load_table_from_uri, uris))

    def drop(self) -> None:
        """Delete the table, its objects and its files. Never raises; can be called twice."""
        writer, self._writer = self._writer, None
        scratch, self._scratch = self._scratch, None
        if writer is None or scratch is None:
            return
        writer.abandon()
        scratch.remove()
        if self._expires is not None:
            client = self._jobs.client
            _try(lambda: client.delete_table(str(self.name), not_found_ok=True))
        if self._settings.bucket is not None:
            for name in self._uploaded:
                _try(functools.partial(self._settings.bucket.delete, name))

    def _open_writer(self) -> RollingWriter:
        if self._writer is None:
            self._scratch = ScratchFolder()
            self._writer = RollingWriter(
                self._scratch.path,
                self._schema,
                "parquet",
                part_bytes=self._settings.budget.part_bytes,
                on_part=self._add_part,
            )
        return self._writer

    def _add_part(self, part: Part) -> None:
        """Upload or load a finished part, and delete its file."""
        bucket = self._settings.bucket
        if bucket is not None:
            name = f"{self._settings.folder}/{self.name.table}/{part.path.name}"
            # Noted before the upload, so that half an upload is deleted too.
            self._uploaded.append(name)
            self._jobs.retry(lambda: bucket.put_file(part.path, name))
        else:
            self._load(functools.partial(self._load_file, part.path))
        part.path.unlink()

    def _load_file(self, path: Path, **options: Any) -> bigquery.LoadJob:
        with path.open("rb") as file:
            return self._jobs.client.load_table_from_file(file, **options)

    def _load(self, start: Callable[..., bigquery.LoadJob]) -> None:
        if self._expires is None:
            self._create()
        self._renew()
        self._jobs.run(lambda job_id: start(**self._options(job_id)))
        self.loads += 1

    def _create(self) -> None:
        table = bigquery.Table(str(self.name), schema=self._fields)
        table.expires = self._expires = datetime.now(UTC) + _LIFETIME
        table.description = "Staged rows of a pull. Safe to delete after three days."
        # A request that is repeated after a lost answer finds the table that it created.
        self._jobs.retry(lambda: self._jobs.client.create_table(table, exists_ok=True))

    def _renew(self) -> None:
        """Move the table's expiration, so that it outlives a pull of many days."""
        now = datetime.now(UTC)
        if self._expires is None or self._expires - now > _RENEW_BELOW:
            return
        table = bigquery.Table(str(self.name))
        table.expires = self._expires = now + _LIFETIME
        self._jobs.retry(lambda: self._jobs.client.update_table(table, ["expires"]))

    def _options(self, job_id: str) -> dict[str, Any]:
        config = bigquery.LoadJobConfig(
            schema=self._fields,
            source_format=bigquery.SourceFormat.PARQUET,
            write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
            # A job that ends after its task must not create the table again.
            create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
            labels=self._jobs.labels,
        )
        return {
            "destination": str(self.name),
            "job_config": config,
            "job_id": job_id,
            "location": self._jobs.location,
            "project": self._jobs.client.project,
        }

    def _with_all_columns(self, table: pa.Table) -> pa.Table:
        columns = [
            table.column(field.name)
            if field.name in table.column_names
            else pa.nulls(table.num_rows, field.type)
            for field in self._schema
        ]
        return pa.table(columns, schema=self._schema)


def _try(delete: Callable[[], object]) -> None:
    """Delete something of a pull that has ended; what is left expires."""
    try:
        delete()
    except Exception:
        log.warning("Staged rows could not be deleted.", exc_info=True)
