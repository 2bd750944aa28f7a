"""Read a file of any format that holds Tweets or their ids, which its start identifies."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Final

from airflow_provider_engagement.collections.delimited import read_delimited
from airflow_provider_engagement.collections.json_documents import ARCHIVE, read_json
from airflow_provider_engagement.collections.lines import Lines
from airflow_provider_engagement.collections.streams import open_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.records import Source, TweetRecord

__all__ = ["read_file"]

_JSON: Final = ("{", "[", ARCHIVE)


def read_file(file: IO[bytes], source: Source) -> Iterator[TweetRecord]:
    """Read the Tweets of a file, each as often as it stands there.

    :param file: the open file, plain, gzip, or zip with one member. It need not seek.
    :param source: what to call it, and how to read it.
    :raises InvalidArgumentError: if it cannot be read, with the line and never its content.
    """
    with open_text(file, source.place) as text:
        lines = Lines(text, source.place)
        first = lines.first()
        if first:
            read = read_json if first.lstrip().startswith(_JSON) else read_delimited
            yield from read(first, lines, source)
