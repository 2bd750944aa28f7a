from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from export_formats import POSTS, Post, attributes, content
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery as google
from run_operator import run

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections import read_collection
from airflow_provider_engagement.rows.schema import COVERAGE, Column
from airflow_provider_engagement.sinks.bigquery.names import TableName
from airflow_provider_engagement.sinks.bigquery.tables import table_schema
from airflow_provider_engagement.sinks.bigquery.tweets import (
    LABEL_COLUMNS,
    TWEET_COLUMNS,
    TweetBatch,
    TweetTable,
    tweets_script,
)
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.usefixtures("airflow_home")

GOLDEN = Path(__file__).parents[1] / "golden"
ORIGINALS = [post for post in POSTS if post.kind != "repost"]
MOMENT = datetime(2026, 11, 20, tzinfo=UTC)


def transfer(tweet_ids: Any, table: str, **more: Any) -> EngagementTweetsToBigQueryOperator:
    return EngagementTweetsToBigQueryOperator(
        task_id="tweets", tweet_ids=tweet_ids, destination_table=table, **more
    )


def tweets_of(bigquery: BigQuery, table: str) -> dict[str, dict[str, Any]]:
    rows = bigquery.rows(f"SELECT * FROM {table}")  # noqa: S608 - a table of ours
    found = {row["tweet_id"]: row for row in rows}
    assert len(found) == len(rows), "a Tweet is there twice"
    return found


def labels_of(bigquery: BigQuery, table: str) -> dict[tuple[str, str], str]:
    rows = bigquery.rows(f"SELECT * FROM {table}_labels")  # noqa: S608 - a table of ours
    found = {(row["tweet_id"], row["label"]): row["value"] for row in rows}
    assert len(found) == len(rows), "a label is there twice"
    return found


@pytest.fixture
def table(dataset: str) -> str:
    return f"{dataset}.tweets"


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes posts in a format, and returns the file's URI."""

    def write(name: str, posts: Any = POSTS) -> str:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}-{name}"
        path.write_bytes(content(name, posts))
        return f"file://{path}"

    return write


# ---- What is written -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["power_track.json.gz", "v2.json"])
def test_attributes_of_an_export_are_written(
    name: str, export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    ran = run(transfer(export(name), table))
    assert tweets_of(bigquery, table) == {post.tweet_id: attributes(post) for post in ORIGINALS}
    full_name = f"{bigquery.client.project}.{table}"
    assert ran.value == {"table": full_name, "rows": len(ORIGINALS), "labels": 0}
    assert ran.summary["skipped"]["reposts"] == 1
    dataset, _, name = table.partition(".")
    assert f"2s{dataset}!3s{name}" in ran.xcoms["destination_url"]


def test_other_columns_of_a_csv_file_are_labels(
    export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    ran = run(transfer(export("table.csv"), table))
    labels = labels_of(bigquery, table)
    expected = {post.tweet_id: post.campaign for post in ORIGINALS if post.campaign}
    found = {tweet_id: value for (tweet_id, label), value in labels.items() if label == "campaign"}
    assert found == expected
    assert ran.value["labels"] == len(labels)


def test_a_folder_in_a_bucket_is_read(gcs: Gcs, bigquery: BigQuery, table: str) -> None:
    bucket = gcs.make_bucket()
    for number, name in enumerate(("power_track.json", "ids.txt")):
        bucket.blob(f"inbox/{number}-{name}").upload_from_string(content(name, ORIGINALS[number:]))
    run(transfer(f"gs://{bucket.name}/inbox/", table))
    assert tweets_of(bigquery, table) == {post.tweet_id: attributes(post) for post in ORIGINALS}


def test_ids_alone_give_rows_with_url_and_time(bigquery: BigQuery, table: str) -> None:
    run(transfer(["1260294888811347969"], table))
    (row,) = tweets_of(bigquery, table).values()
    assert row["url"] == "https://x.com/i/status/1260294888811347969"
    assert row["created_at"] == attributes(POSTS[0])["created_at"]
    assert row["text"] is None


def test_reposts_can_be_kept(export: Callable[..., str], bigquery: BigQuery, table: str) -> None:
    run(transfer(export("power_track.json"), table, reposts="keep"))
    assert {*tweets_of(bigquery, table)} == {post.tweet_id for post in POSTS}


def test_the_id_column_can_be_named(tmp_path: Path, bigquery: BigQuery, table: str) -> None:
    (tmp_path / "a.csv").write_text("post,campaign\n1260294888811347969,autumn\n")
    run(transfer(f"file://{tmp_path}/a.csv", table, id_column="post"))
    assert labels_of(bigquery, table) == {("1260294888811347969", "campaign"): "autumn"}


def test_an_empty_collection_writes_nothing_and_warns(
    bigquery: BigQuery, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran = run(transfer("{{ '[]' }}", f"{dataset}.tweets"))
    assert ran.value == {"table": f"{dataset}.tweets", "rows": 0, "labels": 0}
    assert "The collection is empty" in caplog.text
    assert list(bigquery.client.list_tables(dataset)) == []


def test_an_empty_list_is_refused_when_the_dag_is_parsed(dataset: str) -> None:
    with pytest.raises(InvalidArgumentError, match="tweet_ids is an empty list"):
        transfer([], f"{dataset}.tweets")


# ---- Updates ---------------------------------------------------------------------------------


def test_a_repeated_run_changes_nothing(
    export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    for _ in range(2):
        run(transfer(export("table.csv"), table))
        run(transfer(export("power_track.json"), table))
    before = tweets_of(bigquery, table), labels_of(bigquery, table)
    run(transfer(export("power_track.json"), table))
    assert (tweets_of(bigquery, table), labels_of(bigquery, table)) == before


def test_a_later_call_updates_what_its_source_has(
    export: Callable[..., str], bigquery: BigQuery, table: str, tmp_path: Path
) -> None:
    post = POSTS[0]
    run(transfer(export("power_track.json"), table))
    (tmp_path / "late.csv").write_text(f"tweet_id,text,campaign\n{post.tweet_id},New,winter\n")
    run(transfer(f"file://{tmp_path}/late.csv", table))
    rows = tweets_of(bigquery, table)
    assert rows[post.tweet_id] == attributes(post) | {"text": "New"}
    assert rows[POSTS[4].tweet_id] == attributes(POSTS[4])
    assert labels_of(bigquery, table) == {(post.tweet_id, "campaign"): "winter"}


def test_ids_alone_leave_all_columns_as_they_are(
    export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    run(transfer(export("table.csv"), table))
    before = tweets_of(bigquery, table), labels_of(bigquery, table)
    run(transfer(export("ids.txt", ORIGINALS), table))
    assert (tweets_of(bigquery, table), labels_of(bigquery, table)) == before


def test_hashtags_that_were_removed_are_removed(
    export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    with_tags = Post("1260294888811347969", hashtags=("sale", "autumn"))
    for tags in (("sale", "autumn"), (), ("winter",)):
        post = Post(with_tags.tweet_id, hashtags=tags)
        run(transfer(export("power_track.json", [post]), table))
        assert tweets_of(bigquery, table)[post.tweet_id]["hashtags"] == list(tags)


def test_labels_are_updated_and_never_deleted(
    bigquery: BigQuery, table: str, tmp_path: Path
) -> None:
    path, tweet_id = tmp_path / "a.csv", ORIGINALS[0].tweet_id
    for text in ("campaign,team\n{},autumn,north\n", "campaign\n{},winter\n"):
        path.write_text("tweet_id," + text.format(tweet_id))
        run(transfer(f"file://{path}", table))
    assert labels_of(bigquery, table) == {
        (tweet_id, "campaign"): "winter",
        (tweet_id, "team"): "north",
    }


def make_table(bigquery: BigQuery, table: str, column: str) -> None:
    """Create a table that has ids, and one more column of text."""
    columns = [Column("tweet_id", "STRING", True, ""), Column(column, "STRING", False, "")]
    name = f"{bigquery.client.project}.{table}"
    bigquery.client.create_table(google.Table(name, schema=table_schema(columns)))


def test_missing_columns_are_added(bigquery: BigQuery, table: str) -> None:
    make_table(bigquery, table, "mine")
    # The emulator adds columns to the table's description only, so that no row can be written.
    with pytest.raises(BadRequest, match='does not have a column with name "url"'):
        run(transfer(["1260294888811347969"], table))
    fields = {field.name: field.mode for field in bigquery.client.get_table(table).schema}
    assert {*fields} == {"mine", *(column.name for column in TWEET_COLUMNS)}
    assert fields["hashtags"] == "REPEATED"


def test_a_column_of_another_type_is_refused(bigquery: BigQuery, table: str) -> None:
    make_table(bigquery, table, "hashtags")
    with pytest.raises(AirflowFailException, match=r"hashtags of .* is STRING, and must be ARRAY"):
        run(transfer(["20"], table))


def test_two_writers_at_once_write_each_tweet_once(
    export: Callable[..., str], bigquery: BigQuery, table: str
) -> None:
    failures: list[BaseException] = []

    def write(uri: str) -> None:
        try:
            # Not through the operator: Airflow 2.11 executes operators in the main thread only.
            TweetTable(bigquery.client, table).write(read_collection(uri))
        except BaseException as error:  # noqa: BLE001 - raised in the test's own thread, below
            failures.append(error)

    uris = [export("table.csv"), export("power_track.json")]
    threads = [threading.Thread(target=write, args=(uri,)) for uri in uris]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {*tweets_of(bigquery, table)} == {post.tweet_id for post in ORIGINALS}
    assert labels_of(bigquery, table)
    names = {found.table_id for found in bigquery.client.list_tables(table.partition(".")[0])}
    assert names == {"tweets", "tweets_labels", "tweets_lock"}


# ---- Deleted Tweets --------------------------------------------------------------------------


def cover(bigquery: BigQuery, table: str, *outcomes: tuple[str, str, int]) -> str:
    """Fill a coverage table: with ids, statuses and days of the answer."""
    name = f"{bigquery.client.project}.{table}_coverage"
    bigquery.client.create_table(google.Table(name, schema=table_schema(COVERAGE)), exists_ok=True)
    for tweet_id, status, day in outcomes:
        moment = MOMENT + timedelta(days=day)
        bigquery.rows(
            f"INSERT INTO `{name}` (account, endpoint, date, tweet_id, status, collected_at) "  # noqa: S608 - a table of ours
            f"VALUES ('acme', 'totals', DATE '{moment.date()}', '{tweet_id}', '{status}', "
            f"TIMESTAMP '{moment.isoformat()}')"
        )
    return f"{table}_coverage"


def test_a_deleted_tweet_keeps_its_id_and_loses_its_text(
    export: Callable[..., str], bigquery: BigQuery, table: str, dataset: str
) -> None:
    deleted, back, foreign, alive, late = (post.tweet_id for post in ORIGINALS)
    run(transfer(export("power_track.json"), table))
    coverage = cover(
        bigquery,
        f"{dataset}.counts",
        (deleted, "answered", 0),
        (deleted, "unavailable", 1),
        (back, "unavailable", 0),
        (back, "answered", 1),
        (foreign, "forbidden", 2),
        (alive, "answered", 0),
        (late, "unavailable", 0),
        (late, "forbidden", 1),
    )
    # What the file says does not bring the text back, and Tweets that it does not hold lose theirs.
    run(transfer(export("power_track.json", ORIGINALS[:3]), table, coverage_table=coverage))
    expected = {post.tweet_id: attributes(post) for post in ORIGINALS}
    for tweet_id in (deleted, late):
        expected[tweet_id]["text"] = None
    assert tweets_of(bigquery, table) == expected


def test_the_text_of_a_deleted_tweet_can_be_kept(
    export: Callable[..., str], bigquery: BigQuery, table: str, dataset: str
) -> None:
    coverage = cover(bigquery, f"{dataset}.counts", (POSTS[0].tweet_id, "unavailable", 0))
    uri = export("power_track.json")
    run(transfer(uri, table, coverage_table=coverage, keep_text="{{ True }}"))
    assert tweets_of(bigquery, table)[POSTS[0].tweet_id]["text"] == POSTS[0].shown


def test_a_coverage_table_that_does_not_exist_is_refused(table: str) -> None:
    with pytest.raises(AirflowFailException, match="coverage_table: there is no table"):
        run(transfer(["20"], table, coverage_table=f"{table}_other"))


# ---- The script ------------------------------------------------------------------------------


@pytest.mark.parametrize("has_coverage", [True, False])
def test_the_script_is_as_in_the_golden_file(*, has_coverage: bool) -> None:
    target = TableName("p", "d", "tweets")
    coverage = target.beside("counts_coverage") if has_coverage else None
    script = tweets_script(TweetBatch(target, target.beside("staging"), coverage))
    name = "upsert-tweets-with-coverage.sql" if has_coverage else "upsert-tweets.sql"
    assert script == (GOLDEN / name).read_text()
    assert "DELETE" not in script


def test_tables_have_the_columns_of_a_collection() -> None:
    assert [column.name for column in TWEET_COLUMNS] == [*attributes(POSTS[0])]
    assert [column.name for column in LABEL_COLUMNS] == ["tweet_id", "label", "value"]
