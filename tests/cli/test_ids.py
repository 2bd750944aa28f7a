from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.cli.exit_codes import ExitCode
from tools.env import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command

FIXTURES = ROOT / "tests" / "collections" / "fixtures"


def test_a_collection_is_described(engagement: Command) -> None:
    ended = engagement("ids", FIXTURES / "table.csv", "--json")
    facts = json.loads(ended.out)
    listed = engagement("ids", FIXTURES / "table.csv", "--list").out.split()
    assert facts["tweets"] == len(listed) > 0
    assert facts["attributes"]["url"] == len(listed)
    assert facts["labels"]
    text = engagement("ids", FIXTURES / "table.csv").out
    assert text.startswith(f"{len(listed)} Tweets\ncreated from ")
    for name, count in facts["labels"].items():
        assert f"{name} ({count})" in text


def test_several_sources_are_one_collection(
    engagement: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("20\n30\n")
    (tmp_path / "b.txt").write_text("40\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"tweet_id\n50\n20\n")))
    sources = ("*.txt", f"file://{tmp_path}/a.txt", "https://x.com/acme/status/60", "-", "70")
    ended = engagement("ids", *sources, "--list")
    assert (ended.code, ended.out.split()) == (ExitCode.OK, ["20", "30", "40", "60", "50", "70"])
    assert engagement("ids", tmp_path, "--list").out.split() == ["20", "30", "40"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("1.8e18", "Its last digits are lost"),
        ("words", "not all digits, but an id is a whole number from 1"),
        ("none/*.csv", "none"),
        ("s3x://bucket/ids.txt", "cannot be reached"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(
    engagement: Command, source: str, words: str
) -> None:
    ended = engagement("ids", source)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert words in ended.err
