"""Read a collection: from values, or from the files that a URI or a path names."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.collections.collection import CollectionReader
from airflow_provider_engagement.collections.files import (
    GcsFiles,
    LocalFiles,
    expand_uri,
    split_uri,
)
from airflow_provider_engagement.collections.json_documents import read_value
from airflow_provider_engagement.collections.records import (
    ReadOptions,
    Source,
    TweetRecord,
)
from airflow_provider_engagement.collections.tweet_ids import (
    holds_tweets,
    is_uri,
    tweet_ids_from_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from google.cloud.storage import Client

    from airflow_provider_engagement.collections.collection import Collection
    from airflow_provider_engagement.collections.files import FileStore
    from airflow_provider_engagement.collections.records import Reposts

__all__ = ["PlainFiles", "read_path", "read_source"]

_REPOSTS: Final = ("drop", "keep")


def read_source(
    value: object, *, store: FileStore, options: ReadOptions, reposts: Reposts = "drop"
) -> CollectionReader:
    """Read what a parameter ``tweet_ids`` holds or names.

    :param value: ids, or Tweet objects as APIs return them, in any form in which an upstream
        passes a list; or the URI of a file, a folder or a pattern.
    :param store: where the files lie.
    :param options: how to read them.
    :param reposts: ``"drop"`` or ``"keep"`` the ids of reposts.
    :raises InvalidArgumentError: if it cannot be read.
    """
    check_one_of(reposts, _REPOSTS, name="reposts")
    if is_uri(value):
        uri = str(value).strip()
        reader = CollectionReader(uri, options, reposts)
        reader.read_files(expand_uri(uri, store), store.open)
        return reader
    reader = CollectionReader("tweet_ids", options, reposts)
    if holds_tweets(value):
        reader.add(_read_tweets, value, "tweet_ids")
    else:
        reader.add(_read_ids, value, "tweet_ids")
    return reader


def _read_tweets(items: Any, source: Source) -> Iterator[TweetRecord]:
    return itertools.chain.from_iterable(read_value(item, source) for item in items)


def _read_ids(value: object, source: Source) -> Iterator[TweetRecord]:
    return map(TweetRecord, tweet_ids_from_value(value, id_column=source.options.id_column))


def read_path(
    source: object, *, id_column: str | None, reposts: Reposts, store: FileStore | None
) -> Collection:
    """Read a collection: see :func:`airflow_provider_engagement.collections.read_collection`."""
    if isinstance(source, os.PathLike) or (isinstance(source, str) and not is_uri(source)):
        folder = "/" if Path(source).is_dir() or str(source).endswith("/") else ""
        source = f"file://{Path(source).absolute()}{folder}"
    options = ReadOptions(id_column=id_column)
    return read_source(
        source, store=store or PlainFiles(), options=options, reposts=reposts
    ).collection()


class PlainFiles:
    """Files of this machine, and objects of Google Cloud Storage by the default credentials."""

    def __init__(self) -> None:
        self._stores: dict[str, LocalFiles | GcsFiles] = {
            "file": LocalFiles(),
            "gs": GcsFiles(_default_client),
        }

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading.

        :param uri: ``file:///…`` or ``gs://bucket/…``.
        """
        return self._store(uri).open(uri)

    def names(self, prefix: str) -> Iterator[str]:
        """Return the URIs of all files whose URI starts so.

        :param prefix: the start.
        """
        return self._store(prefix).names(prefix)

    def _store(self, uri: str) -> LocalFiles | GcsFiles:
        scheme = split_uri(uri)[0]
        if scheme in self._stores:
            return self._stores[scheme]
        raise InvalidArgumentError(
            f"{uri} cannot be reached: only file:// and gs:// can be read without Airflow.",
            advice="Use read_collection of airflow_provider_engagement.hooks.storage.",
        )


def _default_client(user: str) -> Client:
    from google.cloud.storage import Client

    if user:
        msg = f"gs://{user}@… names an Airflow connection, which is not read here."
        raise InvalidArgumentError(msg)
    return Client()
