from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, EndpointName
from airflow_provider_engagement.thresholds.parsing import (
    Reading,
    Threshold,
    as_plain,
    parse_thresholds,
    types_of,
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


def test_the_forms_that_the_design_shows() -> None:
    value = {"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}
    expected = ["favorites >= 100", "replies < 5", "engagements/impressions >= 0.05"]
    assert parsed(value) == expected
    assert parsed(json.dumps(value)) == parsed(str(value)) == expected
    assert types_of(parse_thresholds(value, endpoint="totals")) == (
        "impressions",
        "engagements",
        "favorites",
        "replies",
    )


@given(written)
def test_thresholds_survive_being_told_in_plain(value: dict[str, Any]) -> None:
    thresholds = parse_thresholds(value, endpoint="totals")
    assert parse_thresholds(as_plain(thresholds), endpoint="totals") == thresholds
    assert json.loads(json.dumps(as_plain(thresholds))) == as_plain(thresholds)


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_a_rate_on_its_bound_is_at_least_that(upper: int, lower: int) -> None:
    (threshold,) = parse_thresholds({"engagements/impressions": "0.05"}, endpoint="totals")
    reading = threshold.read({"engagements": upper, "impressions": lower})
    assert reading is not None
    assert reading.crossed == (20 * upper >= lower)


@pytest.mark.parametrize("lower", [0, -1])
@pytest.mark.parametrize("bound", [">= 0", "< 1", "> -5"])
def test_a_rate_over_zero_is_not_crossed(lower: int, bound: str) -> None:
    (threshold,) = parse_thresholds({"engagements/impressions": bound}, endpoint="totals")
    reading = threshold.read({"engagements": 3, "impressions": lower})
    assert reading == Reading(value=None, crossed=False)


def test_a_count_that_is_not_there_is_no_zero() -> None:
    assert Threshold(("favorites",), "<", "5").read({"replies": 1}) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({}, "thresholds is empty"),
        ("favorites", "of type str"),
        ([1], "of type list"),
        ({"likes": 1}, "'likes', which is none"),
        ({"url_clicks": 1}, "not served by totals"),
        ({"favorites/favorites": 1}, "a rate of two different"),
        ({"favorites/replies/retweets": 1}, "a rate of two"),
        ({"favorites": True}, "must be a number"),
        ({"favorites": float("nan")}, "must be a number"),
        ({"favorites": "~ 5"}, "must be a number"),
        ({"favorites": None}, "must be a number"),
    ],
)
def test_what_is_no_threshold_is_refused(value: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        parse_thresholds(value, endpoint="totals")


def test_historical_cannot_be_watched() -> None:
    with pytest.raises(
        InvalidArgumentError, match="'historical'; what can be watched is: totals, 28hr"
    ):
        parse_thresholds({"favorites": 1}, endpoint="historical")
