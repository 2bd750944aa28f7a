"""What is known of Tweets, from files: Parquet tables, or any collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from airflow_provider_engagement.collections.reading import read_source
from airflow_provider_engagement.collections.records import ReadOptions
from airflow_provider_engagement.collections.schema import ATTRIBUTES
from airflow_provider_engagement.reports.sources import LABEL_TYPES, TWEET_TYPES, empty

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_engagement.collections.files import FileStore

__all__ = ["labels_query", "tweets_query", "write_collection"]

_NOT_LABELS = {"filename", *(each.name for each in ATTRIBUTES)}


def write_collection(uri: str, store: FileStore, folder: Path) -> tuple[Path, Path]:
    """Read a collection of any format, and write it as Parquet.

    :param uri: the collection: a file, a folder or a pattern.
    :param store: where the files lie.
    :param folder: where to write.
    :returns: the files of the Tweets and of their labels.
    :raises InvalidArgumentError: if it cannot be read.
    """
    options = ReadOptions(with_attributes=True)
    collection = read_source(uri, store=store, options=options, reposts="keep").collection()
    paths = folder / "tweets.parquet", folder / "labels.parquet"
    pq.write_table(collection.attributes, paths[0])
    pq.write_table(collection.labels, paths[1])
    return paths


def tweets_query(table: str, names: Sequence[str]) -> str:
    """Return the GoogleSQL query for one row a Tweet. Of several files, the last one counts.

    :param table: a table with ``tweet_id`` and ``filename``, quoted.
    :param names: the names of its columns.
    """
    selected = ", ".join(
        f"CAST({f'`{name}`' if name in names else 'NULL'} AS {kind}) AS `{name}`"
        for name, kind in TWEET_TYPES.items()
    )
    return (
        f"SELECT {selected} FROM {table} WHERE tweet_id IS NOT NULL "  # noqa: S608 - names are checked
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY tweet_id ORDER BY filename DESC) = 1"
    )


def labels_query(table: str, names: Sequence[str]) -> str:
    """Return the GoogleSQL query for one row a Tweet and label. Of several files, the last counts.

    :param table: a table of labels with ``tweet_id``, ``label``, ``value`` and ``filename``; or a
        table of Tweets, whose other columns than those of the Tweets are labels.
    :param names: the names of its columns.
    """
    if set(LABEL_TYPES) <= set(names):
        source = table
    else:
        others = [f"`{name}`" for name in names if name not in _NOT_LABELS]
        if not others:
            return empty(LABEL_TYPES.items())
        cast = ", ".join(f"CAST({name} AS STRING) AS {name}" for name in others)
        source = (
            f"(SELECT * FROM (SELECT tweet_id, filename, {cast} FROM {table}) "  # noqa: S608 - as above
            f"UNPIVOT (value FOR label IN ({', '.join(others)})))"
        )
    return (
        f"SELECT tweet_id, label, value FROM {source} WHERE value <> '' "  # noqa: S608 - as above
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY tweet_id, label ORDER BY filename DESC) = 1"
    )
