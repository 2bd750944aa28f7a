"""Which Parquet files of a folder are finished, and what each of them holds."""

from __future__ import annotations

import logging
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.files import split_uri, storage_errors
from airflow_provider_engagement.sinks.folder import MANIFEST, OWN_NAME
from airflow_provider_engagement.sinks.manifest import Manifest
from airflow_provider_engagement.sinks.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.collections.files import FileStore

__all__ = ["CountFiles", "LocalCopies", "find_counts", "find_parquet", "location"]

log = logging.getLogger(__name__)

_PARQUET: Final = ".parquet"
_COVERAGE: Final = ".coverage.parquet"


@dataclass(slots=True)
class CountFiles:
    """The URIs of files with counts.

    :param rows: files of rows, in either layout.
    :param coverage: files that say what happened to each id.
    """

    rows: list[str] = field(default_factory=list)
    coverage: list[str] = field(default_factory=list)


class LocalCopies:
    """Files on this machine, where DuckDB can read them. Other files are copied here.

    :param store: where the files lie.
    """

    def __init__(self, store: FileStore) -> None:
        self.store = store
        self._scratch = ScratchFolder()
        self._copies: dict[str, Path] = {}
        self.written: list[Path] = []

    @property
    def folder(self) -> Path:
        """A temporary folder."""
        return self._scratch.path

    def path(self, uri: str) -> Path:
        """Return the path of a file on this machine, after a copy if it is elsewhere.

        :param uri: the file's URI.
        :raises InvalidArgumentError: if it does not exist.
        """
        scheme, _, path = split_uri(uri)
        if scheme == "file":
            return Path(path)
        if uri not in self._copies:
            copied = self.folder / f"copy-{len(self._copies):06d}.parquet"
            with self.store.open(uri) as reading, copied.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
            self._copies[uri] = copied
        return self._copies[uri]

    def remove(self) -> None:
        """Delete the copies."""
        self._scratch.remove()


def location(uri: str) -> str:
    """Return how DuckDB names a file: a path, or a URI without a connection's id."""
    scheme, authority, path = split_uri(uri)
    return path if scheme == "file" else f"{scheme}://{authority.rpartition('@')[2]}{path}"


def find_counts(uri: str, store: FileStore) -> CountFiles:
    """Return the files below a folder that pulls have finished writing.

    In a folder of ``EngagementToGCSOperator`` those are the files that its manifest lists. A file
    that an operator wrote to ``output_path`` is finished as soon as it exists. Names that start
    with ``.`` or ``_`` are left out.

    :param uri: a folder's URI, which ends in a slash; or that of one file.
    :param store: where the files lie.
    :raises InvalidArgumentError: if there are none, or they are not Parquet.
    """
    found = CountFiles()
    names = _visible(uri, store)
    manifests = {name.removesuffix(MANIFEST) for name in names if _name(name) == MANIFEST}
    for folder in sorted(manifests):
        _add_listed(folder, store, found)
    for name in names:
        folder = name.removesuffix(_name(name))
        if folder in manifests or not name.endswith(_PARQUET):
            continue
        if OWN_NAME.fullmatch(_name(name)):
            log.warning("%s is left out, because its folder has no manifest yet.", name)
        else:
            (found.coverage if name.endswith(_COVERAGE) else found.rows).append(name)
    if not found.rows:
        message = f"table: {uri} holds no finished Parquet files of counts."
        advice = "Name the folder that EngagementToGCSOperator or output_path writes to."
        raise InvalidArgumentError(message, advice=advice)
    return found


def find_parquet(uri: str, store: FileStore) -> list[str]:
    """Return the Parquet files that a URI names; empty if it names other files, or nothing.

    :param uri: a folder's URI, which ends in a slash; or that of one file.
    :param store: where the files lie.
    """
    try:
        return [name for name in _visible(uri, store) if name.endswith(_PARQUET)]
    except InvalidArgumentError:
        return []


def _visible(uri: str, store: FileStore) -> list[str]:
    if not uri.endswith("/"):
        return [uri]
    with storage_errors(uri):
        return sorted(name for name in store.names(uri) if _is_visible(name.removeprefix(uri)))


def _is_visible(path: str) -> bool:
    return not re.search(r"(?:^|/)[._]", path)


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]


def _add_listed(folder: str, store: FileStore, found: CountFiles) -> None:
    with store.open(folder + MANIFEST) as file:
        text = file.read()
    try:
        manifest = Manifest.unpacked(text)
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("%s is left out, because its manifest cannot be read.", folder)
        return
    if manifest.format != "parquet":
        message = f"table: {folder} holds {manifest.format} files, and only Parquet can be read."
        raise InvalidArgumentError(message, advice="Write it with file_format='parquet'.")
    # By their names, because a folder may have been copied from where it was written.
    found.rows += _in(folder, (entry.name for entry in manifest.objects))
    found.coverage += _in(folder, [manifest.coverage.name])


def _in(folder: str, names: Iterable[str]) -> list[str]:
    return [folder + name for name in names]
