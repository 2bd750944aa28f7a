"""Reports on folders of files: which files count, and which of several answers."""

from __future__ import annotations

import shutil
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_checks import (
    EVEN_LATER,
    LATER,
    START,
    coverage_row,
    coverage_table,
    hour_row,
    lifetime_row,
    rows_table,
)

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.reading import PlainFiles
from airflow_provider_engagement.reports import duckdb_tables
from airflow_provider_engagement.reports.duckdb_engine import DuckDBEngine
from airflow_provider_engagement.reports.views import VIEWS
from airflow_provider_engagement.rows.wide import pivoted
from airflow_provider_engagement.sinks.manifest import Entry, Manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TWEET = lifetime_row()["tweet_id"]
DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "counts").mkdir()
    return tmp_path / "counts"


def write(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows_table(*rows), path)
    return path


def finish(folder: Path, *names: str, file_format: str = "parquet") -> None:
    """Write the manifest of a task's folder."""
    pq.write_table(coverage_table(coverage_row()), folder / "coverage-0123456789ab.parquet")
    entries = [Entry(name, f"gs://elsewhere/{name}", 1, 1, "") for name in names]
    coverage = Entry("coverage-0123456789ab.parquet", "gs://elsewhere/c", 1, 1, "")
    manifest = Manifest(
        attempt="a",
        fingerprint="f",
        format=file_format,
        layout="long",
        objects=tuple(entries),
        coverage=coverage,
        collected_at=LATER,
    )
    (folder / "manifest.json").write_bytes(manifest.packed())


def query(folder: Path, sql: str, tweets: Path | None = None) -> list[dict[str, Any]]:
    about = None if tweets is None else tweets.as_uri() + ("/" if tweets.is_dir() else "")
    engine = DuckDBEngine(f"{folder.as_uri()}/", about, store=PlainFiles())
    try:
        found: list[dict[str, Any]] = engine.query(sql).to_pylist()
        return found
    finally:
        engine.close()


def day_row(**changes: Any) -> dict[str, Any]:
    midnight = START.replace(hour=0)
    whole = {"granularity": "day", "period_start": midnight, "period_end": midnight + DAY}
    return hour_row(**{**whole, **changes})


# ---- Which files -----------------------------------------------------------------------------


def test_only_files_that_a_manifest_lists_are_read(folder: Path) -> None:
    done, unfinished = folder / "totals/acme/1", folder / "totals/acme/2"
    write(done / "part-00000-0123456789ab.parquet", lifetime_row(value=5))
    write(done / "part-00000-ba9876543210.parquet", lifetime_row(value=7, snapshot_at=LATER))
    finish(done, "part-00000-0123456789ab.parquet")
    write(unfinished / "part-00000-0123456789ab.parquet", lifetime_row(snapshot_at=EVEN_LATER))
    write(folder / "_staging/part.parquet", lifetime_row(snapshot_at=EVEN_LATER))
    assert query(folder, "SELECT impressions FROM {latest}") == [{"impressions": 5}]
    assert query(folder, "SELECT status FROM {coverage}") == [{"status": "answered"}]


def test_files_of_output_path_are_read_with_their_coverage(folder: Path) -> None:
    write(folder / "2026-11-21.parquet", lifetime_row(value=5))
    pq.write_table(coverage_table(coverage_row()), folder / "2026-11-21.coverage.parquet")
    assert query(folder, "SELECT impressions FROM {latest}") == [{"impressions": 5}]
    assert query(folder, "SELECT status FROM {coverage}") == [{"status": "answered"}]


def test_wide_and_long_files_are_read_together(folder: Path) -> None:
    write(folder / "long.parquet", lifetime_row(value=5))
    wide = pivoted(
        rows_table(
            lifetime_row(engagement_type="favorites", value=2),
            lifetime_row(engagement_type="engagements", value=3),
        )
    )
    pq.write_table(wide, folder / "wide.parquet")
    (row,) = query(folder, "SELECT * FROM {latest}")
    assert [row[name] for name in ("impressions", "engagements", "favorites", "retweets")] == [
        5,
        3,
        2,
        None,
    ]
    assert row["engagement_rate"] == 3 / 5


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.txt", b"", "holds no finished Parquet files of counts"),
        ("missing", None, "does not exist"),
    ],
)
def test_a_folder_without_counts_is_refused(
    folder: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is None:
        folder /= name
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=message):
        query(folder, "SELECT 1")


def test_files_that_hold_something_else_are_refused(folder: Path) -> None:
    pq.write_table(pa.table({"tweet_id": ["1"]}), folder / "tweets.parquet")
    with pytest.raises(InvalidArgumentError, match="holds no counts: it has no column access"):
        query(folder, "SELECT 1")


def test_a_folder_of_json_lines_is_refused_with_the_cause(folder: Path) -> None:
    finish(folder, "part-00000-0123456789ab.jsonl", file_format="jsonl")
    with pytest.raises(InvalidArgumentError, match="holds jsonl files, and only Parquet"):
        query(folder, "SELECT 1")


# ---- Which answer ----------------------------------------------------------------------------


def test_the_first_answer_of_a_snapshot_stands(folder: Path) -> None:
    write(folder / "a.parquet", lifetime_row(value=9, collected_at=EVEN_LATER))
    write(folder / "b.parquet", lifetime_row(value=5, collected_at=LATER))
    write(folder / "c.parquet", lifetime_row(value=1, snapshot_at=START - DAY))
    (row,) = query(folder, "SELECT impressions, collected_at, snapshot_at FROM {latest}")
    assert row == {"impressions": 5, "collected_at": LATER, "snapshot_at": START}


def test_the_newest_complete_answer_of_a_day_counts(folder: Path) -> None:
    write(folder / "a.parquet", day_row(value=9, collected_at=START))
    write(folder / "b.parquet", day_row(value=5, collected_at=LATER))
    write(folder / "c.parquet", day_row(value=1, complete=False, collected_at=EVEN_LATER))
    assert query(folder, "SELECT impressions, tweets FROM {daily}") == [
        {"impressions": 5, "tweets": 1}
    ]


def hours(number: int, first: int = 0, **changes: Any) -> list[dict[str, Any]]:
    starts = [START.replace(hour=0) + timedelta(hours=n) for n in range(first, first + number)]
    return [
        hour_row(period_start=start, period_end=start + timedelta(hours=1), value=2, **changes)
        for start in starts
    ]


def test_hours_are_summed_only_if_all_are_there_and_complete(folder: Path) -> None:
    path = folder / "a.parquet"
    write(path, *hours(24))
    assert query(folder, "SELECT impressions FROM {daily}") == [{"impressions": 48}]
    write(path, *hours(23))
    assert query(folder, "SELECT impressions FROM {daily}") == []
    write(path, *hours(23), *hours(1, 23, complete=False))
    assert query(folder, "SELECT impressions FROM {daily}") == []
    born = START.replace(hour=10, minute=30)
    write(path, *hours(14, 10, tweet_created_at=born))
    assert query(folder, "SELECT impressions FROM {daily}") == [{"impressions": 28}]
    write(path, *hours(24), day_row(value=7))
    assert query(folder, "SELECT impressions FROM {daily}") == [{"impressions": 7}]


def test_growth_reaches_to_the_full_hour_at_or_after_the_age(folder: Path) -> None:
    midnight = START.replace(hour=0)
    for born, needed in ((midnight, 24), (midnight + timedelta(milliseconds=1), 25)):
        for number, is_there in ((needed, True), (needed - 1, False)):
            write(folder / "a.parquet", *hours(number, tweet_created_at=born))
            rows = query(folder, "SELECT * FROM {growth} WHERE age = '24 hours'")
            assert [row["impressions"] for row in rows] == ([2 * needed] if is_there else [])
            assert [row["window_end"] for row in rows] == (
                [midnight + timedelta(hours=needed)] if is_there else []
            )


def test_a_rate_over_nothing_is_null(folder: Path) -> None:
    both = (lifetime_row(value=0), lifetime_row(engagement_type="engagements", value=3))
    write(folder / "a.parquet", *both)
    assert query(folder, "SELECT engagement_rate FROM {latest}") == [{"engagement_rate": None}]
    write(folder / "a.parquet", lifetime_row(engagement_type="engagements", value=3))
    assert query(folder, "SELECT engagement_rate FROM {latest}") == [{"engagement_rate": None}]


def test_a_rate_is_of_one_snapshot(folder: Path) -> None:
    later = lifetime_row(engagement_type="engagements", value=3, snapshot_at=LATER)
    write(folder / "a.parquet", lifetime_row(value=9), later)
    (row,) = query(folder, "SELECT impressions, engagements, engagement_rate FROM {latest}")
    assert row == {"impressions": 9, "engagements": 3, "engagement_rate": None}


def test_a_tweet_of_two_accounts_counts_once_in_its_campaign(folder: Path, tmp_path: Path) -> None:
    other = lifetime_row(account="rival", access="public", snapshot_at=LATER, value=50)
    write(folder / "a.parquet", lifetime_row(value=9), other)
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(f"tweet_id,campaign\n{TWEET},spring\n")
    assert query(folder, "SELECT campaign, tweets, impressions FROM {campaigns}", tweets) == [
        {"campaign": "spring", "tweets": 1, "impressions": 9}
    ]


# ---- What is known of the Tweets -------------------------------------------------------------


def test_of_several_parquet_files_the_last_that_says_something_counts(
    folder: Path, tmp_path: Path
) -> None:
    write(folder / "a.parquet", lifetime_row())
    tweets = tmp_path / "tweets"
    tweets.mkdir()
    for name, text, campaign in (("a", "old", "spring"), ("b", "new", None)):
        table = pa.table({"tweet_id": [TWEET], "text": [text], "campaign": [campaign]})
        pq.write_table(table, tweets / f"{name}.parquet")
    assert query(folder, "SELECT text FROM {top}", tweets) == [{"text": "new"}]
    assert query(folder, "SELECT label, value FROM {labels}", tweets) == [
        {"label": "campaign", "value": "spring"}
    ]


def test_labels_may_lie_in_a_folder_beside_the_tweets(folder: Path, tmp_path: Path) -> None:
    write(folder / "a.parquet", lifetime_row())
    tweets, labels = tmp_path / "tweets", tmp_path / "tweets_labels"
    for each in (tweets, labels):
        each.mkdir()
    pq.write_table(pa.table({"tweet_id": [TWEET], "text": ["hello"]}), tweets / "t.parquet")
    label = {"tweet_id": [TWEET], "label": ["campaign"], "value": ["spring"]}
    pq.write_table(pa.table(label), labels / "l.parquet")
    assert query(folder, "SELECT campaign, tweets FROM {campaigns}", tweets) == [
        {"campaign": "spring", "tweets": 1}
    ]


# ---- How it is done --------------------------------------------------------------------------


def test_passes_over_parts_of_the_tweets_change_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [str(int(TWEET) + n) for n in range(40)]
    rows = [lifetime_row(tweet_id=item, value=n % 7) for n, item in enumerate(ids)]
    born = START.replace(hour=0)
    rows += [row for item in ids[::3] for row in hours(24, tweet_id=item, tweet_created_at=born)]
    write(folder / "a.parquet", *rows)
    tweets = tmp_path / "tweets.csv"
    lines = [f"{item},c{n % 3},{n % 2 == 0}" for n, item in enumerate(ids)]
    tweets.write_text("\n".join(["tweet_id,campaign,has_link", *lines]))

    def all_rows() -> list[list[str]]:
        found = (query(folder, f"SELECT * FROM {{{name}}}", tweets) for name in VIEWS)  # noqa: S608 - a name of a view
        return [sorted(map(repr, rows)) for rows in found]

    at_once = all_rows()
    assert all(at_once)
    monkeypatch.setattr(duckdb_tables, "_ROWS_AT_ONCE", 100)
    assert all_rows() == at_once


def test_the_script_makes_the_same_views_elsewhere(folder: Path, tmp_path: Path) -> None:
    write(folder / "it's.parquet", lifetime_row(), *hours(24))
    tweets = tmp_path / "tweets.csv"
    tweets.write_text(f'tweet_id,text,campaign\n{TWEET},"it\'s",spring\n')
    engine = DuckDBEngine(f"{folder.as_uri()}/", tweets.as_uri(), store=PlainFiles())
    names = ("latest", "daily", "top", "campaigns", "types", "benchmark", "rollup")
    try:

        def put(path: Path, uri: str) -> None:
            shutil.copy(path, uri.removeprefix("file://"))

        (uri,) = engine.publish(put)
        expected = {name: engine.query(f"SELECT * FROM {{{name}}}") for name in names}  # noqa: S608 - a name of a view
    finally:
        engine.close()
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute((folder / "counts_views.sql").read_text())
    assert uri == f"{folder.as_uri()}/counts_views.sql"
    for name, table in expected.items():
        found = connection.execute(f"SELECT * FROM counts_{name}").to_arrow_table()  # noqa: S608 - a name of a view
        assert table.num_rows
        assert sorted(map(repr, found.to_pylist())) == sorted(map(repr, table.to_pylist())), name
    comments = connection.execute(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'counts_latest'"
    ).fetchall()
    assert all(comment for (comment,) in comments)
    # What it wrote is not read as counts.
    assert len(query(folder, "SELECT * FROM {rows}")) == 25


def test_parameters_are_values_not_sql(folder: Path) -> None:
    write(folder / "a.parquet", lifetime_row(account="it's"))
    engine = DuckDBEngine(f"{folder.as_uri()}/", store=PlainFiles())
    sql = "SELECT account FROM {latest} WHERE account IN UNNEST(@some) AND snapshot_at < @moment"
    try:
        values: dict[str, Any] = {
            "some": ["it's", "other"],
            "moment": EVEN_LATER,
        }
        assert engine.query(sql, values).to_pylist() == [{"account": "it's"}]
    finally:
        engine.close()
