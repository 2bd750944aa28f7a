from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.hooks.storage import AirflowFiles, put_file, read_tweet_ids

if TYPE_CHECKING:
    from pathlib import Path


def test_ids_are_read_from_a_value_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("20\n21\n20\n")
    assert read_tweet_ids(["20", 21, "20"]) == ["20", "21"]
    assert read_tweet_ids(f"file://{tmp_path}/ids.txt") == ["20", "21"]


def test_a_file_that_cannot_be_read_names_the_parameter_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("20\nhunter2\n")
    with pytest.raises(InvalidArgumentError, match=r"^tweet_ids: file://.*ids.txt, line 2") as told:
        read_tweet_ids(f"file://{tmp_path}/ids.txt")
    assert "hunter2" not in str(told.value)
    with pytest.raises(InvalidArgumentError, match=r"^tweet_ids: file://.*none.txt does not exist"):
        read_tweet_ids(f"file://{tmp_path}/none.txt")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://data/x", "file://data/x names the host data.*: file:///data/x.$"),
        ("data/x", r"data/x has no scheme.*from the root: file:///folder/data/x.$"),
        ("/data/x", r"/data/x has no scheme.*: file:///data/x.$"),
        ("x", r"x has no scheme.*: file:///folder/x.$"),
    ],
)
def test_a_uri_without_a_root_says_what_to_write(tmp_path: Path, uri: str, message: str) -> None:
    source = tmp_path / "rows"
    source.write_text("20\n")
    with pytest.raises(InvalidArgumentError, match=message):
        put_file(source, uri)
    with pytest.raises(InvalidArgumentError, match=message), AirflowFiles().open(uri):
        pass


def test_a_file_is_read_and_written_by_its_path_from_the_root(tmp_path: Path) -> None:
    source = tmp_path / "rows"
    source.write_text("20\n")
    for authority in ("", "localhost"):
        uri = f"file://{authority}{tmp_path}/there/ids.txt"
        put_file(source, uri)
        assert read_tweet_ids(f" {uri}\n") == ["20"]


def test_the_ids_column_of_a_file_or_of_rows_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("tweet_id,original\n20,21\n")
    assert read_tweet_ids(f"file://{tmp_path}/ids.csv", id_column="original") == ["21"]
    assert read_tweet_ids([{"tweet_id": 20, "original": 21}], id_column="original") == ["21"]
