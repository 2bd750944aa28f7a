from __future__ import annotations

import json
import sqlite3
from collections import deque
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import MAX_TWEET_ID
from airflow_provider_engagement.collections.tweet_ids import is_uri, parse_id, tweet_ids_from_value

if TYPE_CHECKING:
    from collections.abc import Iterator

numbers = st.lists(st.integers(min_value=1, max_value=MAX_TWEET_ID))
URI = "gs://bucket/ids.txt"
A, B = "1260294888811347969", "1050118621198921728"


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
        iter,
        deque,
        lambda ids: dict.fromkeys(ids).keys(),
        lambda ids: [[item] for item in ids],
        lambda ids: [(str(item),) for item in ids],
        lambda ids: [{"id": item} for item in ids],
        lambda ids: str([[str(item)] for item in ids]),
        lambda ids: np.array(ids, dtype=np.int64),
        lambda ids: [np.int64(item) for item in ids],
        lambda ids: np.array(ids, dtype=np.int64).reshape(-1, 1),
        lambda ids: pa.array(map(str, ids), pa.string()),
        lambda ids: pa.chunked_array([pa.array(ids, pa.int64())]),
        lambda ids: [Decimal(item) for item in ids],
    ],
)
@given(ids=numbers)
def test_ids_are_read_from_whatever_an_upstream_returns(render: object, ids: list[int]) -> None:
    assert callable(render)
    found = tweet_ids_from_value(render(ids))
    assert sorted(found, key=int) == sorted(texts(ids), key=int)
    if not isinstance(render(ids), type({}.keys())):
        assert found == texts(ids)


@given(numbers)
def test_a_set_is_read_in_the_same_order_in_each_try(ids: list[int]) -> None:
    assert tweet_ids_from_value(set(ids)) == sorted(texts(ids))
    assert tweet_ids_from_value(frozenset(map(str, ids))) == sorted(texts(ids))


def test_the_ids_of_a_generator_are_read() -> None:
    def generate() -> Iterator[str]:
        yield A
        yield B

    assert tweet_ids_from_value(generate()) == [A, B]


@given(st.integers(min_value=1, max_value=MAX_TWEET_ID))
def test_one_number_is_a_collection(number: int) -> None:
    assert tweet_ids_from_value(number) == [str(number)]
    assert tweet_ids_from_value(f"({number})") == [str(number)]
    assert tweet_ids_from_value(np.int64(number)) == [str(number)]


class Column:
    """As pandas has them: no sequence, with ``tolist``."""

    def __init__(self, values: list[object]) -> None:
        self.values = values

    def tolist(self) -> list[object]:
        return self.values


class Frame:
    """As pandas has them: iterates over the names of its columns."""

    columns = ("tweet_id",)

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


class Row:
    """As google-cloud-bigquery and SQLAlchemy have them: names and values, and not a mapping."""

    def __init__(self, **values: object) -> None:
        self._values = values

    def keys(self) -> list[str]:
        return list(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, name: str) -> object:
        return self._values[name]


def test_a_column_of_pandas_is_read() -> None:
    assert tweet_ids_from_value(Column([A, int(B)])) == [A, B]


def test_a_whole_table_is_refused_with_advice() -> None:
    for table in (Frame(), pa.table({"tweet_id": [A]})):
        with pytest.raises(InvalidArgumentError, match="Pass one of its columns"):
            tweet_ids_from_value(table)


def test_rows_of_a_database_are_read() -> None:
    with sqlite3.connect(":memory:") as connection:
        select = f"SELECT {A} AS tweet_id, 12 AS user_id"
        assert tweet_ids_from_value(connection.execute(f"SELECT {A}").fetchall()) == [A]
        connection.row_factory = sqlite3.Row
        assert tweet_ids_from_value(connection.execute(select).fetchall()) == [A]
        by_name = tweet_ids_from_value(connection.execute(select).fetchall(), id_column="user_id")
        assert by_name == ["12"]
    assert tweet_ids_from_value([Row(post_id=A), Row(post_id=B)]) == [A, B]
    assert tweet_ids_from_value([Row(post=A)]) == [A]


@pytest.mark.parametrize(
    "key", ["tweet_id", "Tweet id", "Tweet ID", "Post id", "Post ID", "id", "id_str", "status_id"]
)
def test_the_id_of_a_row_is_found_by_its_name(key: str) -> None:
    assert tweet_ids_from_value([{"user_id": "12", key: A}]) == [A]


def test_the_most_specific_name_is_the_ids() -> None:
    assert tweet_ids_from_value([{"id": 1, "tweet_id": A}, {"id": 5e18, "id_str": B}]) == [A, B]


@pytest.mark.parametrize(
    "text",
    [
        f"https://x.com/someone/status/{A}",
        f"https://twitter.com/someone/status/{A}?s=20&t=abc",
        f"http://mobile.twitter.com/someone/statuses/{A}#m",
        f"https://www.x.com/i/web/status/{A}/photo/1",
        f"x.com/someone/status/{A}",
        f"https://twitter.com/statuses/{A}",
        f"https://twitter.com/#!/someone/status/{A}",
        f"ID:{A}",
        f"id:{A}",
        f"tag:search.twitter.com,2005:{A}",
        f'="{A}"',
        f"'{A}",
        f" {A} ",
        f"0{A}",
    ],
)
def test_an_id_is_read_however_it_is_written(text: str) -> None:
    assert parse_id(text, "it") == A
    assert tweet_ids_from_value([text]) == [A]
    assert tweet_ids_from_value(text) == [A]
    assert tweet_ids_from_value(f"{text}, {B}") == [A, B]


def test_urls_in_a_list_as_text_are_read() -> None:
    assert tweet_ids_from_value(f"['x.com/someone/status/{A}']") == [A]
    assert tweet_ids_from_value(f"['https://x.com/someone/status/{A}','{B}']") == [A, B]


@pytest.mark.parametrize(
    "text",
    [
        f"https://x.com/someone/likes/{A}",
        f"https://x.com.example.org/someone/status/{A}",
        f"https://example.org/x.com/someone/status/{A}",
        f"https://x.com/someone/status/{A}x",
        "https://example.org/ids.txt",
    ],
)
def test_a_web_address_that_is_not_a_posts_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"tweet_ids\[0\] is a web address, and not a"):
        tweet_ids_from_value(text)


@pytest.mark.parametrize("value", [[], (), "", "  ", "[]", "()", "\n", ",", set(), np.array([])])
def test_nothing_is_an_empty_collection(value: object) -> None:
    assert tweet_ids_from_value(value) == []


def test_an_id_is_asked_once_however_it_is_written() -> None:
    assert tweet_ids_from_value([21, "20", "0021", " 20 ", 20]) == ["21", "20"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["20", "21", "2x2"], r"tweet_ids\[2\] is not a Tweet id: got 3 characters"),
        ([20, 1.5e18], r"tweet_ids\[1\] is not a Tweet id: got a value of type float.*as text"),
        ("[20, 1.5e18]", r"tweet_ids\[1\] .* of type float"),
        (np.array([20.0]), r"tweet_ids\[0\] .* of type float"),
        ([True], "of type bool"),
        ([np.True_], "of type bool"),
        ([None], "of type NoneType"),
        ([["20", "21"]], r"tweet_ids\[0\] is a row of 2 values.*one column"),
        ([("20", "12"), ("21", "13")], r"tweet_ids\[0\] is a row of 2 values"),
        ([{"a": "20", "b": "21"}], r"tweet_ids\[0\] is a row of 2 columns.*id_column"),
        ([{"user_id": "20"}], r"tweet_ids\[0\] is a row of 1 columns, and none of them is named"),
        ([{"ID": "20", "Id": "21"}], r"tweet_ids\[0\] has 2 columns that may hold the ids"),
        ("20,, x", r"tweet_ids\[1\]"),
        ("[20", "tweet_ids is text that starts like a list"),
        ("[" * 100_000, "tweet_ids is text that starts like a list"),
        ("[__import__('os')]", "tweet_ids is text that starts like a list"),
        ("{'20': 1}", "tweet_ids is text that starts like a list"),
        ("None", "tweet_ids is the text 'None': what its template names has no value"),
        (None, "tweet_ids is of type NoneType; it must be a list"),
        ({"20": 1}, "tweet_ids is of type dict"),
        (1.5e18, "tweet_ids is of type float"),
        (True, "tweet_ids is of type bool"),
        (b"20", "tweet_ids is of type bytes"),
        (memoryview(b"20"), "tweet_ids is of type memoryview"),
        ("9" * 20, "20 digits, out of range"),
        (0, "whole number from 1 to 9223372036854775807"),
        (Decimal("20.5"), "tweet_ids is of type Decimal"),
        ([Decimal("NaN")], "of type Decimal"),
        ("id:twitter.com:12", r"tweet_ids\[0\] is not a Tweet id"),
        ("/data/ids.txt", r"a path without a scheme. Write it as file:///data/ids.txt"),
        ("ids.csv", r"a path without a scheme. Write it as file:///folder/ids.csv"),
        ("inbox/today.json.gz", r"Write it as file:///folder/inbox/today.json.gz"),
    ],
)
def test_what_holds_no_ids_is_refused_by_place(value: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        tweet_ids_from_value(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (URI, True),
        (f" {URI}\n", True),
        ("file:///tmp/ids.txt", True),
        ("gs://bucket/inbox/", True),
        ("20,21", False),
        (["gs://bucket/ids.txt"], False),
        (f"https://x.com/someone/status/{A}", False),
        (f"20, https://x.com/someone/status/{A}", False),
        (f"tag:search.twitter.com,2005:{A}", False),
        (20, False),
        (None, False),
    ],
)
def test_a_uri_of_object_storage_names_a_file(value: object, expected: bool) -> None:
    assert is_uri(value) is expected


def of_airflow(kind: str) -> Any:
    """Return one of the sequences that Airflow makes of mapped tasks' results."""
    try:
        from airflow.sdk.definitions import xcom_arg
    except ImportError:  # Airflow 2
        from airflow.models import xcom_arg  # type: ignore[no-redef]  # the same, elsewhere
    return getattr(xcom_arg, kind)


@pytest.mark.parametrize(
    "value", [[A, int(B)], [[A], [B]], [f"{A},{B}"], [(A, B)], [A, [], B, [A]]]
)
def test_results_of_mapped_tasks_are_joined(value: list[object]) -> None:
    mapped = of_airflow("_MapResult")(value, [lambda item: item])
    assert tweet_ids_from_value(mapped) == [A, B]
    assert tweet_ids_from_value(of_airflow("_ConcatResult")([mapped, value])) == [A, B]


def test_ids_that_zip_pairs_are_joined() -> None:
    zipped = of_airflow("_ZipResult")([[A, "20"], [B]], fillvalue=None)
    assert tweet_ids_from_value(zipped) == [A, B, "20"]
    assert tweet_ids_from_value(zipped[0]) == [A, B]


def test_a_result_that_is_not_an_id_is_refused_by_its_task() -> None:
    zipped = of_airflow("_ZipResult")([[A, B], ["acme", "bolt"]])
    with pytest.raises(InvalidArgumentError, match=r"tweet_ids\[0\]\[1\] is not a Tweet id"):
        tweet_ids_from_value(zipped)
