from __future__ import annotations

import gzip
import io
import json
import re
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID
from airflow_provider_engagement.collections.tweet_ids import (
    is_uri,
    tweet_ids_from_file,
    tweet_ids_from_value,
)

numbers = st.lists(st.integers(min_value=1, max_value=MAX_TWEET_ID))
URI = "gs://bucket/ids.txt"


class Stream(io.RawIOBase):
    """A stream that cannot seek and gives less than it is asked for, as a socket does."""

    def __init__(self, data: bytes, most: int = 7) -> None:
        self._rest = io.BytesIO(data)
        self._most = most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower on purpose
        chunk = self._rest.read(min(len(buffer), self._most))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def from_file(data: bytes) -> list[str]:
    return tweet_ids_from_file(io.BytesIO(data), name=URI)


def texts(ids: list[int]) -> list[str]:
    return list(dict.fromkeys(map(str, ids)))


@pytest.mark.parametrize(
    "render",
    [
        list,
        tuple,
        lambda ids: [str(item) for item in ids],
        json.dumps,
        lambda ids: json.dumps([str(item) for item in ids]),
        str,
        lambda ids: str(tuple(ids)),
        lambda ids: str([str(item) for item in ids]),
        lambda ids: f"  {ids}\n",
        lambda ids: ",".join(map(str, ids)),
        lambda ids: ", ".join(map(str, ids)),
        lambda ids: "\n".join(map(str, ids)),
        lambda ids: " ; ".join(map(str, ids)) + ";",
    ],
)
@given(ids=numbers)
def test_ids_are_read_from_whatever_a_template_renders(render: object, ids: list[int]) -> None:
    assert callable(render)
    assert tweet_ids_from_value(render(ids)) == texts(ids)


@given(st.integers(min_value=1, max_value=MAX_TWEET_ID))
def test_one_number_is_a_collection(number: int) -> None:
    assert tweet_ids_from_value(number) == [str(number)]
    assert tweet_ids_from_value(f"({number})") == [str(number)]


@pytest.mark.parametrize("value", [[], (), "", "  ", "[]", "()", "\n", ","])
def test_nothing_is_an_empty_collection(value: object) -> None:
    assert tweet_ids_from_value(value) == []


def test_an_id_is_asked_once_however_it_is_written() -> None:
    assert tweet_ids_from_value([21, "20", "0021", " 20 ", 20]) == ["21", "20"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["20", "21", "2x2"], r"tweet_ids\[2\] is not a Tweet id: got 3 characters"),
        ([20, 1.5e18], r"tweet_ids\[1\] is not a Tweet id: got a value of type float"),
        ("[20, 1.5e18]", r"tweet_ids\[1\] .* of type float"),
        ([True], "of type bool"),
        ([["20"]], "of type list"),
        ("20,, x", r"tweet_ids\[1\]"),
        ("[20", "tweet_ids is text that starts like a list"),
        ("[" * 100_000, "tweet_ids is text that starts like a list"),
        ("[__import__('os')]", "tweet_ids is text that starts like a list"),
        ("None", r"tweet_ids\[0\]"),
        (None, "tweet_ids is of type NoneType; it must be a list"),
        ({"20": 1}, "tweet_ids is of type dict"),
        (1.5e18, "tweet_ids is of type float"),
        (True, "tweet_ids is of type bool"),
        (b"20", "tweet_ids is of type bytes"),
        ("9" * 20, "20 digits, out of range"),
        (0, "whole number from 1 to 9223372036854775807"),
    ],
)
def test_what_holds_no_ids_is_refused_by_place(value: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        tweet_ids_from_value(value)


@given(
    ids=numbers,
    separator=st.sampled_from(["\n", "\r\n", ",\n", "\n\n \n"]),
    header=st.sampled_from(["", "tweet_id\n", "\ufeff", "\ufeffTweet_ID\r\n", "id\n", "post_id\n"]),
    quote=st.sampled_from(["", '"', "'"]),
    most=st.integers(min_value=1, max_value=100),
)
def test_a_file_is_read_plain_or_zipped_with_or_without_a_header(
    ids: list[int], separator: str, header: str, quote: str, most: int
) -> None:
    lines = separator.join(f"{quote}{item}{quote}" for item in ids)
    plain = f"{header}{lines}".encode()
    for data in (plain, gzip.compress(plain)):
        assert from_file(data) == texts(ids)
        assert tweet_ids_from_file(Stream(data, most), name=URI) == texts(ids)  # type: ignore[arg-type]  # a raw stream will do


def test_a_zipped_file_may_have_several_members() -> None:
    assert from_file(gzip.compress(b"20\n") + gzip.compress(b"21\n")) == ["20", "21"]


EMPTY = {
    "nothing": b"",
    "blank lines": b"\n\n",
    "a header": b"tweet_id\n",
    "nothing, zipped": gzip.compress(b"", mtime=0),
    "a mark of byte order": b"\xef\xbb\xbf",
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_an_empty_file_is_an_empty_collection(data: bytes) -> None:
    assert from_file(data) == []


SECRET = "hunter2-password"


UNREADABLE: dict[str, tuple[bytes, int | None]] = {
    "text": (f"20\n21\n{SECRET}\n".encode(), 3),
    "text beside an id": (f"20\n21 {SECRET}\n".encode(), 2),
    "text below a header": (f"tweet_id\n{SECRET}".encode(), 2),
    "a header that comes late": (f"20\ntweet_id\n{SECRET}".encode(), 2),
    "a long line": (f"20\n{SECRET * 1000}\n".encode(), 2),
    "no UTF-8": (b"20\n21\n" + SECRET.encode() + b"\xff\xfe\n", 0),
    "half a zipped file": (gzip.compress(f"20\n{SECRET}".encode() * 999, mtime=0)[:-9], 2),
    "a wrong checksum": (gzip.compress(b"20\n21\n")[:-6] + b"\0" * 6, None),
    "no zipped file after all": (b"\x1f\x8b" + SECRET.encode(), 0),
    "a zipped file with a tail": (gzip.compress(b"20\n") + SECRET.encode(), None),
    "UTF-16": (f"20\n{SECRET}".encode("utf-16"), 0),
    "a spreadsheet": (b"PK\x03\x04" + SECRET.encode(), 1),
}


@pytest.mark.parametrize(("data", "line"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_cannot_be_read_is_told_by_line_and_never_by_content(
    data: bytes, line: int | None
) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(URI)) as caught:
        from_file(data)
    told = str(caught.value)
    assert SECRET not in told
    assert caught.value.__cause__ is None
    if line is not None:
        assert f"line {line}" in told


def test_a_list_on_one_long_line_is_refused_with_advice() -> None:
    ids = ",".join(str(1_600_000_000_000_000_000 + number) for number in range(1000))
    with pytest.raises(
        InvalidArgumentError, match=r"line 1 is longer than 4096 .*holds one a line"
    ):
        from_file(ids.encode())


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
        tweet_ids_from_file(file, name=URI)
    assert endless.taken < 10**6


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URI, True),
        ("file:///tmp/ids.txt", True),
        ("20,21", False),
        (["gs://bucket/ids.txt"], False),
        (20, False),
        (None, False),
    ],
)
def test_a_uri_is_told_by_its_colon_and_slashes(value: object, expected: bool) -> None:
    assert is_uri(value) is expected
