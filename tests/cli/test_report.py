from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command

    from airflow_provider_engagement.simulator import World


@pytest.mark.usefixtures("service")
def test_a_report_is_made_of_what_pull_wrote(
    engagement: Command, world: World, tweets: list[str], tmp_path: Path
) -> None:
    (tmp_path / "counts").mkdir()
    for endpoint, options in (("historical", ("--start", "9d")), ("totals", ())):
        output = tmp_path / "counts" / f"{endpoint}.parquet"
        pulled = engagement("pull", endpoint, *tweets, *options, "-o", output)
        assert pulled.code == ExitCode.OK, pulled.err
    known = tmp_path / "tweets.csv"
    known.write_text("\n".join(["tweet_id,campaign", *(f"{each},spring" for each in tweets)]))
    folder = tmp_path / "report"
    options = ("--tweets", known, "--start", "7d", "--top", "3")
    ended = engagement("report", tmp_path / "counts", "-o", folder, *options)
    assert ended.code == ExitCode.OK, ended.err
    assert ended.out.splitlines()[0] == f"file://{folder}/report.html"
    assert {path.name for path in folder.iterdir()} == {
        *("report.html", "days.csv", "accounts.csv", "campaigns.csv", "top_tweets.csv")
    }
    assert "<html" in (folder / "report.html").read_text()
    with (folder / "top_tweets.csv").open(encoding="utf-8-sig") as file:
        best = [row for row in csv.DictReader(file) if row["engagement_type"] == "favorites"]
    assert "spring," in (folder / "campaigns.csv").read_text()
    values = sorted((world.count(each, "favorites") for each in tweets), reverse=True)
    assert [int(row["value"]) for row in best] == values[:3]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none", "-o", "report"), "neither a file or folder that exists"),
        (("none.parquet", "-o", "report"), "neither a file or folder that exists"),
        ((".", "-o", "report", "--end", "1d"), "--end needs --start"),
        ((".", "-o", "report", "--start", "1d", "--end", "2d"), "is empty"),
        ((".", "-o", "report", "--top", "0"), "not a whole number above zero"),
        ((".",), "required: -o/--output"),
    ],
)
def test_what_a_report_cannot_be_made_of_is_a_usage_error(
    engagement: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = engagement("report", *arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert words in ended.err
    assert list(tmp_path.iterdir()) == []
