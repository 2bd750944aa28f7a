from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.parsing import is_given, parse_list, parse_literal

GROUPINGS = {"by-day": {"group_by": ["tweet.id", "engagement.day"]}}

literals = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("text", ['["favorites", "replies"]', "['favorites', 'replies']"])
@pytest.mark.parametrize("wrap", ["{}", "  {}\n"])
def test_a_list_is_read_from_json_and_from_python_text(text: str, wrap: str) -> None:
    assert parse_list(wrap.format(text), name="x") == ["favorites", "replies"]


@pytest.mark.parametrize(
    "text", ["favorites,replies", "favorites, replies", "favorites;replies", "favorites\nreplies\n"]
)
def test_a_list_is_read_from_separated_text(text: str) -> None:
    assert parse_list(text, name="x") == ["favorites", "replies"]


@given(literals)
def test_what_airflow_renders_is_read_back(value: object) -> None:
    assert parse_literal(repr(value)) == value
    if not isinstance(value, str):  # text of text is text
        assert parse_literal(json.dumps(value)) == value


@pytest.mark.parametrize("text", [json.dumps(GROUPINGS), str(GROUPINGS), f"\n{GROUPINGS} "])
def test_an_object_is_read_from_json_and_from_python_text(text: str) -> None:
    assert parse_literal(text) == GROUPINGS


@pytest.mark.parametrize("text", ["", "  ", "None", "null", " None\n"])
def test_empty_text_and_none_mean_not_given(text: str) -> None:
    assert not is_given(text)
    assert parse_literal(text) is None


@pytest.mark.parametrize("value", [0, False, [], {}, "0", "none of them"])
def test_other_values_are_given(value: object) -> None:
    assert is_given(value)


@pytest.mark.parametrize("text", ["{", "x y", "[" * 100_000, "__import__('os')", "f()"])
def test_text_that_is_not_a_literal_is_returned_as_it_is(text: str) -> None:
    assert parse_literal(text) == text


@pytest.mark.parametrize("value", [None, {"a": 1}, b"a", 1.5, True])
def test_what_is_not_a_list_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=f"labels is of type {type(value).__name__}"):
        parse_list(value, name="labels")


def test_text_that_starts_like_a_list_is_refused_without_its_content() -> None:
    with pytest.raises(InvalidArgumentError, match="labels is text that starts like") as caught:
        parse_list("[hunter2", name="labels")
    assert "hunter2" not in str(caught.value)
