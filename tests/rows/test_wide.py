from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from bigquery_checks import LATER, START, hour_row, rows_table, sorted_rows
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.rows.layout import layout_of
from airflow_provider_engagement.rows.schema import LONG, WIDE, WIDE_KEY, arrow_schema
from airflow_provider_engagement.rows.wide import HashPartitions, pivoted

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = st.lists(
    st.builds(
        hour_row,
        tweet_id=st.sampled_from(["1", "2", "1994000000000000001"]),
        engagement_type=st.sampled_from(ENGAGEMENT_TYPES),
        period_start=st.sampled_from([START, LATER, None]),
        date=st.just(START.date()),
        snapshot_at=st.sampled_from([None, LATER]),
        access=st.sampled_from(["owner", "public"]),
        complete=st.booleans(),
        value=st.integers(-5, 5),
        collected_at=st.integers(0, 9).map(lambda hours: LATER + timedelta(hours=hours)),
    ),
    unique_by=lambda row: tuple(row[name] for name in (*WIDE_KEY, "engagement_type")),
    max_size=30,
)


def by_hand(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pivot without Arrow."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in WIDE_KEY), []).append(row)
    return [
        {
            **{column.name: group[0].get(column.name) for column in WIDE},
            **{row["engagement_type"]: row["value"] for row in group},
            "access": min(row["access"] for row in group),
            "complete": all(row["complete"] for row in group),
            "collected_at": max(row["collected_at"] for row in group),
        }
        for group in groups.values()
    ]


@given(COUNTS)
def test_pivot_equals_a_plain_python_pivot(rows: list[dict[str, Any]]) -> None:
    wide = pivoted(rows_table(*rows))
    assert wide.schema == arrow_schema(WIDE)
    assert sorted_rows(wide.to_pylist()) == sorted_rows(by_hand(rows))


@given(rows=COUNTS, cut=st.integers(0, 30), expected=st.integers(0, 2_000_000))
def test_partitions_join_the_counts_of_a_tweet_from_several_tables(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], cut: int, expected: int
) -> None:
    folder = tmp_path_factory.mktemp("partitions")
    partitions = HashPartitions(folder, expected)
    partitions.write(rows_table(*rows[:cut]))
    partitions.write(rows_table(*rows[cut:]))
    partitions.close()
    partitions.close()
    wide = pa.concat_tables([arrow_schema(WIDE).empty_table(), *partitions.wide()])
    assert sorted_rows(wide.to_pylist()) == sorted_rows(by_hand(rows))
    assert list(folder.iterdir()) == []


def test_tweets_are_partitioned_evenly(tmp_path: Path) -> None:
    partitions = HashPartitions(tmp_path, 1_900_000)
    # Ids a second apart, as snowflakes are: their low bits are all alike.
    partitions.write(rows_table(*(hour_row(tweet_id=str(n * 1000 << 22)) for n in range(800))))
    partitions.close()
    sizes = [table.num_rows for table in partitions.wide()]
    assert len(sizes) == 8
    assert min(sizes) > 50


@pytest.mark.parametrize("missing", ["tweet_id", "engagement_type"])
def test_counts_without_tweet_or_type_are_refused(tmp_path: Path, missing: str) -> None:
    partitions = HashPartitions(tmp_path, 0)
    with pytest.raises(InvalidArgumentError, match=f"layout is 'wide', .* without {missing}"):
        partitions.write(rows_table(hour_row(**{missing: None})))
    partitions.close()


def test_the_wide_columns_are_the_long_ones_and_every_type() -> None:
    wide = [column.name for column in WIDE]
    long = [column.name for column in LONG]
    assert set(wide) == (set(long) - {"engagement_type", "value"}) | set(ENGAGEMENT_TYPES)
    assert [name for name in wide if name in ENGAGEMENT_TYPES] == list(ENGAGEMENT_TYPES)
    assert not any(column.required for column in WIDE if column.name in ENGAGEMENT_TYPES)


def test_a_layout_is_found_by_its_name() -> None:
    grouping = "tweet.id/engagement.type/engagement.day"
    assert layout_of("wide", [grouping]).name == "wide"
    assert layout_of("long", ["engagement.type"]).name == "long"
    for missing in ("tweet.id", "engagement.type", "engagement.day"):
        with pytest.raises(InvalidArgumentError, match="A wide row is one Tweet"):
            layout_of("wide", [grouping, missing])
