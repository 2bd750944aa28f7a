"""Write the rows of a pull to a folder of objects that belongs to one task.

::

    {object_prefix}/{endpoint}/{account}/{window or snapshot}/{task hash}/
        part-00000-{try}.parquet ...
        coverage-{try}.parquet
        manifest.json        lists what belongs to the folder; written last

Rows are written to the local disk, and uploaded in ``commit``. The old state stands until the new
one does, also when two tries of the task run at once:

- Objects are named by the try, so that no try writes over another's.
- The manifest is replaced only if it is still the version that was read before the pull. Of the
  tries that read the same version, one succeeds; the others return its rows, or replace them if
  their own are newer.
- A try deletes its own objects only when it knows that no manifest lists them, and those of others
  only when they cannot be listed any more (``ObjectFolder.replace``).
"""

from __future__ import annotations

import logging
import re
import secrets
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

import pyarrow.compute as pc

from airflow_provider_engagement.api.errors import ConcurrentWriteError, InvalidArgumentError
from airflow_provider_engagement.rows.coverage import Coverage
from airflow_provider_engagement.rows.layout import WIDE_LAYOUT, layout_of
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema
from airflow_provider_engagement.rows.wide import HashPartitions
from airflow_provider_engagement.sinks.folder import ManifestVersion, ObjectFolder
from airflow_provider_engagement.sinks.manifest import Entry, ExistingFolder, Manifest
from airflow_provider_engagement.sinks.scratch import ScratchFolder
from airflow_provider_engagement.sinks.writers import (
    ENDINGS,
    Part,
    RollingWriter,
    check_format,
    read_table,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.sinks.base import ObjectStore, WriteResult

__all__ = ["ObjectSink", "folder_name"]

log = logging.getLogger(__name__)

_PART_BYTES: Final = 128 * 1024 * 1024

# How often a try replaces the manifest of a try that was faster, before it fails.
_MAX_COMMITS: Final = 5


class ObjectSink:
    """Writes the rows of a pull to a folder of objects.

    :param store: the bucket.
    :param folder: the folder's name, from ``folder_name``.
    :param fingerprint: identifies what is asked, apart from the ids.
    :param layout: ``long`` or ``wide``, the layout of the objects. Rows are written to the sink in
        the long layout.
    :param groupings: the canonical groupings that are asked for, to refuse those that the layout
        has no place for.
    :param expected_rows: the rows that the plan expects.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param part_bytes: the size in bytes at which the next object is started.
    :param shard: which part of a collection the rows are of, such as ``2/8``; None for all of it.
    :param first_answer_stands: whether the rows are a snapshot. The rows of its Tweets are never
        replaced; rows of other Tweets may be added.
    :raises InvalidArgumentError: if the format or layout does not exist.
    """

    def __init__(
        self,
        store: ObjectStore,
        folder: str,
        *,
        fingerprint: str,
        layout: str = "long",
        groupings: Iterable[str] = (),
        expected_rows: int = 0,
        file_format: str = "parquet",
        part_bytes: int = _PART_BYTES,
        shard: str | None = None,
        first_answer_stands: bool = False,
    ) -> None:
        check_format(file_format)
        self._folder = ObjectFolder(store, folder)
        self._fingerprint = fingerprint
        self._layout = layout_of(layout, groupings)
        self._expected_rows = expected_rows
        self._format = file_format
        self._part_bytes = part_bytes
        self._shard = shard
        self._is_snapshot = first_answer_stands
        self._version: ManifestVersion | None = None
        self._extended: ExistingFolder | None = None
        self._uploaded: set[str] = set()
        self._collected_at = datetime.min.replace(tzinfo=UTC)
        self._scratch: ScratchFolder | None = None
        self._writer: RollingWriter | None = None
        self._partitions: HashPartitions | None = None

    @property
    def uri(self) -> str:
        """The folder's URI."""
        return self._folder.uri

    def existing(self) -> ExistingFolder | None:
        """Return the snapshot that an earlier run has written here.

        :returns: None if the sink does not write a snapshot, if there is none, or if one of its
            objects does not exist any more.
        """
        manifest = self._read_version().manifest
        if not self._is_snapshot or manifest is None:
            return None
        if manifest.fingerprint != self._fingerprint:
            return None
        return self._folder.load(manifest)

    def extend(self, existing: ExistingFolder) -> None:
        """Keep the objects of a snapshot, and add to them what is written.

        Rows without a Tweet are not added: those of the snapshot stand.

        :param existing: what ``existing`` has returned.
        """
        self._extended = existing

    def prepare(self) -> None:
        """Check the bucket.

        :raises EngagementError: if the folder cannot be written to, with advice.
        """
        self._folder.check()
        self._folder.check_unlocked(self._read_version())

    def write(self, table: pa.Table) -> None:
        """Write some rows to the local disk.

        :param table: rows of the long layout.
        """
        if self._extended is not None:
            table = table.filter(pc.is_valid(table.column("tweet_id")))
        if self._layout is WIDE_LAYOUT:
            if self._partitions is None:
                self._partitions = HashPartitions(self._disk(), self._expected_rows)
            self._partitions.write(table)
        else:
            self._rolling().write(table)

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:
        """Upload the rows and their coverage, and list them in the manifest.

        :param coverage: the status of every id, table by table.
        :param manifest: a summary of the pull.
        :returns: where the rows are. They are another try's, if that was faster.
        :raises ConcurrentWriteError: if another try was faster, and its rows do not do.
        """
        try:
            parts, statuses = self._finish_parts(), self._write_coverage(coverage)
            for _ in range(_MAX_COMMITS):
                new = self._upload(parts, statuses, self._summary(manifest, parts, statuses))
                written = self._swap(new) or self._other_result(statuses)
                if written is not None:
                    return self._folder.result(written)
        finally:
            self.discard()
        raise self._conflict()

    def discard(self) -> None:
        """Delete the local files, and the objects that no manifest lists."""
        writer, self._writer = self._writer, None
        partitions, self._partitions = self._partitions, None
        scratch, self._scratch = self._scratch, None
        uploaded, self._uploaded = self._uploaded, set()
        if writer is not None:
            writer.abandon()
        if partitions is not None:
            partitions.close()
        if scratch is not None:
            scratch.remove()
        self._folder.delete(uploaded)

    def _read_version(self) -> ManifestVersion:
        """Return the version that this try replaces: the one that it read first."""
        if self._version is None:
            self._version = self._folder.read_version()
        return self._version

    def _disk(self) -> Path:
        if self._scratch is None:
            self._scratch = ScratchFolder()
        return self._scratch.path

    def _rolling(self) -> RollingWriter:
        if self._writer is None:
            schema = arrow_schema(self._layout.columns)
            self._writer = RollingWriter(
                self._disk(), schema, self._format, part_bytes=lambda _: self._part_bytes
            )
        return self._writer

    def _finish_parts(self) -> list[Part]:
        writer = self._rolling()
        if self._partitions is not None:
            self._partitions.close()
            for table in self._partitions.wide():
                writer.write(table)
        writer.close()
        return list(writer.parts)

    def _write_coverage(self, tables: Iterable[pa.Table]) -> Part:
        """Write the coverage to the local disk."""
        path = self._disk() / f"coverage{ENDINGS[self._format]}"
        new = map(self._without_known, tables)
        known = [self._extended.coverage] if self._extended is not None else []
        return write_file(path, chain(known, new), arrow_schema(COVERAGE), self._format)

    def _without_known(self, coverage: pa.Table) -> pa.Table:
        """Leave out the Tweets of the snapshot that is extended: their coverage stands."""
        self._collected_at = pc.max(coverage.column("collected_at")).as_py()
        if self._extended is None:
            return coverage
        known = self._extended.coverage.column("tweet_id").combine_chunks()
        is_known = pc.is_in(coverage.column("tweet_id"), value_set=known)
        return coverage.filter(pc.invert(is_known))

    def _summary(
        self, summary: Mapping[str, object], parts: list[Part], coverage: Part
    ) -> dict[str, object]:
        """Return the summary of the pull, with the figures of the whole folder."""
        if self._extended is None:
            return dict(summary)
        rows = self._extended.manifest.rows + sum(part.rows for part in parts)
        outcomes = Coverage.from_table(self._read_coverage(coverage))
        return {**summary, "rows": rows, "tweets": outcomes.describe()}

    def _upload(self, parts: list[Part], coverage: Part, summary: dict[str, object]) -> Manifest:
        attempt = secrets.token_hex(6)
        earlier = self._extended.manifest.objects if self._extended is not None else ()
        return Manifest(
            attempt=attempt,
            fingerprint=self._fingerprint,
            layout=self._layout.name,
            format=self._format,
            objects=(*earlier, *(self._upload_file(part, attempt) for part in parts)),
            coverage=self._upload_file(coverage, attempt),
            collected_at=self._collected_at,
            summary=summary,
            shard=self._shard,
        )

    def _upload_file(self, file: Part, attempt: str) -> Entry:
        ending = ENDINGS[self._format]
        name = f"{file.path.name.removesuffix(ending)}-{attempt}{ending}"
        self._uploaded.add(name)
        return self._folder.upload(file, name)

    def _swap(self, new: Manifest) -> Manifest | None:
        """Replace the manifest. Return the new one, or None if another try was faster."""
        # If the answer to the request is lost, the manifest may stand: then delete nothing.
        uploaded, self._uploaded = self._uploaded, set()
        if self._folder.replace(self._read_version(), new):
            return new
        self._version = self._folder.read_version()
        current = self._version.manifest
        if current is not None and current.attempt == new.attempt:
            return new
        self._folder.delete(uploaded - (current.names if current is not None else set()))
        return None

    def _other_result(self, coverage: Part) -> Manifest | None:
        """Return the manifest of the faster try if its rows do; None to replace it.

        :raises ConcurrentWriteError: if they do not, and must not be replaced either.
        """
        current = self._read_version().manifest
        if current is None:
            return None
        if self._is_snapshot:
            existing = self.existing()
            if existing is None or not existing.covers(
                self._read_coverage(coverage).column("tweet_id").to_pylist()
            ):
                raise self._conflict()
        elif current.collected_at < self._collected_at:
            return None
        log.warning("Another try of this task has written %s. Its rows stand.", self.uri)
        return current

    def _read_coverage(self, file: Part) -> pa.Table:
        return read_table(file.path.read_bytes(), arrow_schema(COVERAGE), self._format)

    def _conflict(self) -> ConcurrentWriteError:
        return ConcurrentWriteError(
            f"Another try of this task has written {self.uri} while this one was running.",
            advice="Its rows stand, and nothing of this try was written. A retry of the task "
            "continues from them.",
        )


def folder_name(object_prefix: str, *parts: str) -> str:
    """Return a task's folder: the prefix unchanged, and every part as one level below it.

    :param object_prefix: of the DAG's author; it may hold slashes.
    :param parts: endpoint, account, window and so on. Other characters than letters, digits and
        ``._=-`` are percent-encoded, so that no part leads out of its level.
    :raises InvalidArgumentError: if the prefix leads out of the bucket, or cannot be a name.
    """
    prefix = str(object_prefix).strip("/")
    levels = prefix.split("/") if prefix else []
    unprintable = re.search(r"[\x00-\x1f\x7f]", prefix)
    if unprintable or any(level in {"", ".", ".."} for level in levels):
        raise InvalidArgumentError(
            f"object_prefix is {object_prefix!r}.",
            advice="Use names joined with single slashes, none of them '.' or '..'.",
        )
    return "/".join([*levels, *map(_encoded, parts)])


def _encoded(part: str) -> str:
    if set(part) <= {"."}:
        # '.' and '..' have a meaning of their own in a path, and an empty level has no name.
        return "%2E" * len(part) or "%"
    return re.sub(
        rb"[^A-Za-z0-9._=-]", lambda match: b"%%%02X" % match.group()[0], part.encode()
    ).decode()
