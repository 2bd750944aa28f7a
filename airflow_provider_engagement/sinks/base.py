"""The interfaces of a destination: what a sink and an object store must be able to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    import pyarrow as pa

__all__ = ["ObjectInfo", "ObjectStore", "Sink", "StoredObject", "WriteResult"]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a sink wrote.

    :param rows: the number of rows.
    :param table: the table that holds them; None where the destination is not a table.
    :param uris: the objects that hold them; empty where the destination is a table.
    :param coverage: the table or object that holds the status of every id.
    :param stats: figures of the write: load jobs, bytes billed, rows inserted and updated.
    :param summary: the entries of the pull's summary that differ for the destination as a whole,
        because it holds the rows of earlier pulls too.
    """

    rows: int
    table: str | None
    uris: tuple[str, ...]
    coverage: str
    stats: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)


class Sink(Protocol):
    """A destination that takes all rows of a pull, or none.

    It is called from one thread, in this order: ``prepare``, ``write`` any number of times, then
    ``commit`` or ``discard``.
    """

    def prepare(self) -> None:
        """Check the destination before the first request.

        :raises InvalidArgumentError: if the destination cannot take these rows.
        """

    def write(self, table: pa.Table) -> None:
        """Take some rows, and keep them out of memory.

        :param table: rows of the long layout.
        """

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:
        """Make everything that was written visible at once.

        :param coverage: the status of every id, table by table.
        :param manifest: a summary of the pull that can be written as JSON.
        :returns: where the rows are.
        """

    def discard(self) -> None:
        """Delete what was written and not committed. Never raises, and may be called twice."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object.

    :param data: its bytes.
    :param generation: identifies the version: every write makes another.
    :param locked_until: until when the store refuses to replace it; None if it does not.
    """

    data: bytes
    generation: int
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store says of an object.

    :param bytes: its size.
    :param md5: the MD5 digest of its bytes, in hexadecimal; None where the store has none.
    """

    bytes: int
    md5: str | None


class ObjectStore(Protocol):
    """A bucket. Every method but ``replace`` may safely be repeated."""

    def uri(self, name: str) -> str:
        """Return an object's URI."""

    def check(self, prefix: str) -> None:
        """Check that objects below a prefix can be written, read, listed and deleted.

        :raises InvalidArgumentError: if the bucket does not exist.
        :raises PermissionDeniedError: naming the permissions that are missing.
        """

    def location(self, prefix: str) -> str | None:
        """Return where the bucket is, such as ``EU``; None if the credentials may not read it.

        :param prefix: a folder that the credentials may list.
        """

    def put_file(self, path: Path, name: str) -> None:
        """Upload a file."""

    def put_bytes(self, data: bytes, name: str, content_type: str) -> None:
        """Upload some bytes."""

    def read(self, name: str) -> StoredObject | None:
        """Read an object, and which version it is; None if it does not exist."""

    def get_file(self, name: str, path: Path) -> bool:
        """Download an object to a file.

        :returns: False if it does not exist.
        """

    def describe(self, prefix: str) -> dict[str, ObjectInfo]:
        """Return what the store says of the objects below a prefix, by their names."""

    def replace(self, data: bytes, name: str, content_type: str, *, generation: int) -> bool:
        """Upload some bytes, if the object is still the version that was read.

        :param generation: of the version that was read; 0 for an object that did not exist.
        :returns: False if another version is there. A repeated upload may also return False
            though its first attempt succeeded: read the object to know.
        """

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""

    def names(self, prefix: str, *, before: str | None = None) -> list[str]:
        """Return the names of the objects below a prefix, sorted.

        :param before: leave out the names from this one on.
        """
