"""Rows as objects: a folder that belongs to one task, complete when its manifest is there.

::

    {object_prefix}/{endpoint}/{account}/{window or snapshot}/{task hash}/
        part-00000.parquet ...
        coverage.parquet
        manifest.json        written last, deleted first

Parts are spooled to local disk and uploaded in ``commit``: until then an earlier run's objects
stand untouched, and a pull that fails leaves nothing in the bucket.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.rows.layout import WIDE_LAYOUT, layout_of
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema
from airflow_provider_engagement.rows.wide import HashPartitions
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.writers import (
    ENDINGS,
    Part,
    RollingWriter,
    check_format,
    open_writer,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

__all__ = ["ObjectSink", "ObjectStore", "folder_name"]

log = logging.getLogger(__name__)

_MANIFEST: Final = "manifest.json"
# Against accidents, not against anyone.
_checksum = functools.partial(hashlib.md5, usedforsecurity=False)

_PART_BYTES: Final = 128 * 1024 * 1024


class ObjectStore(Protocol):
    """What a place for objects has to be able to do."""

    def uri(self, name: str) -> str:
        """Give an object's address."""

    def check(self) -> None:
        """See that objects can be written, read, listed and deleted.

        :raises EngagementError: if they cannot, saying what to do.
        """

    def put_file(self, path: Path, name: str) -> None:
        """Upload a file."""

    def put_bytes(self, data: bytes, name: str, content_type: str) -> None:
        """Upload a few bytes."""

    def read(self, name: str) -> bytes | None:
        """Read an object; None if there is none."""

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""

    def names(self, prefix: str) -> list[str]:
        """List the objects whose names start with a prefix."""


class ObjectSink:
    """Lands the rows of a pull in a folder of objects.

    :param store: the bucket.
    :param folder: the folder's name, as ``folder_name`` makes it.
    :param fingerprint: tells what the pull asks for; the same question has the same fingerprint.
    :param layout: ``long`` or ``wide``, the shape of the objects; rows are handed over long.
    :param groupings: the groupings that are asked for, to be refused where the layout has no
        place for them.
    :param expected_rows: rows that the plan foresees.
    :param file_format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param part_bytes: how large an object gets before the next is begun.
    :raises InvalidArgumentError: if there is no such format or layout.
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
    ) -> None:
        check_format(file_format)
        self._store = store
        self._folder = folder
        self._fingerprint = fingerprint
        self._layout = layout_of(layout, groupings)
        self._expected_rows = expected_rows
        self._format = file_format
        self._part_bytes = part_bytes
        self._disk: Path | None = None
        self._writer: RollingWriter | None = None
        self._piles: HashPartitions | None = None
        self._torn = False

    @property
    def uri(self) -> str:
        """The folder's address."""
        return self._store.uri(self._folder)

    def prepare(self) -> None:
        """Check the bucket.

        :raises EngagementError: if it cannot be written to, saying what to do.
        """
        self._store.check()

    def already(self) -> dict[str, Any] | None:
        """Give the folder's manifest, if the same question was answered here already.

        A snapshot is taken once: whoever finds one keeps it, and asks nothing.

        :returns: None if there is no manifest, or one of another question, or an object that it
            lists is gone.
        """
        text = self._store.read(self._name(_MANIFEST))
        if text is None:
            return None
        try:
            manifest = json.loads(text)
            listed = {entry["name"] for entry in (*manifest["objects"], manifest["coverage"])}
            same = manifest["fingerprint"] == self._fingerprint
        except (ValueError, TypeError, KeyError):
            return None
        there = set(self._store.names(f"{self._folder}/"))
        if not same or not {self._name(name) for name in listed} <= there:
            return None
        found: dict[str, Any] = manifest
        return found

    def write(self, table: pa.Table) -> None:
        """Spool some rows."""
        if self._layout is WIDE_LAYOUT:
            self._piles = self._piles or HashPartitions(self._scratch(), self._expected_rows)
            self._piles.write(table)
        else:
            self._rolling().write(table)

    def commit(self, coverage: pa.Table, manifest: Mapping[str, object]) -> WriteResult:
        """Upload parts and coverage, clear away what an earlier run left, and seal the folder."""
        writer, disk = self._rolling(), self._scratch()
        try:
            if self._piles is not None:
                self._piles.close()
                for table in self._piles.wide():
                    writer.write(table)
            writer.close()
            covered = self._write_coverage(disk, coverage)
            self._store.delete(self._name(_MANIFEST))
            # From here on, until it has its manifest, the folder is neither the old nor the new.
            self._torn = True
            objects = [self._upload(part) for part in writer.parts]
            entry = self._upload(covered)
            self._delete_others({item["name"] for item in (*objects, entry)})
            self._seal(objects, entry, manifest)
            self._torn = False
        finally:
            self.discard()
        uris = tuple(item["uri"] for item in objects)
        stats = {"objects": len(objects), "bytes": sum(item["bytes"] for item in objects)}
        rows = sum(item["rows"] for item in objects)
        return WriteResult(
            rows, None, uris, entry["uri"], {**stats, "manifest": self._manifest_uri}
        )

    def discard(self) -> None:
        """Delete the local files, and a folder that was left half-written."""
        writer, self._writer = self._writer, None
        disk, self._disk = self._disk, None
        torn, self._torn = self._torn, False
        piles, self._piles = self._piles, None
        if writer is not None:
            writer.abandon()
        if piles is not None:
            piles.close()
        if disk is not None:
            shutil.rmtree(disk, ignore_errors=True)
        if torn:
            self._clear()

    @property
    def _manifest_uri(self) -> str:
        return self._store.uri(self._name(_MANIFEST))

    def _name(self, file: str) -> str:
        return f"{self._folder}/{file}"

    def _scratch(self) -> Path:
        if self._disk is None:
            self._disk = Path(tempfile.mkdtemp(prefix="engagement-"))
        return self._disk

    def _rolling(self) -> RollingWriter:
        if self._writer is None:
            self._writer = RollingWriter(
                self._scratch(),
                arrow_schema(self._layout.columns),
                self._format,
                part_bytes=self._limit,
            )
        return self._writer

    def _limit(self, done: Sequence[Part]) -> int:
        del done
        return self._part_bytes

    def _write_coverage(self, disk: Path, coverage: pa.Table) -> Part:
        path = disk / f"coverage{ENDINGS[self._format]}"
        with path.open("wb") as stream:
            writer = open_writer(stream, arrow_schema(COVERAGE), self._format)
            writer.write(coverage)
            writer.close()
        return Part(path, coverage.num_rows, path.stat().st_size)

    def _upload(self, part: Part) -> dict[str, Any]:
        name = self._name(part.path.name)
        with part.path.open("rb") as file:
            digest = hashlib.file_digest(file, _checksum).hexdigest()
        self._store.put_file(part.path, name)
        part.path.unlink()
        return {
            "name": part.path.name,
            "uri": self._store.uri(name),
            "rows": part.rows,
            "bytes": part.size,
            "md5": digest,
        }

    def _delete_others(self, keep: set[str]) -> None:
        """Delete what an earlier run of this task left beyond what this one wrote."""
        kept = {self._name(name) for name in keep}
        for name in self._store.names(f"{self._folder}/"):
            if name not in kept:
                self._store.delete(name)

    def _seal(
        self, objects: list[dict[str, Any]], coverage: dict[str, Any], summary: Mapping[str, object]
    ) -> None:
        sealed = {
            "fingerprint": self._fingerprint,
            "format": self._format,
            "rows": sum(item["rows"] for item in objects),
            "objects": objects,
            "coverage": coverage,
            "summary": dict(summary),
        }
        text = json.dumps(sealed, indent=2, ensure_ascii=False) + "\n"
        self._store.put_bytes(text.encode(), self._name(_MANIFEST), "application/json")

    def _clear(self) -> None:
        try:
            self._delete_others(set())
        except Exception:
            # Whatever the store raises: the first error is the one that counts.
            log.warning("%s was left half-written, without a manifest.", self.uri, exc_info=True)


def folder_name(object_prefix: str, *parts: str) -> str:
    """Name a task's folder: the prefix as it is, and every part as one level below it.

    :param object_prefix: what the DAG's author gave, slashes and all.
    :param parts: endpoint, account, window and so on. Whatever could end a level is
        percent-encoded, so that a handle or a window cannot lead out of the folder.
    :raises InvalidArgumentError: if the prefix would.
    """
    prefix = str(object_prefix).strip("/")
    levels = prefix.split("/") if prefix else []
    unprintable = re.search(r"[\x00-\x1f\x7f]", prefix)
    if unprintable or any(level in {"", ".", ".."} for level in levels):
        message = f"object_prefix is {object_prefix!r}."
        advice = "Use names joined with single slashes, none of them '.' or '..'."
        raise InvalidArgumentError(message, advice=advice)
    return "/".join([*levels, *map(_encoded, parts)])


def _encoded(part: str) -> str:
    if set(part) <= {"."}:
        # '.' and '..' are legal letters and yet no names; nor is nothing at all.
        return "%2E" * len(part) or "%"
    return re.sub(
        rb"[^A-Za-z0-9._=-]", lambda match: b"%%%02X" % match.group()[0], part.encode()
    ).decode()
