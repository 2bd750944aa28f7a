"""The Tweets that the arguments of a command name: ids, files, patterns, standard input."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.collection import CollectionReader
from airflow_provider_engagement.collections.detection import read_file
from airflow_provider_engagement.collections.files import expand_uri, is_pattern, split_uri
from airflow_provider_engagement.collections.reading import PlainFiles
from airflow_provider_engagement.collections.records import ReadOptions, TweetRecord
from airflow_provider_engagement.collections.tweet_ids import is_uri, parse_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from airflow_provider_engagement.collections.files import FileStore
    from airflow_provider_engagement.collections.records import Reposts, Source

__all__ = ["STANDARD_STREAM", "file_uri", "read_sources"]

STANDARD_STREAM: Final = "-"


def read_sources(
    sources: Sequence[str], *, id_column: str | None, reposts: Reposts, with_attributes: bool
) -> CollectionReader:
    """Read Tweets from what the command line names.

    :param sources: ids, posts' URLs, paths, URIs, patterns, or ``-`` for the standard input.
    :param id_column: the column, or key, that holds the ids; None to go by the known names.
    :param reposts: ``"drop"`` or ``"keep"`` the ids of reposts.
    :param with_attributes: whether to read what is known of the Tweets.
    :returns: a reader that has read all of them.
    :raises InvalidArgumentError: if one cannot be read.
    """
    options = ReadOptions(id_column=id_column, with_attributes=with_attributes)
    reader = CollectionReader("The collection", options, reposts)
    store = _Files()
    for number, text in enumerate(sources, start=1):
        if text == STANDARD_STREAM:
            reader.add(read_file, sys.stdin.buffer, "standard input")
        elif is_uri(text) or _is_path(text):
            reader.read_files(expand_uri(file_uri(text), store), store.open)
        else:
            reader.add(_read_id, text, f"Argument {number}")
    return reader


def file_uri(text: str) -> str:
    """Return the URI of a file that the command line names.

    :param text: a path of this machine, or a URI.
    """
    if is_uri(text):
        return text
    ending = "/" if text.endswith("/") or Path(text).is_dir() else ""
    return f"file://{Path(text).expanduser().absolute()}{ending}"


def _is_path(text: str) -> bool:
    """Return whether an argument names a file and is not an id, which digits and URLs are."""
    if text.isdigit() or "://" in text:
        return False
    has_ending = Path(text).suffix[1:2].isalpha()
    return Path(text).exists() or is_pattern(text) or "/" in text or has_ending


def _read_id(text: str, source: Source) -> Iterator[TweetRecord]:
    try:
        yield TweetRecord(parse_id(text, source.place))
    except InvalidArgumentError as error:
        message = f"{error.message} It is no file either."
        raise InvalidArgumentError(message, advice=error.advice) from None


class _Files:
    """Files of this machine and of Google Cloud Storage; others by Airflow's object storage."""

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading."""
        return self._store(uri).open(uri)

    def names(self, prefix: str) -> Iterable[str]:
        """Return the URIs of all files whose URI starts so."""
        return self._store(prefix).names(prefix)

    @staticmethod
    def _store(uri: str) -> FileStore:
        scheme, authority, _ = split_uri(uri)
        if scheme == "file" or (scheme == "gs" and "@" not in authority):
            return PlainFiles()
        from airflow_provider_engagement.hooks.storage import AirflowFiles

        return AirflowFiles()
