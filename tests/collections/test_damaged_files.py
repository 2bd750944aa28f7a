"""Damaged files are read or refused; no error repeats their content."""

from __future__ import annotations

import copy
import io
import json
from typing import Any

import export_formats
import pytest
from export_formats import FORMATS, POSTS, content
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.collection import CollectionReader
from airflow_provider_engagement.collections.detection import read_file
from airflow_provider_engagement.collections.records import ReadOptions

WHOLE = {name: content(name, POSTS) for name in FORMATS}
OF_CONTENT = ("Sale", "quiet day", "acme", "bolt", "autumn")

fragments = st.binary(max_size=8) | st.sampled_from(
    [b"null", b"[]", b"{}", b"1e400", b"true", b"[[", b'"', b",", b"\n", b"\0", b"9" * 30, b'"id":']
)
damages = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), fragments), min_size=1, max_size=4
)
odd_values = st.sampled_from(
    [
        None,
        1,
        1.5,
        True,
        "",
        [],
        {},
        "x",
        [None],
        [[1]],
        "\ud800",
        {"media": [1]},
        {"urls": [{"expanded_url": 5}]},
        {"hashtags": [{"text": 5}, {"tag": None}]},
        {"users": [{"id": []}], "media": [{"media_key": {}}]},
    ]
)


def read_or_refuse(data: bytes, *, with_attributes: bool = True) -> None:
    message = fault(data, with_attributes=with_attributes)
    assert message.startswith("the file")
    assert not [word for word in OF_CONTENT if word in message]


def fault(data: bytes, *, with_attributes: bool) -> str:
    """Read a file, and return why it is refused."""
    reader = CollectionReader("the file", ReadOptions(with_attributes=with_attributes), "keep")
    try:
        reader.add(read_file, io.BytesIO(data), "the file")
        if with_attributes:
            collection = reader.collection()
            collection.attributes.validate(full=True)
            assert collection.attributes["tweet_id"].to_pylist() == collection.tweet_ids
    except InvalidArgumentError as error:
        return str(error)
    return "the file is read"


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(WHOLE)), damages, st.booleans())
def test_a_damaged_file_is_read_or_refused(
    name: str, changes: list[tuple[float, int, bytes]], with_attributes: bool
) -> None:
    data = bytearray(WHOLE[name])
    for place, removed, added in changes:
        start = int(place * len(data))
        data[start : start + removed] = added
    read_or_refuse(bytes(data), with_attributes=with_attributes)


SHAPES: dict[str, Any] = {
    "statuses": [export_formats.status(post) for post in POSTS],
    "extended statuses": [export_formats.status(post, whole=False) for post in POSTS],
    "activities": [export_formats.activity(post) for post in POSTS],
    "long activities": [export_formats.long_activity(post) for post in POSTS],
    "page of v2": export_formats.v2_page(POSTS),
    "archive": [export_formats.archived(post) for post in POSTS],
    "ids": {"ids": [post.tweet_id for post in POSTS]},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to each value within a value."""
    if not isinstance(value, (dict, list)):
        return []
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [p for key, each in inner for p in ((*path, key), *places(each, (*path, key)))]


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_objects_with_odd_values_are_read_or_refused(shape: str, data: st.DataObject) -> None:
    document = json.loads(json.dumps(SHAPES[shape]))
    for _ in range(data.draw(st.integers(1, 4))):
        *path, key = data.draw(st.sampled_from(places(document)))
        target = document
        for step in path:
            target = target[step]
        target[key] = copy.deepcopy(data.draw(odd_values))
        if not places(document):
            break
    read_or_refuse(json.dumps(document).encode())
