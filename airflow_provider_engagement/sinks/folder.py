"""A folder of objects and its manifest, which processes may replace at the same time."""

from __future__ import annotations

import functools
import hashlib
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import PermissionDeniedError
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema
from airflow_provider_engagement.sinks.manifest import Entry, ExistingFolder, Manifest
from airflow_provider_engagement.sinks.writers import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from airflow_provider_engagement.sinks.base import ObjectStore, WriteResult
    from airflow_provider_engagement.sinks.writers import Part

__all__ = ["MANIFEST", "OWN_NAME", "ManifestVersion", "ObjectFolder", "md5_of_file"]

log = logging.getLogger(__name__)

MANIFEST: Final = "manifest.json"

# The names that this provider makes in a folder. No other object is ever deleted.
OWN_NAME: Final = re.compile(
    r"(?:part-\d{5}|coverage)-[0-9a-f]{12}\.(?:parquet|jsonl|jsonl\.gz)"
    r"|engagement-probe-[0-9a-f]{12}"
)

_UNREADABLE: Final = (ValueError, TypeError, KeyError, AttributeError)

# Detects damage, not forgery.
_md5 = functools.partial(hashlib.md5, usedforsecurity=False)


def md5_of_file(path: Path) -> str:
    """Return the MD5 digest of a file, in hexadecimal, as a manifest lists it.

    :param path: the file.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


@dataclass(frozen=True, slots=True)
class ManifestVersion:
    """The manifest as it was read.

    :param generation: identifies the version; 0 where there is no manifest.
    :param manifest: None where it does not exist or cannot be read.
    :param locked_until: until when the bucket refuses to replace it; None if it does not.
    """

    generation: int = 0
    manifest: Manifest | None = None
    locked_until: datetime | None = None


class ObjectFolder:
    """A folder of objects and its manifest.

    :param store: the bucket.
    :param name: the folder's name, without a slash at its end.
    """

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._name = name

    @property
    def uri(self) -> str:
        """The folder's URI."""
        return self._store.uri(self._name)

    def check(self) -> None:
        """Check that the folder can be written to.

        :raises EngagementError: if it cannot, with advice.
        """
        self._store.check(self._name)

    def read_version(self) -> ManifestVersion:
        """Read the manifest, and which version it is."""
        stored = self._store.read(self._path(MANIFEST))
        if stored is None:
            return ManifestVersion()
        try:
            manifest = Manifest.unpacked(stored.data)
        except _UNREADABLE:
            manifest = None
        return ManifestVersion(stored.generation, manifest, stored.locked_until)

    def check_unlocked(self, version: ManifestVersion) -> None:
        """Refuse to replace a manifest that the bucket locks.

        :raises PermissionDeniedError: naming the manifest, and until when it is locked.
        """
        if version.locked_until is not None:
            raise PermissionDeniedError(
                f"{self._store.uri(self._path(MANIFEST))} cannot be replaced before "
                f"{version.locked_until:%Y-%m-%d %H:%M} UTC: a retention policy or hold locks it.",
                advice="Use a bucket without a retention policy, or another object_prefix.",
            )

    def load(self, manifest: Manifest) -> ExistingFolder | None:
        """Read what a manifest lists; None if an object is missing or damaged."""
        missing = manifest.names.difference(self._own_names())
        if missing:
            log.warning("%s lacks %s, which its manifest lists.", self.uri, min(missing))
            return None
        stored = self._store.read(self._path(manifest.coverage.name))
        if stored is None or _md5(stored.data).hexdigest() != manifest.coverage.md5:
            log.warning("%s is not the object that the manifest lists.", manifest.coverage.uri)
            return None
        coverage = read_table(stored.data, arrow_schema(COVERAGE), manifest.format)
        return ExistingFolder(manifest, coverage, self.result(manifest))

    def result(self, manifest: Manifest) -> WriteResult:
        """Return where the rows of a manifest are."""
        return manifest.write_result(self._store.uri(self._path(MANIFEST)))

    def upload(self, part: Part, name: str) -> Entry:
        """Upload a file, and return its entry in the manifest."""
        digest = md5_of_file(part.path)
        path = self._path(name)
        self._store.put_file(part.path, path)
        return Entry(name, self._store.uri(path), part.rows, part.size, digest)

    def replace(self, version: ManifestVersion, manifest: Manifest) -> bool:
        """Replace the manifest, if it is still the version that was read.

        After that, delete the objects that lay in the folder before and are not listed. They
        belong to the old manifest, or to tries that read an older version of it and can therefore
        not succeed any more.

        :returns: whether the new manifest stands, and this try wrote it.
        """
        old = set(self._own_names())
        path, data = self._path(MANIFEST), manifest.packed()
        written = self._store.replace(data, path, "application/json", generation=version.generation)
        if written:
            self.delete(old - manifest.names)
        return written

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects of the folder. Never raises: the next replacement tries again."""
        for name in sorted(names):
            try:
                self._store.delete(self._path(name))
            except Exception as error:  # noqa: BLE001 - whatever the store raises; it is only litter
                log.warning("Objects of %s were not deleted: %s", self.uri, error)
                return

    def _own_names(self) -> list[str]:
        found = (
            path.removeprefix(f"{self._name}/") for path in self._store.names(f"{self._name}/")
        )
        return [name for name in found if OWN_NAME.fullmatch(name)]

    def _path(self, name: str) -> str:
        return f"{self._name}/{name}"
