from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, EndpointName
from airflow_provider_engagement.thresholds.parsing import (
    engagement_types_of,
    parse_thresholds,
    serialize_thresholds,
)

TYPES = ENDPOINTS[EndpointName.TOTALS].engagement_types
bounds = st.decimals(-10_000, 10_000, places=3).map(str)
metrics = st.one_of(
    st.sampled_from(TYPES),
    st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES))
    .filter(lambda two: two[0] != two[1])
    .map("/".join),
)
written = st.dictionaries(
    metrics,
    st.one_of(
        st.integers(-(10**12), 10**12),
        bounds,
        st.tuples(st.sampled_from(["<", "<=", ">", ">=", " >= "]), bounds).map("".join),
    ),
    min_size=1,
)


def parsed(value: Any, endpoint: str = "totals") -> list[str]:
    return [str(one) for one in parse_thresholds(value, endpoint=endpoint)]


def test_dictionaries_and_text_of_them_are_read() -> None:
    value = {"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}
    expected = ["favorites >= 100", "replies < 5", "engagements/impressions >= 0.05"]
    assert parsed(value) == expected
    assert parsed(json.dumps(value)) == parsed(str(value)) == expected
    assert engagement_types_of(parse_thresholds(value, endpoint="totals")) == (
        "impressions",
        "engagements",
        "favorites",
        "replies",
    )


@given(written)
def test_thresholds_are_the_same_after_serialization(value: dict[str, Any]) -> None:
    thresholds = parse_thresholds(value, endpoint="totals")
    serialized = serialize_thresholds(thresholds)
    assert parse_thresholds(serialized, endpoint="totals") == thresholds
    assert json.loads(json.dumps(serialized)) == serialized


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_keeps_all_its_digits(bound: float) -> None:
    (threshold,) = parse_thresholds({"favorites": bound}, endpoint="totals")
    assert float(threshold.bound) == bound
    assert threshold.exact_bound == Fraction(repr(bound))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "thresholds is empty"),
        ("favorites", "of type str"),
        ([1], "of type list"),
        (
            {"likes": 1},
            "'likes' is not an engagement type; it is called 'favorites'. totals serves",
        ),
        ({"favourites": 1}, "'favourites' is not an engagement type. totals serves: impressions"),
        ({"url_clicks": 1}, "'url_clicks' is not served by totals. totals serves: impressions"),
        ({"favorites/favorites": 1}, "a rate of two different"),
        ({"favorites/replies/retweets": 1}, "a rate of two"),
        ({"favorites": True}, "must be a number"),
        ({"favorites": float("nan")}, "must be a number"),
        ({"favorites": "~ 5"}, "must be a number"),
        ({"favorites": None}, "must be a number"),
    ],
)
def test_anything_else_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        parse_thresholds(value, endpoint="totals")


def test_historical_has_no_counts_of_now() -> None:
    with pytest.raises(
        InvalidArgumentError, match="endpoint is 'historical'; it must be one of: 'totals', '28hr'"
    ):
        parse_thresholds({"favorites": 1}, endpoint="historical")
