from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.collections.merging import merge_rows
from airflow_provider_engagement.collections.records import TweetRecord
from airflow_provider_engagement.collections.tables import AttributeTables

rows = st.lists(
    st.lists(
        st.tuples(
            st.integers(1, 9).map(str),
            st.sampled_from(["campaign", "team"]),
            st.none() | st.text(max_size=3),
            st.none() | st.lists(st.text(max_size=2), max_size=2),
        ),
        min_size=1,
    ),
    min_size=1,
    max_size=5,
)
NAMES = ("tweet_id", "label", "text", "tags")
TYPES = (pa.string(), pa.string(), pa.string(), pa.list_(pa.string()))


def expected(batches: list[list[tuple[Any, ...]]], width: int) -> list[tuple[Any, ...]]:
    """Merge the plain way: of each value that is not null, the last."""
    found: dict[Any, list[Any]] = {}
    for row in (row for batch in batches for row in batch):
        merged = found.setdefault(row[:width], list(row))
        merged[:] = [old if new is None else new for old, new in zip(merged, row, strict=True)]
    return [tuple(row) for row in found.values()]


def merged(batches: list[list[tuple[Any, ...]]], label: str | None) -> list[tuple[Any, ...]]:
    tables = [
        pa.record_batch(
            [
                pa.array(column, kind)
                for column, kind in zip(zip(*batch, strict=True), TYPES, strict=True)
            ],
            names=NAMES,
        )
        for batch in batches
    ]
    slices = list(merge_rows(tables.__getitem__, len(tables), label=label))
    return [
        row for columns in slices for row in zip(*(c.to_pylist() for c in columns), strict=True)
    ]


@given(rows)
def test_the_last_value_of_each_column_stands(batches: list[list[tuple[Any, ...]]]) -> None:
    assert merged(batches, "label") == expected(batches, 2)
    plain = [[(row[0], "campaign", *row[2:]) for row in batch] for batch in batches]
    assert merged(plain, None) == expected(plain, 1)


def test_many_rows_are_merged_through_a_file() -> None:
    tables = AttributeTables()
    ids = [str(1_600_000_000_000_000_001 + number) for number in range(60_000)]
    for language in ("en", None, "de"):
        for tweet_id in ids:
            tables.add(
                TweetRecord(
                    tweet_id,
                    text=f"{tweet_id} as text " * 20 if language == "en" else None,
                    lang=language,
                    labels={"campaign": tweet_id[-2:], "team": "a"} if language else None,
                )
            )
    attributes, labels = tables.finish(len(ids))
    assert attributes["tweet_id"].to_pylist() == ids
    assert attributes["text"].to_pylist() == [f"{tweet_id} as text " * 20 for tweet_id in ids]
    assert set(attributes["lang"].to_pylist()) == {"de"}
    assert labels.num_rows == 2 * len(ids)
    assert labels["value"].to_pylist()[::2] == [tweet_id[-2:] for tweet_id in ids]
