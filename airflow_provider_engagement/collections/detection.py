"""Read a file of any format that holds Tweets or their ids."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from airflow_provider_engagement.collections.delimited import read_delimited
from airflow_provider_engagement.collections.streams import open_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.records import Source, TweetRecord

__all__ = ["read_file"]


def read_file(file: IO[bytes], source: Source) -> Iterator[TweetRecord]:
    """Read the Tweets of a file, each as often as it stands there.

    :param file: the open file, plain, gzip, or zip with one member. It need not seek.
    :param source: what to call it, and how to read it.
    :raises InvalidArgumentError: if it cannot be read, with the line and never its content.
    """
    with open_text(file, source.place) as text:
        yield from read_delimited(text, source)
