from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.hooks.storage import read_tweet_ids

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
