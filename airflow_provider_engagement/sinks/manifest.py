"""The manifest of a folder of objects: the list of what belongs to it.

::

    {
      "attempt": "6c1f0e9a7b52",            identifies the try that wrote it
      "fingerprint": "...",                 identifies what was asked
      "layout": "long",
      "format": "parquet",
      "shard": "2/8",                       null for a whole collection
      "rows": 1200,
      "objects": [{"name", "uri", "rows", "bytes", "md5"}, ...],
      "coverage": {"name", "uri", "rows", "bytes", "md5"},
      "collected_at": "2026-11-21T08:00:00+00:00",
      "summary": {...}
    }
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

from airflow_provider_engagement.sinks.base import WriteResult

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

__all__ = ["Entry", "ExistingFolder", "Manifest"]

# Entries of the summary that are about all rows of the folder, whichever pull wrote them.
_OF_FOLDER: Final = ("rows", "tweets")


@dataclass(frozen=True, slots=True)
class Entry:
    """One object of a folder.

    :param name: its name within the folder.
    :param uri: its URI.
    :param rows: the number of its rows.
    :param bytes: its size.
    :param md5: the MD5 digest of its bytes, in hexadecimal.
    """

    name: str
    uri: str
    rows: int
    bytes: int
    md5: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What belongs to a folder.

    :param attempt: identifies the try that wrote it.
    :param fingerprint: identifies what was asked, apart from the ids.
    :param layout: ``long`` or ``wide``.
    :param format: ``parquet``, ``jsonl`` or ``jsonl.gz``.
    :param objects: the objects that hold rows.
    :param coverage: the object that holds the status of every id.
    :param collected_at: when the last pull that wrote here ended.
    :param summary: of that pull; its rows and Tweets are those of the folder.
    :param shard: which part of a collection it holds, such as ``2/8``; None for all of it.
    """

    attempt: str
    fingerprint: str
    layout: str
    format: str
    objects: tuple[Entry, ...]
    coverage: Entry
    collected_at: datetime
    summary: dict[str, Any] = field(default_factory=dict)
    shard: str | None = None

    @property
    def rows(self) -> int:
        """The number of rows in all objects."""
        return sum(entry.rows for entry in self.objects)

    @property
    def names(self) -> set[str]:
        """The names of all objects, within the folder."""
        return {entry.name for entry in (*self.objects, self.coverage)}

    def packed(self) -> bytes:
        """Return it as JSON."""
        content = {**asdict(self), "rows": self.rows, "collected_at": self.collected_at.isoformat()}
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def unpacked(cls, text: bytes) -> Self:
        """Read it from JSON.

        :raises ValueError, TypeError, KeyError, AttributeError: if it is not a manifest.
        """
        content = dict(json.loads(text))
        del content["rows"]
        content["objects"] = tuple(Entry(**entry) for entry in content["objects"])
        content["coverage"] = Entry(**content["coverage"])
        content["collected_at"] = datetime.fromisoformat(content["collected_at"]).astimezone(UTC)
        return cls(**content)

    def write_result(self, uri: str) -> WriteResult:
        """Return where the rows are.

        :param uri: the manifest's own.
        """
        return WriteResult(
            rows=self.rows,
            table=None,
            uris=tuple(entry.uri for entry in self.objects),
            coverage=self.coverage.uri,
            stats={
                "objects": len(self.objects),
                "bytes": sum(entry.bytes for entry in self.objects),
                "manifest": uri,
            },
            summary={name: self.summary[name] for name in _OF_FOLDER if name in self.summary},
        )


@dataclass(frozen=True, slots=True)
class ExistingFolder:
    """A folder that an earlier run has written, with all its objects.

    :param manifest: its manifest.
    :param coverage: the status of every id that was asked for, in the schema of the coverage.
    :param result: where its rows are.
    """

    manifest: Manifest
    coverage: pa.Table
    result: WriteResult

    @property
    def tweet_ids(self) -> frozenset[str]:
        """The ids that were asked for, whether or not the service had counts of them."""
        return frozenset(self.coverage.column("tweet_id").to_pylist())

    def covers(self, tweet_ids: Iterable[str]) -> bool:
        """Return whether all of some ids were asked for."""
        return self.tweet_ids.issuperset(tweet_ids)
