"""Finished folders of objects: find them, check them, and read their rows again.

A folder is checked three times: its manifest, then what the bucket says of each object that the
manifest lists, both before anything is written; then the bytes of each object, as they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import ConcurrentWriteError, InvalidArgumentError
from airflow_provider_engagement.collections.parsing import is_given, parse_literal
from airflow_provider_engagement.rows.layout import LAYOUTS, WIDE_LAYOUT
from airflow_provider_engagement.rows.schema import COVERAGE, Column, arrow_schema
from airflow_provider_engagement.rows.wide import unpivoted
from airflow_provider_engagement.sinks.folder import MANIFEST, OWN_NAME, ObjectFolder, md5_of_file
from airflow_provider_engagement.sinks.readers import read_tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.sinks.base import ObjectStore
    from airflow_provider_engagement.sinks.manifest import Entry, Manifest

__all__ = ["FinishedFolder", "folder_uris", "open_folder"]

_UNREADABLE: Final = (ValueError, TypeError, KeyError, OSError)


@dataclass(frozen=True, slots=True)
class FinishedFolder:
    """A folder whose manifest has been read.

    :param store: the bucket.
    :param name: the folder's name in it.
    :param manifest: its manifest.
    """

    store: ObjectStore
    name: str
    manifest: Manifest

    @property
    def uri(self) -> str:
        """The folder's URI."""
        return self.store.uri(self.name)

    def check(self) -> None:
        """Compare what the bucket says of its objects with the manifest.

        :raises InvalidArgumentError: naming the first object that is missing or was changed.
        :raises ConcurrentWriteError: if it is missing because the folder has been written again.
        """
        held = self.store.describe(f"{self.name}/")
        for entry in (*self.manifest.objects, self.manifest.coverage):
            found = held.get(f"{self.name}/{entry.name}")
            if found is None:
                if self._is_replaced():
                    raise self._replaced()
                raise self._damaged(entry, "which does not exist")
            if found.bytes != entry.bytes:
                raise self._damaged(entry, f"of {entry.bytes} bytes; it has {found.bytes}")
            if found.md5 not in {None, entry.md5}:
                raise self._damaged(entry, "with another checksum")

    def rows(self, scratch: Path) -> Iterator[pa.Table]:
        """Yield the rows in the long layout.

        :param scratch: a folder of this machine for one object at a time.
        """
        layout = LAYOUTS[self.manifest.layout]
        for entry in self.manifest.objects:
            for table in self._read(entry, layout.columns, scratch):
                yield unpivoted(table) if layout is WIDE_LAYOUT else table

    def coverage(self, scratch: Path) -> Iterator[pa.Table]:
        """Yield the status of every id.

        :param scratch: a folder of this machine for the object.
        """
        yield from self._read(self.manifest.coverage, COVERAGE, scratch)

    def _read(self, entry: Entry, columns: tuple[Column, ...], scratch: Path) -> Iterator[pa.Table]:
        """Download an object, check its bytes, and yield its rows.

        :raises ConcurrentWriteError: if it was deleted after the manifest was read.
        :raises InvalidArgumentError: if it is not the object that the manifest lists.
        """
        path, rows = scratch / entry.name, 0
        if not self.store.get_file(f"{self.name}/{entry.name}", path):
            raise self._replaced()
        if md5_of_file(path) != entry.md5:
            raise self._damaged(entry, "with another checksum")
        try:
            for table in read_tables(path, arrow_schema(columns), self.manifest.format):
                rows += table.num_rows
                yield table
        except _UNREADABLE as error:
            raise self._damaged(entry, f"and cannot be read: {type(error).__name__}") from error
        if rows != entry.rows:
            raise self._damaged(entry, f"with {entry.rows} rows; it has {rows}")
        path.unlink()

    def _is_replaced(self) -> bool:
        current = ObjectFolder(self.store, self.name).read_version().manifest
        return current is not None and current.attempt != self.manifest.attempt

    def _replaced(self) -> ConcurrentWriteError:
        return ConcurrentWriteError(
            f"{self.uri} was written again while it was read.",
            advice="Nothing was loaded. A retry of the task loads what is there now.",
        )

    def _damaged(self, entry: Entry, fault: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"{self.uri} is damaged: its manifest lists {entry.name}, {fault}.",
            advice="Nothing was loaded. Clear the task that writes this folder, so that it is "
            "written again.",
        )


def open_folder(store: ObjectStore, name: str) -> FinishedFolder:
    """Read a folder's manifest.

    :param store: the bucket.
    :param name: the folder's name in it.
    :raises InvalidArgumentError: if it does not exist or cannot be read.
    """
    version = ObjectFolder(store, name).read_version()
    if version.manifest is not None and _is_whole(version.manifest):
        return FinishedFolder(store, name, version.manifest)
    fault = "its manifest.json cannot be read" if version.generation else "it has no manifest.json"
    raise InvalidArgumentError(
        f"{store.uri(name)} is not a finished folder: {fault}.",
        advice="Nothing was loaded. Pass folders that EngagementToGCSOperator has written, or its "
        ".output, and run this task after it.",
    )


def _is_whole(manifest: Manifest) -> bool:
    """Return whether a manifest has the fields that a load reads."""
    plan = manifest.summary.get("plan", {})
    return (
        manifest.layout in LAYOUTS
        and {"account", "tweets", "window"}.issubset(manifest.summary)
        and {"endpoint", "groupings"}.issubset(plan)
    )


def folder_uris(value: object) -> list[str]:
    """Read which folders the parameter ``uris`` names, each once, in their first order.

    :param value: the URI of a folder, of its manifest or of one of its objects; what
        ``EngagementToGCSOperator`` returns; a list of these; text of one of these, as JSON or
        Python.
    :raises InvalidArgumentError: if it has another form.
    """
    return list(dict.fromkeys(_folders_in(value, "uris")))


def _folders_in(value: object, where: str) -> Iterator[str]:
    if isinstance(value, str) and is_given(value):
        parsed = parse_literal(value) if value.lstrip().startswith(("[", "(", "{", '"')) else value
        yield from [_folder_of(value, where)] if parsed == value else _folders_in(parsed, where)
    elif isinstance(value, Mapping):
        if "uris" not in value:
            raise InvalidArgumentError(
                f"{where} is an object without 'uris'.",
                advice="Pass what EngagementToGCSOperator returns.",
            )
        yield from _folders_in(value["uris"], f"{where}['uris']")
    elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        for index, item in enumerate(value):
            yield from _folders_in(item, f"{where}[{index}]")
    else:
        raise InvalidArgumentError(
            f"{where} is {value!r}; it must be the URI of a folder, such as "
            "'gs://bucket/engagement/totals/acme/2026-01-01T000000Z/0123456789abcdef', a list of "
            "them, or what EngagementToGCSOperator returns."
        )


def _folder_of(uri: str, where: str) -> str:
    """Return the URI of the folder that a folder's, a manifest's or a part's URI names."""
    folder = uri.strip().rstrip("/")
    above, _, name = folder.rpartition("/")
    if name == MANIFEST or OWN_NAME.fullmatch(name):
        folder = above
    if not re.fullmatch(r"gs://[^/]+/.+", folder):
        raise InvalidArgumentError(
            f"{where} is {uri!r}; it must be the URI of a folder in Google Cloud Storage, such as "
            "'gs://bucket/folder'."
        )
    return folder
