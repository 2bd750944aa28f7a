"""Store finished requests in a bucket until the pull is written, for a retry to resume from.

A checkpoint is one object, named by its request: the objects that exist are the only record of how
far a pull has come. The folder's name identifies what is asked and the life of the task, so that
another question or a Clear starts afresh.

Once the pull is written, its result is written before the checkpoints are deleted, and deleted
after them.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from airflow_provider_engagement.pull.results import PullResult
from airflow_provider_engagement.rows.flatten import RequestResult
from airflow_provider_engagement.rows.schema import LONG, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.api.query import PlannedRequest
    from airflow_provider_engagement.sinks.base import ObjectStore

__all__ = ["CheckpointStore"]

log = logging.getLogger(__name__)

_SCHEMA: Final = arrow_schema(LONG)
_FACTS: Final = b"engagement"
_ID_SETS: Final = ("counted", "unavailable", "forbidden", "unresolved")
_OPTIONS: Final = {"compression": "zstd"}

_CHECKPOINT: Final = re.compile(r"/[0-9a-f]{40}\.arrow$")
_CONTENT_TYPE: Final = "application/octet-stream"
_RESULT: Final = "result.json"

# As many as a pull sends at once by default.
_DELETE_THREADS: Final = 8

# What reading a damaged object, or one of another version of this package, may raise.
_UNREADABLE: Final = (
    pa.ArrowException,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OSError,
)

# A run is retried within days. What is older was left by a worker that was killed in its last try.
_MAX_AGE: Final = timedelta(days=7)

# Objects that one pull sweeps, so that no pull spends minutes on what others left.
_MAX_SWEPT: Final = 1000

# The names that this provider makes below the root: checkpoints, files on their way to BigQuery,
# and the objects that test permissions.
_OWN_NAME: Final = re.compile(
    r"(?P<day>\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))/"
    r"(?:[0-9a-f]{16}/(?:[0-9a-f]{40}\.arrow|result\.json)"
    r"|_engagement_staging_[^/]+_[0-9a-f]{32}/part-\d{5}\.parquet"
    r"|engagement-probe-[0-9a-f]{12})"
)


@dataclass(slots=True)
class CheckpointStore:
    """The checkpoints of one pull, in ``{root}/{day}/{name}/``.

    :param store: the bucket.
    :param root: the folder of the checkpoints of all pulls.
    :param day: the UTC date on which the run began: the same in every try.
    :param name: identifies the pull and the life of its task: 16 hexadecimal digits.
    """

    store: ObjectStore
    root: str
    day: date
    name: str
    _found: frozenset[str] = frozenset()
    _has_result: bool = False

    @property
    def folder(self) -> str:
        """The pull's folder."""
        return f"{self.root}/{self.day.isoformat()}/{self.name}"

    def find(self) -> int:
        """List the checkpoints of earlier tries, and return how many there are."""
        names = self.store.names(f"{self.folder}/")
        self._found = frozenset(name for name in names if _CHECKPOINT.search(name))
        self._has_result = self._result_name in names
        return len(self._found)

    def earlier_result(self) -> PullResult | None:
        """Return the result of an earlier try that has written all; None if none has."""
        stored = self.store.read(self._result_name) if self._has_result else None
        if stored is None:
            return None
        try:
            return PullResult.from_json(stored.data)
        except _UNREADABLE:
            log.warning(
                "%s cannot be read, so the pull lands again.", self.store.uri(self._result_name)
            )
            return None

    def load(self, request: PlannedRequest) -> RequestResult | None:
        """Return what an earlier try got for a request; None if it has to be sent."""
        name = self._name(request)
        stored = self.store.read(name) if name in self._found else None
        if stored is None:
            return None
        try:
            return _unpacked(stored.data, request)
        except _UNREADABLE:
            log.warning("%s cannot be read, so its request is sent again.", self.store.uri(name))
            return None

    def save(self, request: PlannedRequest, result: RequestResult) -> None:
        """Store what a request brought. Several threads may do so at once.

        Another try that runs at the same time may have stored the same request: that is as good,
        and a bucket with a retention policy refuses to replace it.
        """
        name, data = self._name(request), _packed(result)
        if name in self._found:  # it could not be read
            self.store.put_bytes(data, name, _CONTENT_TYPE)
        else:
            self.store.replace(data, name, _CONTENT_TYPE, generation=0)

    def finish(self, result: PullResult) -> None:
        """Record that the pull is written, and delete its checkpoints. Never raises.

        If the task is killed meanwhile, the next try finds the result and sends nothing.

        :param result: what the pull did.
        """
        try:
            self.store.put_bytes(result.to_json(), self._result_name, "application/json")
        except Exception as error:  # noqa: BLE001 - the rows are written, whatever the store raises
            log.warning("%s was not written: %s", self.store.uri(self._result_name), error)
        else:
            if self.clear():
                self._sweep(datetime.now(UTC).date())

    def clear(self) -> bool:
        """Delete the pull's checkpoints. Never raises: a later sweep deletes what is left.

        :returns: whether they are deleted.
        """
        try:
            names = self.store.names(f"{self.folder}/")
            # The result goes last: as long as a checkpoint is there, a retry may need it.
            self._delete([name for name in names if _CHECKPOINT.search(name)])
            self.store.delete(self._result_name)
        except Exception as error:  # noqa: BLE001 - whatever the store raises; a sweep follows
            log.warning("%s was not emptied: %s", self.store.uri(self.folder), error)
            return False
        return True

    def _sweep(self, today: date) -> None:
        """Delete what this provider left below the root more than a week ago. Never raises."""
        oldest = today - _MAX_AGE
        try:
            names = self.store.names(f"{self.root}/", before=f"{self.root}/{oldest.isoformat()}/")
            own = [name for name in names if self._is_own(name, before=oldest)]
            self._delete(own[:_MAX_SWEPT])
        except Exception as error:  # noqa: BLE001 - whatever the store raises; it is only litter
            log.info("%s was not swept: %s", self.store.uri(self.root), error)

    def _is_own(self, name: str, *, before: date) -> bool:
        found = _OWN_NAME.fullmatch(name.removeprefix(f"{self.root}/"))
        return found is not None and found["day"] < before.isoformat()

    def _delete(self, names: Sequence[str]) -> None:
        # One alone first: where a retention policy refuses it, it refuses all.
        for name in names[:1]:
            self.store.delete(name)
        with ThreadPoolExecutor(_DELETE_THREADS, thread_name_prefix="engagement") as threads:
            list(threads.map(self.store.delete, names[1:]))

    @property
    def _result_name(self) -> str:
        return f"{self.folder}/{_RESULT}"

    def _name(self, request: PlannedRequest) -> str:
        window = request.window.body() if request.window else {}
        asked: list[object] = [
            request.tweet_ids,
            request.engagement_types,
            str(request.access),
            window,
        ]
        asked += [[key, part.body()] for key, part in request.parts.items()]
        digest = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        return f"{self.folder}/{digest[:40]}.arrow"


def _packed(result: RequestResult) -> bytes:
    facts = {
        "tweet_ids": result.request.tweet_ids,
        **{name: sorted(getattr(result, name)) for name in _ID_SETS},
        "unsupported": {key: sorted(types) for key, types in result.unsupported.items()},
        "missing": [[tweet_id, sorted(types)] for tweet_id, types in result.missing.items()],
        "unrequested": result.unrequested,
    }
    schema = _SCHEMA.with_metadata({_FACTS: json.dumps(facts).encode()})
    buffer = io.BytesIO()
    for table in (result.rows, result.partial_sums):
        options = pa.ipc.IpcWriteOptions(**_OPTIONS)
        with pa.ipc.new_stream(buffer, schema, options=options) as stream:
            stream.write_table(table.replace_schema_metadata(schema.metadata))
    return buffer.getvalue()


def _unpacked(data: bytes, request: PlannedRequest) -> RequestResult:
    buffer = io.BytesIO(data)
    rows, partial_sums = (pa.ipc.open_stream(buffer).read_all() for _ in range(2))
    facts: dict[str, Any] = json.loads(rows.schema.metadata[_FACTS])
    return RequestResult(
        # Tweets that were known to have no counts had been left out of the request.
        request=replace(request, tweet_ids=tuple(map(str, facts["tweet_ids"]))),
        rows=rows.replace_schema_metadata(None).cast(_SCHEMA),
        partial_sums=partial_sums.replace_schema_metadata(None).cast(_SCHEMA),
        **{name: set(facts[name]) for name in _ID_SETS},
        unsupported={key: frozenset(types) for key, types in facts["unsupported"].items()},
        missing={tweet_id: frozenset(types) for tweet_id, types in facts["missing"]},
        unrequested=int(facts["unrequested"]),
        resumed=True,
    )
