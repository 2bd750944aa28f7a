from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.tweet_id import (
    LAST_SEQUENTIAL_ID,
    MAX_TWEET_ID,
    created_at,
    first_id_at,
    parse_tweet_id,
)


@pytest.mark.parametrize(
    ("tweet_id", "expected"),
    [
        # The documentation dates its two sample Tweets April 6, 2017 and May 12, 2020.
        ("850006245121695744", datetime(2017, 4, 6, 15, 24, 15, 846000, tzinfo=UTC)),
        ("1260294888811347969", datetime(2020, 5, 12, 19, 44, 51, 296000, tzinfo=UTC)),
        (str(LAST_SEQUENTIAL_ID), None),
        ("20", None),
    ],
)
def test_creation_time_is_read_from_the_id(tweet_id: str, expected: datetime | None) -> None:
    assert created_at(tweet_id) == expected


def test_the_first_id_of_a_moment_is_the_published_bound() -> None:
    assert first_id_at(datetime(2014, 9, 1, tzinfo=UTC)) == 506229949854646272
    assert first_id_at(datetime(2015, 9, 15, tzinfo=UTC)) == 643574950917046272


@given(st.integers(min_value=1, max_value=MAX_TWEET_ID))
def test_text_and_number_are_the_same_id(number: int) -> None:
    assert parse_tweet_id(number, where="x") == parse_tweet_id(f" 0{number}", where="x")


@pytest.mark.parametrize(
    "value",
    ["", "12a", "1.0", 1.0, 1.5e18, True, None, 0, -5, "0", MAX_TWEET_ID + 1, "9" * 20, "٣", b"5"],
)
def test_invalid_id_is_refused_with_its_place_and_without_its_content(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"tweet_ids\[3\] is not a Tweet id") as caught:
        parse_tweet_id(value, where="tweet_ids[3]")
    assert "12a" not in str(caught.value)
