from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from command_line import counts, read_csv, true_counts

from airflow_provider_engagement.cli.exit_codes import ExitCode
from airflow_provider_engagement.simulator import Faults

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Command

    from airflow_provider_engagement.simulator import Simulator, World


def test_rows_go_to_standard_output_as_csv_and_messages_do_not(
    engagement: Command, service: Simulator, world: World, tweets: list[str]
) -> None:
    ended = engagement("pull", "totals", *tweets)
    assert ended.code == ExitCode.OK
    assert counts(read_csv(ended.out)) == true_counts(world, tweets)
    assert "Of 20 Tweets: 20 answered." in ended.err
    assert len(service.requests) == 1


def test_quiet_shows_errors_only(engagement: Command, service: Simulator) -> None:
    ended = engagement("pull", "totals", "20", "-q", "--types", "favorites")
    assert (ended.code, ended.err) == (ExitCode.OK, "")
    assert service.requests
    ended = engagement("pull", "totals", "20", "-q", "--types", "hearts")
    assert ended.code == ExitCode.USAGE
    assert "'hearts', which is not an engagement type" in ended.err


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_has_the_format_of_its_name(
    engagement: Command, world: World, tweets: list[str], tmp_path: Path, ending: str
) -> None:
    ids, output = tmp_path / "ids.txt", tmp_path / f"counts.{ending}"
    ids.write_text("\n".join(tweets))
    ended = engagement("pull", "totals", ids, "-o", output)
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    if ending == "csv":
        rows: list[Any] = read_csv(output.read_text())
    elif ending == "jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    else:
        rows = pq.read_table(output).to_pylist()
    assert counts(rows) == true_counts(world, tweets)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"counts.{ending}", "ids.txt"]


@pytest.mark.usefixtures("service")
def test_a_spreadsheet_reads_ids_as_text(engagement: Command, tweets: list[str]) -> None:
    plain = engagement("pull", "totals", tweets[0], "--types", "favorites")
    assert f',"{tweets[0]}",' in plain.out
    safe = engagement("pull", "totals", tweets[0], "--types", "favorites", "--spreadsheet")
    assert read_csv(safe.out)[0]["tweet_id"] == f'="{tweets[0]}"'
    refused = engagement("pull", "totals", "20", "--spreadsheet", "--format", "jsonl")
    assert refused.code == ExitCode.USAGE


def test_a_partial_answer_has_its_own_exit_code(
    engagement: Command, service: Simulator, world: World, tweets: list[str], tmp_path: Path
) -> None:
    world.deleted.update(tweets[:2])
    coverage = tmp_path / "coverage.jsonl"
    ended = engagement("pull", "totals", *tweets, "--coverage", coverage)
    assert ended.code == ExitCode.PARTIAL
    assert counts(read_csv(ended.out)) == true_counts(world, tweets[2:])
    statuses = [json.loads(line) for line in coverage.read_text().splitlines()]
    missing = {row["tweet_id"] for row in statuses if row["status"] == "unavailable"}
    assert missing == set(tweets[:2])
    assert len(statuses) == len(tweets)
    accepted = engagement("pull", "totals", *tweets, "--max-missing-share", "0.1")
    assert (accepted.code, accepted.out != "") == (ExitCode.OK, True)
    refused = engagement("pull", "totals", *tweets, "--max-missing-share", "0.09")
    assert (refused.code, refused.out) == (ExitCode.NOT_WRITTEN, "")
    assert "18 of 20 Tweets were counted (2 unavailable)" in refused.err
    output = tmp_path / "counts.parquet"
    refused = engagement("pull", "totals", *tweets, "--max-missing-share", "0", "-o", output)
    assert (refused.code, output.exists()) == (ExitCode.NOT_WRITTEN, False)
    assert "ignored" not in refused.err
    assert len(service.requests) == 4


@pytest.mark.usefixtures("service")
def test_a_window_is_pulled_by_days(engagement: Command, world: World, tweets: list[str]) -> None:
    day = f"{world.now() - timedelta(days=3):%Y-%m-%d}"
    end = f"{world.now() - timedelta(days=2):%Y-%m-%d}"
    options = ("--start", day, "--end", end, "--types", "favorites,retweets")
    ended = engagement("pull", "historical", *tweets, *options)
    assert ended.code == ExitCode.OK
    rows = read_csv(ended.out)
    assert {row["date"] for row in rows} == {day}
    assert {row["engagement_type"] for row in rows} == {"favorites", "retweets"}
    ago = engagement("plan", "historical", *tweets, "--start", "3d", "--end", "2d", "--json")
    assert json.loads(ago.out)["window"]["start"] == f"{day}T00:00:00Z"


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("totals", "20", "--start", "7d"), "totals takes no window"),
        (("historical", "20"), "historical needs --start"),
        (("historical", "20", "--end", "1d"), "historical needs --start"),
        (("historical", "20", "--start", "2d", "--since-posting", "1d"), "without --start"),
        (("historical", "20", "--since-posting", "week"), "give days (7d) or hours (6h)"),
        (("28hr", "20", "--since-posting", "1d"), "28hr takes no window"),
        (("totals", "20", "--shard", "2/2"), "from 0 to n - 1"),
        (("historical", "20", "--start", "soon"), "give a date (2026-11-01)"),
        (("historical", "20", "--start", "1d", "--end", "2d"), "is empty"),
        (("totals", "mine"), "It is no file either."),
        (("totals", "none.csv"), "none.csv does not exist"),
        (("totals", "20", "-o", "counts.xls"), "known file format"),
        (("totals", "20", "-o", "none/counts.csv"), "in a folder that exists"),
        (("totals", "20", "--max-missing-share", "2"), "from 0 to 1"),
        (("totals", "20", "--granularity", "day"), "granularity on totals"),
    ],
)
def test_what_is_not_allowed_is_a_usage_error_and_sends_nothing(
    engagement: Command, service: Simulator, arguments: tuple[str, ...], words: str
) -> None:
    ended = engagement("pull", *arguments)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert words in ended.err
    assert not service.requests


def test_exit_codes_tell_credentials_from_a_service_that_fails(
    engagement: Command,
    service: Simulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = service.connection("acme")
    wrong = {**held, "password": "wrong-consumer-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_WRONG", json.dumps(wrong))
    assert engagement("pull", "totals", "20", "--conn-id", "wrong").code == ExitCode.ACCESS
    nowhere = {**held, "host": "http://127.0.0.1:9"}
    monkeypatch.setenv("AIRFLOW_CONN_NOWHERE", json.dumps(nowhere))
    ended = engagement("check", "--conn-id", "nowhere")
    assert ended.code == ExitCode.UNAVAILABLE
    assert "was not found at http://127.0.0.1:9" in ended.err


def test_a_pull_outlasts_faults(
    engagement: Command, service: Simulator, world: World, tweets: list[str]
) -> None:
    service.faults = Faults(share=0.3, kinds=("500", "truncated", "html"))
    ended = engagement("pull", "totals", *tweets, "-v")
    assert ended.code == ExitCode.OK
    assert counts(read_csv(ended.out)) == true_counts(world, tweets)
    assert "INFO Plan: 1 request" in ended.err


@pytest.mark.usefixtures("service")
def test_check_tells_what_the_credentials_can_request(engagement: Command) -> None:
    ended = engagement("check")
    assert ended.code == ExitCode.OK
    assert "Private counts of the owner's Tweets: totals, 28hr, historical." in ended.out


def test_a_plan_needs_no_credentials_and_sends_nothing(
    engagement: Command, tweets: list[str]
) -> None:
    ended = engagement("plan", "totals", *tweets, *tweets)
    assert ended.code == ExitCode.OK
    assert ended.out.startswith("1 request to totals for 20 Tweets, with owner access: ")
    assert "the plan assumes the owner's tokens" in ended.err


@pytest.mark.usefixtures("service")
def test_shards_have_each_tweet_once(engagement: Command, tweets: list[str]) -> None:
    found = []
    for index in range(3):
        ended = engagement(
            "pull", "totals", *tweets, "--types", "favorites", "--shard", f"{index}/3"
        )
        found += [row["tweet_id"] for row in read_csv(ended.out)]
    assert sorted(found) == sorted(tweets)


@pytest.mark.usefixtures("service")
def test_each_tweet_is_counted_from_its_posting(engagement: Command, tweets: list[str]) -> None:
    options = ("--since-posting", "24h", "--granularity", "hour", "--types", "favorites")
    ended = engagement("pull", "historical", *tweets, *options)
    assert ended.code == ExitCode.OK, ended.err
    rows = read_csv(ended.out)
    assert {row["tweet_id"] for row in rows} == set(tweets)
    for row in rows:
        created = datetime.fromisoformat(row["tweet_created_at"])
        after = datetime.fromisoformat(row["period_start"]) - created
        assert timedelta(hours=-1) <= after < timedelta(hours=24)
