from __future__ import annotations

from datetime import timedelta

import pendulum
import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.parsing import parse_duration
from airflow_provider_engagement.operators.coercion import (
    as_bool,
    as_labels,
    as_share,
    as_text,
    as_whole_number,
    or_default,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (timedelta(hours=3), timedelta(hours=3)),
        (pendulum.duration(hours=3), timedelta(hours=3)),
        ("PT24H", timedelta(hours=24)),
        ("P2D", timedelta(days=2)),
        ("P1DT12H", timedelta(hours=36)),
    ],
)
def test_a_duration_is_read(given: object, expected: timedelta) -> None:
    assert parse_duration(given, name="max_snapshot_age") == expected


@pytest.mark.parametrize("given", ["", "24h", "24", "2026-11-18", "1 day, 0:00:00", 24, None])
def test_what_is_not_a_duration_is_refused(given: object) -> None:
    message = "max_snapshot_age must be a timedelta, or an ISO 8601 duration"
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        parse_duration(given, name="max_snapshot_age")
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize("given", [True, "True", "true", " TRUE ", "1", 1, "yes"])
def test_true_is_read_from_text(given: object) -> None:
    assert as_bool(given, name="plan_only") is True


@pytest.mark.parametrize("given", [False, "False", "false", "0", 0, "no", None, "None", ""])
def test_false_is_read_from_text(given: object) -> None:
    assert as_bool(given, name="plan_only") is False


@pytest.mark.parametrize("given", ["maybe", 2, "{{ params.x }}", []])
def test_what_is_neither_true_nor_false_is_refused(given: object) -> None:
    with pytest.raises(InvalidArgumentError, match="plan_only must be true or false; got"):
        as_bool(given, name="plan_only")


@pytest.mark.parametrize(("given", "expected"), [(0, 0.0), (1, 1.0), ("0.25", 0.25), (" 1 ", 1.0)])
def test_a_share_is_read(given: object, expected: float) -> None:
    assert as_share(given, name="max_missing_share") == expected


@pytest.mark.parametrize("given", [-0.1, 1.01, "nan", "inf", "half", None, True, "", "50%"])
def test_what_is_not_a_share_is_refused(given: object) -> None:
    with pytest.raises(
        InvalidArgumentError, match="max_missing_share must be a number from 0 to 1; got"
    ):
        as_share(given, name="max_missing_share")


@pytest.mark.parametrize("given", [None, "", "None", " ", "null"])
def test_a_template_without_a_value_means_the_default(given: object) -> None:
    assert or_default(given, "the default") == "the default"
    assert as_text(given) is None


@pytest.mark.parametrize("given", ["0", 0, False, [], {}])
def test_a_false_value_is_a_value(given: object) -> None:
    assert or_default(given, "the default") is given


@pytest.mark.parametrize(
    "given",
    [{"team": "social", "n": 1}, '{"team": "social", "n": 1}', "{'team': 'social', 'n': 1}"],
)
def test_labels_are_read_from_an_object_json_or_python(given: object) -> None:
    assert as_labels(given, name="labels") == {"team": "social", "n": "1"}


@pytest.mark.parametrize("given", [None, "", "None"])
def test_no_labels(given: object) -> None:
    assert as_labels(given, name="labels") == {}


@pytest.mark.parametrize("given", ["team=social", ["team"], 5])
def test_what_is_not_an_object_of_labels_is_refused(given: object) -> None:
    with pytest.raises(InvalidArgumentError, match="labels must be an object of text"):
        as_labels(given, name="labels")


@pytest.mark.parametrize(
    ("given", "expected"), [(5, 5), ("10000000", 10_000_000), (None, None), ("None", None)]
)
def test_a_whole_number_is_read(given: object, expected: int | None) -> None:
    assert as_whole_number(given, name="maximum_bytes_billed") == expected


@pytest.mark.parametrize("given", [0, -5, "1e9", 1.5, "1 GB", True])
def test_what_is_not_a_whole_number_is_refused(given: object) -> None:
    with pytest.raises(
        InvalidArgumentError, match="maximum_bytes_billed must be a whole number above zero"
    ):
        as_whole_number(given, name="maximum_bytes_billed")
