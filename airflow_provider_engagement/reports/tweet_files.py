"""Tweets' texts, attributes and labels from files: Parquet tables, or any collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.reading import read_source
from airflow_provider_engagement.collections.records import ReadOptions
from airflow_provider_engagement.collections.schema import ATTRIBUTES
from airflow_provider_engagement.reports.folders import find_parquet
from airflow_provider_engagement.reports.sources import LABEL_TYPES, TWEET_TYPES, empty

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.reports.folders import LocalCopies

__all__ = ["TweetFiles", "find_tweets", "labels_query", "tweets_query"]

_NOT_LABELS = {"filename", *(each.name for each in ATTRIBUTES)}


@dataclass(frozen=True, slots=True)
class TweetFiles:
    """The URIs of Parquet files.

    :param tweets: files with the columns of the table of Tweets.
    :param labels: files with the columns of the table of labels; empty if the labels are further
        columns of the Tweets.
    """

    tweets: list[str]
    labels: list[str]


def find_tweets(uri: str, files: LocalCopies) -> TweetFiles:
    """Return the files of the Tweets' attributes and labels.

    Labels are in a folder beside that of the Tweets, ``<folder>_labels/``, as BigQuery exports the
    two tables. A collection of another format is read, and written as Parquet.

    :param uri: a file, a folder or a pattern.
    :param files: where the files lie.
    :raises InvalidArgumentError: if they cannot be read.
    """
    found = find_parquet(uri, files.store)
    if not found:
        return _written(uri, files)
    beside = find_parquet(f"{uri.rstrip('/')}_labels/", files.store) if uri.endswith("/") else []
    return TweetFiles(found, beside)


def _written(uri: str, files: LocalCopies) -> TweetFiles:
    options = ReadOptions(with_attributes=True)
    try:
        reader = read_source(uri, store=files.store, options=options, reposts="keep")
    except InvalidArgumentError as error:
        message = f"tweets_table: {error.message}"
        raise InvalidArgumentError(message, advice=error.advice) from None
    collection = reader.collection()
    paths = files.folder / "tweets.parquet", files.folder / "labels.parquet"
    for path, table in zip(paths, (collection.attributes, collection.labels), strict=True):
        pq.write_table(table, path)
        files.written.append(path)
    return TweetFiles([paths[0].as_uri()], [paths[1].as_uri()])


def tweets_query(table: str, names: Sequence[str], *, is_unique: bool) -> str:
    """Return the GoogleSQL query for one row per Tweet.

    A column's value is that of the last file in which it is not null, as in the table of Tweets.

    :param table: a table with ``tweet_id`` and ``filename``, quoted.
    :param names: the names of its columns.
    :param is_unique: whether it has each Tweet once.
    """
    cast = {
        name: f"CAST({f'`{name}`' if name in names else 'NULL'} AS {kind})"
        for name, kind in TWEET_TYPES.items()
    }
    chosen = (
        cast if is_unique else {name: f"MAX_BY({each}, filename)" for name, each in cast.items()}
    )
    selected = ", ".join(f"{each} AS `{name}`" for name, each in chosen.items())
    grouped = "" if is_unique else "GROUP BY tweet_id"
    return f"SELECT {selected} FROM {table} WHERE tweet_id IS NOT NULL {grouped}"  # noqa: S608 - the names are constants


def labels_query(table: str, names: Sequence[str], *, is_unique: bool) -> str:
    """Return the GoogleSQL query for one row per Tweet and label, from the last file that has it.

    :param table: a table of labels with ``tweet_id``, ``label``, ``value`` and ``filename``; or a
        table of Tweets, whose further columns are labels.
    :param names: the names of its columns.
    :param is_unique: whether it has each Tweet and label once.
    """
    if set(LABEL_TYPES) <= set(names):
        source = table
    else:
        others = [f"`{name}`" for name in names if name not in _NOT_LABELS]
        if not others:
            return empty(LABEL_TYPES.items())
        cast = ", ".join(f"CAST({name} AS STRING) AS {name}" for name in others)
        source = (
            f"(SELECT * FROM (SELECT tweet_id, filename, {cast} FROM {table}) "  # noqa: S608 - the names are of files' columns, in backticks
            f"UNPIVOT (value FOR label IN ({', '.join(others)})))"
        )
    value = "value" if is_unique else "MAX_BY(value, filename) AS value"
    grouped = "" if is_unique else "GROUP BY tweet_id, label"
    return (
        f"SELECT CAST(tweet_id AS STRING) AS tweet_id, label, {value} "  # noqa: S608 - the names are of files' columns, in backticks
        f"FROM {source} WHERE value <> '' {grouped}"
    )
