"""Put the Tweets of one or more sources together, each once."""

from __future__ import annotations

from typing import IO

from airflow_provider_engagement.collections.detection import read_file
from airflow_provider_engagement.collections.records import Place, ReadOptions, Source
from airflow_provider_engagement.collections.rounding import check_rounding

__all__ = ["tweet_ids_from_file"]


def tweet_ids_from_file(file: IO[bytes], *, name: str, id_column: str | None = None) -> list[str]:
    """Read the ids of a file, each once, in their first order.

    :param file: the open file.
    :param name: what to call it in an error.
    :param id_column: which of its columns holds the ids; None to go by the known names.
    :raises InvalidArgumentError: if it cannot be read, or its ids have been rounded. The message
        names the line, and never holds its content.
    """
    source = Source(Place(name), ReadOptions(id_column=id_column, with_attributes=False))
    ids = list(dict.fromkeys(record.tweet_id for record in read_file(file, source)))
    check_rounding(ids, name=name)
    return ids
