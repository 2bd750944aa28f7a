"""Where the rows of a pull go: what a destination has to be able to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

__all__ = ["Sink", "WriteResult"]


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a pull left behind.

    :param rows: rows handed over.
    :param table: the table that holds them, where it is a table.
    :param uris: the objects that hold them, where they are objects.
    :param coverage: where the status of every id stands: a table or an object.
    :param stats: what it took: load jobs, bytes billed, rows inserted and updated.
    """

    rows: int
    table: str | None
    uris: tuple[str, ...]
    coverage: str
    stats: dict[str, Any] = field(default_factory=dict)


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
        """Take some rows, in the schema of the layout, and keep them out of memory."""

    def commit(self, coverage: pa.Table, manifest: Mapping[str, object]) -> WriteResult:
        """Make everything that was written visible at once.

        :param coverage: what became of every id.
        :param manifest: a summary of the pull that turns into JSON.
        :returns: where the rows are.
        """

    def discard(self) -> None:
        """Leave nothing half-written behind. Never raises, and may be called twice."""
