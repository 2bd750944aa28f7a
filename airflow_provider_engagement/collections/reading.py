"""Read a collection: from values, or from the files that a URI or a path names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError, check_one_of
from airflow_provider_engagement.collections.collection import CollectionReader
from airflow_provider_engagement.collections.files import (
    GcsFiles,
    LocalFiles,
    expand_uri,
    split_uri,
)
from airflow_provider_engagement.collections.json_documents import read_value
from airflow_provider_engagement.collections.records import (
    Place,
    ReadOptions,
    Source,
    TweetRecord,
)
from airflow_provider_engagement.collections.tweet_ids import is_uri, tweet_ids_from_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from google.cloud.storage import Client

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
    if isinstance(value, (list, tuple)) and any(map(_is_tweet, value)):
        reader.add_value(value)
    else:
        reader.add(map(TweetRecord, tweet_ids_from_value(value, id_column=options.id_column)))
    return reader


def _is_tweet(item: object) -> bool:
    """Return whether an item is a Tweet object, not a row of a query: it has nested values or text."""
    return isinstance(item, dict) and (
        "text" in item or any(isinstance(each, (dict, list)) for each in item.values())
    )
