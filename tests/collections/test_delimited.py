from __future__ import annotations

import csv
import gzip
import io
import re
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID
from airflow_provider_engagement.collections.collection import CollectionReader
from airflow_provider_engagement.collections.detection import read_file
from airflow_provider_engagement.collections.records import ReadOptions

numbers = st.lists(st.integers(min_value=1, max_value=MAX_TWEET_ID))
snowflakes = st.lists(st.integers(min_value=10**18, max_value=MAX_TWEET_ID), min_size=2)
URI = "gs://bucket/ids.txt"
A, B, C = "1260294888811347969", "1050118621198921728", "1700000000000000001"
SECRET = "hunter2-password"


class Stream(io.RawIOBase):
    """A stream that cannot seek and returns less than requested, as a socket does."""

    def __init__(self, data: bytes, most: int = 7) -> None:
        self._rest = io.BytesIO(data)
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower on purpose
        chunk = self._rest.read(min(len(buffer), self._most))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def read_open(file: object, *, id_column: str | None = None) -> list[str]:
    reader = CollectionReader(URI, ReadOptions(id_column=id_column, with_attributes=False))
    reader.add(read_file, file, URI)  # type: ignore[arg-type]  # a raw stream will do
    return reader.tweet_ids()


def read(data: bytes | str, *, id_column: str | None = None) -> list[str]:
    content = data.encode() if isinstance(data, str) else data
    return read_open(io.BytesIO(content), id_column=id_column)


def refusal(data: bytes | str, **options: str) -> str:
    with pytest.raises(InvalidArgumentError, match=re.escape(URI)) as caught:
        read(data, **options)
    assert caught.value.__cause__ is None
    message = str(caught.value)
    assert SECRET not in message
    return message


def texts(ids: list[int]) -> list[str]:
    return list(dict.fromkeys(map(str, ids)))


# ---- Ids, one a line -------------------------------------------------------------------------


@given(
    ids=numbers,
    separator=st.sampled_from(["\n", "\r\n", ",\n", "\n\n \n", "\r"]),
    header=st.sampled_from(["", "tweet_id\n", "\ufeff", "\ufeffTweet_ID\r\n", "id\n", "post_id\n"]),
    quote=st.sampled_from(["", '"']),
    most=st.integers(min_value=1, max_value=100),
)
def test_a_file_is_read_plain_or_zipped_with_or_without_a_header(
    ids: list[int], separator: str, header: str, quote: str, most: int
) -> None:
    lines = "".join(f"{quote}{item}{quote}{separator}" for item in ids)
    plain = f"{header}{lines}".encode()
    for data in (plain, gzip.compress(plain)):
        assert read(data) == texts(ids)
        assert read_open(Stream(data, most)) == texts(ids)


@pytest.mark.parametrize("quote", ["'", '"', ""])
def test_ids_may_stand_in_quotes(quote: str) -> None:
    assert read(f"{quote}{A}{quote}\n{quote}{B}{quote}\n") == [A, B]


@pytest.mark.parametrize("separator", [",", ", ", " ", ";", "\t"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n \n"])
@given(ids=snowflakes)
def test_a_file_of_a_single_line_may_hold_many(separator: str, end: str, ids: list[int]) -> None:
    assert read(separator.join(map(str, ids)) + end) == texts(ids)


def test_a_single_line_may_hold_a_million_ids() -> None:
    ids = [str(1_600_000_000_000_000_001 + 7 * number) for number in range(1_000_000)]
    assert read(",".join(ids)) == ids


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (f"{A} {B}\n{C}\n", 1),
        (f"\n{A},{B}\n{C}\n", 2),
        (f"{A}\n{B},12\n", 2),
        (f'"1" {A}\n"2" {B}\n', 1),  # R's row names
        (f"1,{A}\n2,{B}\n", 1),
        (f"{A},{SECRET}\n{B},\n", 1),
    ],
)
def test_a_second_value_on_a_line_is_refused_with_the_lines_number(data: str, line: int) -> None:
    message = refusal(data)
    assert f"line {line} " in message
    assert "one id a line" in message or "not a Tweet id" in message


def test_row_names_of_r_are_explained() -> None:
    assert "row.names = FALSE" in refusal(f'"1" {A}\n"2" {B}\n')
    assert "row.names = FALSE" in refusal(f'"tweet_id","user_id"\n"1",{A},12\n')
    assert "row.names = FALSE" in refusal(f'"tweet_id"\n"1",{A}\n')
    assert "row.names = FALSE" in refusal(f'"tweet_id"\n"1" {A}\n')
    assert read(f'"","tweet_id"\n"1",{A}\n"2",{B}\n') == [A, B]


def test_a_last_line_that_was_cut_is_refused() -> None:
    for data in (
        f"{A}\n{B[:-1]}",
        f"{A},{B[:9]}",
        f"tweet_id\n{A}\n{B[:3]}",
        f"n,id\n1,{A}\n2,{B[:5]}",
    ):
        message = refusal(data)
        assert "the file may have been cut" in message
        assert "end it with a line break" in message
        assert read(data + "\n")
    assert read(f"{A}\n{B}") == [A, B]
    assert read("20") == ["20"]


# ---- Tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "tweet_id",
        "Tweet id",
        "Tweet ID",
        "Post id",
        "Post ID",
        "id",
        "id_str",
        "status_id",
        " TWEET ID ",
        '"tweet_id"',
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_ids_column_is_found_by_its_name(name: str, delimiter: str) -> None:
    table = [["user_id", name, "note"], ["12", A, "x"], ["13", B, "y"]]
    assert read("\n".join(delimiter.join(row) for row in table)) == [A, B]


def test_user_ids_are_not_read_as_tweets() -> None:
    assert read(f"tweet_id,user_id\n{A},12\n{B},13\n") == [A, B]
    assert read(f"user_id,tweet_id\n12,{A}\n13,{B}\n") == [A, B]
    assert "line 1 is neither an id nor a header" in refusal("user_id\n12\n")


def test_the_ids_column_can_be_chosen() -> None:
    table = f"tweet_id,original id\n{A},{B}\n{B},{C}\n"
    assert read(table) == [A, B]
    assert read(table, id_column="original id") == [B, C]
    assert read(table, id_column="Original_ID") == [B, C]
    assert "line 1 is the header, and has no column" in refusal(table, id_column="none")
    assert "2 columns that may hold the ids" in refusal(f"tweet id,tweet_id\n{A},{B}\n")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=20)


@given(
    rows=st.lists(st.tuples(st.integers(10**18, MAX_TWEET_ID), cells, cells), min_size=1),
    delimiter=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_tables_are_read_with_quotes_line_breaks_and_any_encoding(
    rows: list[tuple[int, str, str]], delimiter: str, end: str, encoding: str, quoting: int
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]  # one of csv's
    writer.writerow(["text", "tweet_id", "note"])
    writer.writerows((before, number, after) for number, before, after in rows)
    assert read(text.getvalue().encode(encoding)) == texts([number for number, *_ in rows])


@pytest.mark.parametrize(
    ("data", "line", "fault"),
    [
        (f"tweet_id,a\n{A},1\n{B},1,2\n", 3, "has 3 values, and the header 2"),
        (f"a,tweet_id\n1,{A}\n{SECRET}\n", 3, "ends before the column of the ids"),
        (f"a,tweet_id\n1,{A}\n2,{SECRET}\n", 3, "is not a Tweet id"),
        (f"a,tweet_id\n1,{A}\n2,\n", 3, "is not a Tweet id: got empty text"),
        (f'a,tweet_id\n1,{A}\n"2,{B}\n', 3, "is not CSV"),
        (f'a,tweet_id\n"1"x,{A}\n', 2, "is not CSV"),
        (f"tweet_id,a,b\n{A},1,2\n{B},1", 3, "the file was cut"),
        (f"tweet_id\n{A}\n1.26E+18\n", 3, "an exponent"),
        (f"tweet_id\n{A}\n1260294888811340000.0\n", 3, "a decimal point"),
    ],
)
def test_a_line_of_a_table_that_cannot_be_read_is_named(data: str, line: int, fault: str) -> None:
    message = refusal(data)
    assert f"line {line} " in message
    assert fault in message


def test_short_rows_and_empty_ends_of_rows_are_read() -> None:
    assert read(f"tweet_id,a,b\n{A},1\n{B},1,2,,\n,,\n\n{C},1,2") == [A, B, C]


def test_excels_ways_to_keep_text_are_read() -> None:
    assert read(f'a;tweet_id\n1;="{A}"\n2;\'{B}\n') == [A, B]


# ---- Faults ----------------------------------------------------------------------------------

EMPTY = {
    "nothing": b"",
    "blank lines": b"\n\n",
    "a header": b"tweet_id\n",
    "nothing, zipped": gzip.compress(b"", mtime=0),
    "a mark of byte order": b"\xef\xbb\xbf",
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_an_empty_file_is_an_empty_collection(data: bytes) -> None:
    assert read(data) == []


UNREADABLE: dict[str, tuple[bytes, int | None]] = {
    "text": (f"20\n21\n{SECRET}\n".encode(), 3),
    "text beside an id": (f"20\n21 {SECRET}\n".encode(), 2),
    "text below a header": (f"tweet_id\n{SECRET}".encode(), 2),
    "a header that comes late": (f"20\ntweet_id\n{SECRET}".encode(), 2),
    "a long line": (f"20\n{SECRET * 1000}\n".encode(), 2),
    "a very long line": (f"20\n{SECRET * 100_000}\n".encode(), 2),
    "no UTF-8": (b"20\n21\n" + SECRET.encode() + b"\xff\xfe\n", None),
    "half a zipped file": (gzip.compress(f"20\n{SECRET}".encode() * 999, mtime=0)[:-9], 2),
    "a wrong checksum": (gzip.compress(b"20\n21\n")[:-6] + b"\0" * 6, None),
    "no zipped file after all": (b"\x1f\x8b" + SECRET.encode(), None),
    "a zipped file with a tail": (gzip.compress(b"20\n") + SECRET.encode(), None),
    "UTF-16": (f"20\n{SECRET}".encode("utf-16"), 2),
    "UTF-16 without a mark": (f"20\n{SECRET}".encode("utf-16-le"), 1),
    "half a zip file": (b"PK\x03\x04" + SECRET.encode(), None),
}


@pytest.mark.parametrize(("data", "line"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_refused_by_line_and_never_by_content(
    data: bytes, line: int | None
) -> None:
    message = refusal(data)
    if line is not None:
        assert f"line {line}" in message


def test_rounded_ids_of_a_file_are_refused() -> None:
    ids = "".join(f"{1_260_294_888_811 + number}340000\n" for number in range(10))
    assert "a spreadsheet has rounded" in refusal(ids)


def test_a_large_file_is_read_without_holding_it() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower on purpose
            self.taken += len(buffer)
            buffer[:] = b"20\nx" * (len(buffer) // 4) + b"\n" * (len(buffer) % 4)
            return len(buffer)

    endless = Endless()
    file: IO[bytes] = io.BufferedReader(endless)
    with pytest.raises(InvalidArgumentError, match="line 2"):
        read_open(file)
    assert endless.taken < 10**6
