"""Put the Tweets of one or more sources together, each once."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final, TypeVar

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.detection import read_file
from airflow_provider_engagement.collections.records import Place, ReadOptions, Source
from airflow_provider_engagement.collections.rounding import check_rounding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa

    from airflow_provider_engagement.collections.records import Reposts, TweetRecord
    from airflow_provider_engagement.collections.tables import AttributeTables

_Given = TypeVar("_Given")

__all__ = ["Collection", "CollectionReader"]

log = logging.getLogger(__name__)

_KINDS: Final = {
    "reposts": "%s: %d reposts are left out, because the API counts a repost's engagements at its "
    "original. reposts='keep' keeps their ids.",
    "deletes": "%s: %d notices of deleted Tweets were not read.",
    "others": "%s: %d objects are not Tweets and were not read.",
}


@dataclass(frozen=True, slots=True)
class Collection:
    """Tweets, and what their sources say of them.

    :param tweet_ids: the ids, each once, in the order in which they were first read.
    :param attributes: one row a Tweet; :data:`schema.ATTRIBUTES` describes the columns. Where two
        sources differ, the later one stands.
    :param labels: one row a Tweet and label: the columns of the sources that are not attributes.
    :param skipped: how many entries are not in it, by kind: ``reposts``, ``deletes`` (notices of
        deleted Tweets), ``others`` (JSON objects that are not Tweets).
    """

    tweet_ids: list[str]
    attributes: pa.Table
    labels: pa.Table
    skipped: Mapping[str, int]


class CollectionReader:
    """Reads sources, one after another, into one collection.

    :param name: what to call the whole in messages.
    :param options: how to read them.
    :param reposts: ``"drop"`` or ``"keep"`` the ids of reposts.
    """

    def __init__(self, name: str, options: ReadOptions, reposts: Reposts = "drop") -> None:
        self._name = name
        self._options = options
        self._drop_reposts = reposts == "drop"
        self._ids: dict[str, None] = {}
        self._skipped: Counter[str] = Counter()
        self._tables = _new_tables() if options.with_attributes else None

    def read_files(
        self, names: Iterable[str], open_file: Callable[[str], AbstractContextManager[IO[bytes]]]
    ) -> None:
        """Read files.

        :param names: their names or URIs.
        :param open_file: opens one of them.
        :raises InvalidArgumentError: if one cannot be read, with its name and the line.
        """
        for name in names:
            with open_file(name) as file:
                self.add(read_file, file, name)

    def add(
        self, read: Callable[[_Given, Source], Iterable[TweetRecord]], given: _Given, name: str
    ) -> None:
        """Add the Tweets of one source.

        :param read: yields the Tweets of it.
        :param given: an open file, or a value.
        :param name: what to call it in messages.
        :raises InvalidArgumentError: if it holds objects, and none of them is a Tweet.
        """
        source = Source(Place(name), self._options)
        ids, tables = self._ids, self._tables
        found = False
        for record in read(given, source):
            found = True
            if record.tweet_type == "repost" and self._drop_reposts:
                source.skipped["reposts"] += 1
                continue
            ids[record.tweet_id] = None
            if tables is not None:
                tables.add(record)
        if not found and source.skipped["others"]:
            raise InvalidArgumentError(
                f"{name} holds {source.skipped['others']:,} objects, none of which is a Tweet.",
                advice="Pass answers of Tweet lookup or search, an archive's Tweets, or ids.",
            )
        self._skipped += source.skipped

    def tweet_ids(self) -> list[str]:
        """Return the ids, each once; warn of what was skipped.

        :raises InvalidArgumentError: if the ids have been rounded.
        """
        check_rounding(self._ids, name=self._name)
        for kind, count in self._skipped.items():
            log.warning(_KINDS[kind], self._name, count)
        return list(self._ids)

    def collection(self) -> Collection:
        """Return the ids, with what is known of the Tweets.

        :raises InvalidArgumentError: if the ids have been rounded.
        """
        if self._tables is None:
            msg = "This reader reads ids only."
            raise RuntimeError(msg)
        tweet_ids = self.tweet_ids()
        attributes, labels = self._tables.finish(len(tweet_ids))
        return Collection(tweet_ids, attributes, labels, dict(self._skipped))


def _new_tables() -> AttributeTables:
    from airflow_provider_engagement.collections.tables import AttributeTables

    return AttributeTables()
