"""Run sinks one storage operation at a time, in threads or processes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bigquery_checks import LATER, coverage_row, coverage_table, lifetime_row, rows_table
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from airflow_provider_engagement.api.errors import ConcurrentWriteError
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.objects import ObjectSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from airflow_provider_engagement.sinks.base import StoredObject

T = TypeVar("T")

GO, LOSE, FAIL, KILL = "go", "lose the answer", "fail", "kill"

FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Try:
    """One try of a task.

    :param folder: its folder.
    :param value: the count in each of its rows.
    :param tweet_ids: the Tweets that it asks for, a row and a part each.
    :param is_snapshot: whether the first answers stand.
    """

    folder: str
    value: int
    tweet_ids: tuple[str, ...]
    is_snapshot: bool

    def run(self, store: GcsStore) -> tuple[str, ...]:
        """Write the rows as a pull does, and return the URIs."""
        sink = ObjectSink(
            store,
            self.folder,
            fingerprint="types",
            part_bytes=1,
            file_format="jsonl",
            first_answer_stands=self.is_snapshot,
        )
        try:
            return self._write(sink)
        except BaseException:
            sink.discard()
            raise

    def _write(self, sink: ObjectSink) -> tuple[str, ...]:
        existing, known = sink.existing(), frozenset[str]()
        if existing is not None:
            known = existing.tweet_ids
            if existing.covers(self.tweet_ids):
                return existing.result.uris
            sink.extend(existing)
        sink.prepare()
        for tweet_id in self.tweet_ids:
            if tweet_id not in known:
                sink.write(rows_table(lifetime_row(tweet_id=tweet_id, value=self.value)))
        ended = LATER + timedelta(seconds=self.value)
        coverage = (coverage_row(tweet_id=item, collected_at=ended) for item in self.tweet_ids)
        return sink.commit([coverage_table(*coverage)], {"rows": len(self.tweet_ids)}).uris


class KilledError(BaseException):
    """The process ends here."""


class SteppingStore(GcsStore):
    """A bucket that waits for a command before every operation."""

    def __init__(self, client: Client, bucket: str, channel: Connection) -> None:
        super().__init__(client, bucket)
        self._channel = channel
        self.is_killed = False

    def check(self, prefix: str) -> None:
        self._step("check", lambda: super(SteppingStore, self).check(prefix))

    def put_file(self, path: Path, name: str) -> None:
        self._step("put", lambda: super(SteppingStore, self).put_file(path, name))

    def read(self, name: str) -> StoredObject | None:
        return self._step("read", lambda: super(SteppingStore, self).read(name))

    def replace(self, data: bytes, name: str, content_type: str, *, generation: int) -> bool:
        replace = super().replace
        return self._step(
            "replace", lambda: replace(data, name, content_type, generation=generation)
        )

    def delete(self, name: str) -> None:
        self._step("delete", lambda: super(SteppingStore, self).delete(name))

    def names(self, prefix: str, *, before: str | None = None) -> list[str]:
        names = super().names
        return self._step("names", lambda: names(prefix, before=before))

    def _step(self, operation: str, act: Callable[[], T]) -> T:
        if self.is_killed:
            raise KilledError
        self._channel.send(operation)
        command = self._channel.recv()
        if command == KILL:
            self.is_killed = True
            raise KilledError
        if command == FAIL:
            raise ConnectionError(operation)
        result = act()
        if command == LOSE:
            raise ConnectionError(operation)
        return result


def serve(channel: Connection, url: str, bucket: str) -> None:
    """Run the tries that come through a channel, until None does."""
    client = Client(
        project="test",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # it has no types
        client_options=ClientOptions(api_endpoint=url),
    )
    while (task := channel.recv()) is not None:
        try:
            end: tuple[str, ...] | str = task.run(SteppingStore(client, bucket, channel))
        except (KilledError, ConcurrentWriteError, ConnectionError) as error:
            end = type(error).__name__
        channel.send((FINISHED, end))


class Writer:
    """The other end of ``serve``.

    :param channel: to a thread or process that serves.
    """

    def __init__(self, channel: Connection) -> None:
        self._channel = channel
        self.waits_for: str | None = None
        self.end: Any = None
        self.steps = 0

    def start(self, task: Try) -> Self:
        """Start a try, up to its first operation."""
        self.end, self.steps = None, 0
        self._channel.send(task)
        self._receive()
        return self

    def step(self, command: str = GO) -> bool:
        """Let one operation happen, and return whether the try goes on."""
        assert self.waits_for is not None
        self.steps += 1
        self._channel.send(command)
        self._receive()
        return self.waits_for is not None

    def stop(self) -> None:
        """End the try that runs, if one does, and stop serving."""
        while self.waits_for is not None:
            self.step(KILL)
        self._channel.send(None)

    def _receive(self) -> None:
        message = self._channel.recv()
        is_end = isinstance(message, tuple)
        self.waits_for = None if is_end else message
        self.end = message[1] if is_end else None
