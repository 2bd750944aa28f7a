"""Read ids one a line, and tables in CSV: commas, semicolons or tabs."""

from __future__ import annotations

import csv
import itertools
import re
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.collections.columns import Columns
from airflow_provider_engagement.collections.records import TweetRecord
from airflow_provider_engagement.collections.tweet_ids import (
    find_id_name,
    is_plain_id,
    join_tags,
    parse_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.collections.lines import Lines
    from airflow_provider_engagement.collections.records import Place, Source

__all__ = ["read_delimited"]

_SEPARATORS: Final = re.compile(r"[\s,;]+")
_ID_START: Final = re.compile(
    r"[\"'=]*(?:\d|id:\d|tag:|https?://|(?:\w+\.)?(?:x|twitter)\.com/)", re.IGNORECASE
)
_DELIMITERS: Final = (",", ";", "\t")

_ONE_A_LINE: Final = (
    "A file without a header holds one id a line. If it has other columns, give it a header that "
    "names the ids' column tweet_id; R writes row names unless row.names = FALSE."
)

_CSV_ADVICE: Final = (
    "Quote values that hold the separator, and double the quotes in them; R writes row names "
    "unless row.names = FALSE."
)


def read_delimited(first: str, lines: Lines, source: Source) -> Iterator[TweetRecord]:
    """Read a table with a header, or a file of ids without one.

    :param first: the first line that is not blank.
    :param lines: the lines after it.
    :param source: its place, and how to read it.
    :raises InvalidArgumentError: if it cannot be read, with the line and never its content.
    """
    lines.check_length(first)
    chosen = source.options.id_column
    if _ID_START.match(first.lstrip()) and (chosen is None or chosen not in first):
        yield from map(TweetRecord, _read_ids(first, lines, source.place))
    else:
        yield from _read_table(first, lines, source)


def _read_ids(first: str, lines: Lines, place: Place) -> Iterator[str]:
    ids = _tokens(first)
    if len(ids) > 1:
        yield from _read_single_line(ids, lines, place)
        return
    longest, last = 0, ""
    for line in itertools.chain([first], lines):
        tweet_id: str | None = line.strip()
        if not tweet_id or not is_plain_id(tweet_id):
            tweet_id = _only_token(line, place)
        if tweet_id is not None:
            longest, last = max(longest, len(last)), tweet_id
            yield tweet_id
    _check_end(last, longest, lines, place)


def _read_single_line(tokens: list[str], lines: Lines, place: Place) -> Iterator[str]:
    number = place.line
    ids = [parse_id(token, place) for token in tokens]
    yield from ids
    if any(line.strip() for line in lines):
        place.line = number
        raise place.error(f"holds {len(tokens):,} values.", _ONE_A_LINE)
    _check_end(ids[-1], max(map(len, ids[:-1])), lines, place)


def _only_token(line: str, place: Place) -> str | None:
    tokens = _tokens(line)
    if len(tokens) > 1:
        raise place.error(f"holds {len(tokens):,} values.", _ONE_A_LINE)
    return parse_id(tokens[0], place) if tokens else None


def _tokens(line: str) -> list[str]:
    parts = (part.strip("\"'") for part in _SEPARATORS.split(join_tags(line)))
    return [part.removeprefix('="') for part in parts if part]


def _check_end(last: str, longest: int, lines: Lines, place: Place) -> None:
    """Refuse a last line that may have been cut inside its id, which would be another Tweet's."""
    if not lines.ended and len(last) < longest:
        raise place.error(
            "is the last, has no line break, and its id is shorter than others before it: the "
            "file may have been cut.",
            "If the file is whole, end it with a line break.",
        )


def _read_table(first: str, lines: Lines, source: Source) -> Iterator[TweetRecord]:
    place = source.place
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(rows)]
        column = _id_position(header, source)
        columns = Columns(header, column)
        row: list[str] = []
        longest, last = 0, ""
        for row in rows:
            if len(row) > len(header):
                _check_width(row, header, place)
            tweet_id = _id_of_row(row, column, place)
            if tweet_id is not None:
                longest, last = max(longest, len(last)), tweet_id
                yield _record(tweet_id, row, columns, source)
    except csv.Error:
        raise place.error(
            "is not CSV: a quote is not closed, or is followed by text, or a value is too long.",
            _CSV_ADVICE,
        ) from None
    if not lines.ended and row and len(row) < len(header):
        raise place.error("is the last, and has fewer values than the header: the file was cut.")
    if column == len(header) - 1:
        _check_end(last, longest, lines, place)


def _id_position(header: list[str], source: Source) -> int:
    name = find_id_name(header, source.options.id_column, where=source.place)
    if name is not None:
        return header.index(name)
    if source.options.id_column is not None:
        raise source.place.error(
            "is the header, and has no column of the name that id_column holds."
        )
    raise source.place.error(
        "is neither an id nor a header that names the ids' column.",
        "Name it tweet_id, post_id, status_id, id_str or id, or pass its name as id_column.",
    )


def _record(tweet_id: str, row: list[str], columns: Columns, source: Source) -> TweetRecord:
    if source.options.with_attributes:
        return columns.read(tweet_id, row)
    return TweetRecord(tweet_id, tweet_type="repost" if columns.is_repost(row) else None)


def _id_of_row(row: list[str], column: int, place: Place) -> str | None:
    """Return the id in a row, None if the row is blank."""
    cell = row[column] if column < len(row) else ""
    if cell and is_plain_id(cell):
        return cell
    if not "".join(row).strip():
        return None
    if column >= len(row):
        raise place.error("ends before the column of the ids.")
    return parse_id(cell, place)


def _check_width(row: list[str], header: list[str], place: Place) -> None:
    if any(row[len(header) :]):
        raise place.error(
            f"has {len(row)} values, and the header {len(header)}.",
            _CSV_ADVICE,
        )
