"""Finished requests, kept in a bucket until the pull has landed: a retry sends only the others.

A piece is named by what it is for, so that nothing but the pieces themselves says how far a pull
has come: no cursor, no store, no job id can be wrong about it. The folder's name holds what was
asked and in which life of the task, so that another question or a Clear starts afresh.

Once the pull has landed, a note says so before the pieces go, and goes after them.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from airflow_provider_engagement.api.client import Asked
from airflow_provider_engagement.pull.fetched import Fetched
from airflow_provider_engagement.pull.results import PullResult
from airflow_provider_engagement.rows.schema import LONG, arrow_schema

if TYPE_CHECKING:
    from airflow_provider_engagement.api.plan import PlannedRequest
    from airflow_provider_engagement.sinks.objects import ObjectStore

__all__ = ["CheckpointStore"]

log = logging.getLogger(__name__)

_SCHEMA: Final = arrow_schema(LONG)
_FACTS: Final = b"engagement"
_OPTIONS: Final = {"compression": "zstd"}

_ENDING: Final = ".arrow"
_NOTE: Final = "landed.json"

# As many as a pull sends by default.
_DELETED_AT_ONCE: Final = 8

# Nothing that was written by another version, or by another hand, is taken for ours.
_UNREADABLE: Final = (
    pa.ArrowException,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OSError,
)

# What a worker that was killed in its last try has left.
_OLDEST: Final = timedelta(days=7)


@dataclass(slots=True)
class CheckpointStore:
    """The pieces of one pull, in ``{root}/{day}/{name}/``.

    :param store: the bucket.
    :param root: the folder of all pulls' pieces.
    :param day: the day on which the run began: the same in every try, and long ago once nobody
        will come back for the pieces.
    :param name: what tells this pull from all others, and one life of its task from the next.
    """

    store: ObjectStore
    root: str
    day: date
    name: str
    _known: frozenset[str] = frozenset()
    _has_note: bool = False

    @property
    def folder(self) -> str:
        """The pull's folder."""
        return f"{self.root}/{self.day.isoformat()}/{self.name}"

    def find(self, *, today: date) -> int:
        """See which pieces an earlier try has left, and count them; sweep out what is too old.

        :param today: the day that it is.
        """
        names = self.store.names(f"{self.root}/")
        ours = {name for name in names if name.startswith(f"{self.folder}/")}
        self._known = frozenset(name for name in ours if name.endswith(_ENDING))
        self._has_note = self._note in ours
        oldest = f"{self.root}/{(today - _OLDEST).isoformat()}/"
        for name in names:
            if name < oldest and name not in ours:
                self.store.delete(name)
        return len(self._known)

    def outcome(self) -> PullResult | None:
        """Give what an earlier try did if it has landed all; None if it has not."""
        text = self.store.read(self._note) if self._has_note else None
        if text is None:
            return None
        try:
            return PullResult.unpacked(text)
        except _UNREADABLE:
            log.warning("%s cannot be read; all is landed again.", self.store.uri(self._note))
            return None

    def load(self, request: PlannedRequest) -> Fetched | None:
        """Give what an earlier try got for a request; None if it is to be sent."""
        name = self._name(request)
        data = self.store.read(name) if name in self._known else None
        if data is None:
            return None
        try:
            return _unpacked(data, request)
        except _UNREADABLE:
            log.warning("%s cannot be read; its request is sent again.", self.store.uri(name))
            return None

    def save(self, request: PlannedRequest, fetched: Fetched) -> None:
        """Keep what a request brought. Threads may do so side by side."""
        self.store.put_bytes(_packed(fetched), self._name(request), "application/octet-stream")

    def finish(self, outcome: PullResult) -> None:
        """Delete all pieces of a pull that has landed.

        A try that is killed meanwhile leaves the note of it, so that the next one sends nothing.

        :param outcome: what the pull did.
        """
        try:
            self.store.put_bytes(outcome.packed(), self._note, "application/json")
        except Exception:
            # The rows have landed, whatever becomes of this.
            log.warning("%s could not be written.", self.store.uri(self._note), exc_info=True)
        self.clear()

    def clear(self) -> None:
        """Delete all pieces. What cannot be deleted now is swept out in a week."""
        try:
            names = [n for n in self.store.names(f"{self.folder}/") if n != self._note]
            with ThreadPoolExecutor(_DELETED_AT_ONCE, thread_name_prefix="engagement") as threads:
                list(threads.map(self.store.delete, names))
            self.store.delete(self._note)
        except Exception:
            log.warning("%s could not be emptied.", self.store.uri(self.folder), exc_info=True)

    @property
    def _note(self) -> str:
        return f"{self.folder}/{_NOTE}"

    def _name(self, request: PlannedRequest) -> str:
        window = request.window.body() if request.window else {}
        parts = [request.tweet_ids, request.engagement_types, str(request.access), window]
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return f"{self.folder}/{digest[:40]}{_ENDING}"


def _packed(fetched: Fetched) -> bytes:
    facts = {
        "tweet_ids": fetched.request.tweet_ids,
        "forbidden": sorted(fetched.asked.forbidden),
        "unavailable": sorted(fetched.asked.unavailable),
        "unanswered": sorted(fetched.asked.unanswered),
        "seen": sorted(fetched.seen),
        "unsupported": {key: sorted(types) for key, types in fetched.unsupported.items()},
        "lacking": [[whom, sorted(types)] for whom, types in fetched.lacking.items()],
        "strangers": fetched.strangers,
    }
    schema = _SCHEMA.with_metadata({_FACTS: json.dumps(facts).encode()})
    buffer = io.BytesIO()
    for table in (fetched.rows, fetched.parts):
        options = pa.ipc.IpcWriteOptions(**_OPTIONS)
        with pa.ipc.new_stream(buffer, schema, options=options) as stream:
            stream.write_table(table.replace_schema_metadata(schema.metadata))
    return buffer.getvalue()


def _unpacked(data: bytes, request: PlannedRequest) -> Fetched:
    buffer = io.BytesIO(data)
    rows, parts = (pa.ipc.open_stream(buffer).read_all() for _ in range(2))
    facts: dict[str, Any] = json.loads(rows.schema.metadata[_FACTS])
    asked = Asked(
        forbidden=set(facts["forbidden"]),
        unavailable=set(facts["unavailable"]),
        unanswered=set(facts["unanswered"]),
    )
    return Fetched(
        # By then some of its Tweets were known to give nothing, and left out.
        request=replace(request, tweet_ids=tuple(map(str, facts["tweet_ids"]))),
        asked=asked,
        rows=rows.replace_schema_metadata(None).cast(_SCHEMA),
        parts=parts.replace_schema_metadata(None).cast(_SCHEMA),
        seen=set(facts["seen"]),
        unsupported={key: frozenset(types) for key, types in facts["unsupported"].items()},
        lacking={whom: frozenset(types) for whom, types in facts["lacking"]},
        strangers=int(facts["strangers"]),
        kept=True,
    )
