from __future__ import annotations

import base64
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from export_formats import Post, attributes, content
from run_operator import counts, expected_counts

from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.services import google_environment, simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

DAG_ID = "engagement_daily"
NOW = datetime.now(UTC).replace(microsecond=0)
# So that a run in the last minutes of a day is not of a day that is over when it ends.
DATE = NOW + timedelta(minutes=10)
MIDNIGHT = DATE.replace(hour=0, minute=0, second=0)
SEED = 21
FAULTS = "429,500,502,503,truncated,malformed,html"

TYPES = ENDPOINTS["totals"].engagement_types
OLD_TYPES = tuple(name for name in TYPES if name not in {"impressions", "engagements"})


def make_collection() -> tuple[World, list[str], list[str]]:
    """Make 500 young Tweets and some old ones, with a foreign and a deleted one in every 250."""
    world = World(SEED, ("acme",), NOW)
    old = world.tweets("acme", 12, since=NOW - timedelta(500), until=NOW - timedelta(100))
    young = world.tweets("acme", 500, since=MIDNIGHT - timedelta(2), until=MIDNIGHT)
    for ids in (old, young):
        world.foreign |= set(ids[7::250])
        world.deleted |= set(ids[11::250])
    assert len(world.foreign) == len(world.deleted) == 3
    return world, old, young


WORLD, OLD, YOUNG = make_collection()
IDS = [*OLD, *YOUNG]
POSTS = {item: Post(item, text=f"The text of {item}", link="https://example.com") for item in IDS}
OWNED = [item for item in IDS if item not in WORLD.foreign | WORLD.deleted]


def expected() -> dict[tuple[str, str], int]:
    """Tell every count to date that the table has to hold."""
    return (
        expected_counts(WORLD, [item for item in OWNED if item in set(YOUNG)], TYPES)
        | expected_counts(WORLD, [item for item in OWNED if item in set(OLD)], OLD_TYPES)
        | expected_counts(WORLD, sorted(WORLD.foreign), PUBLIC_TYPES)
    )


def expected_by_day() -> dict[tuple[str, str, date], int]:
    """Return the expected daily counts: of 28 days, from a Tweet's creation on."""
    types = ENDPOINTS["historical"].engagement_types
    days = [MIDNIGHT - timedelta(days=before) for before in range(28, -1, -1)]
    edges = np.array([int(day.timestamp() * 1000) for day in days])
    events = WORLD.series(OWNED, types, edges)
    return {
        (item, name, day.date()): int(events[place, column, row])
        for place, item in enumerate(OWNED)
        for column, name in enumerate(types)
        for row, day in enumerate(days[:-1])
        if day + timedelta(days=1) > made_at(item)
    }


def made_at(tweet_id: str) -> datetime:
    made = created_at(tweet_id)
    assert made is not None
    return made


@dataclass(frozen=True, slots=True)
class Site:
    """Where the DAG runs.

    :param bigquery: where its table is.
    :param gcs: where its objects are.
    :param home: its Airflow's home.
    :param settings: its environment.
    :param connection: its connection to the service.
    :param url: the service.
    """

    bigquery: BigQuery
    gcs: Gcs
    home: Path
    settings: dict[str, str]
    connection: dict[str, Any]
    url: str

    def airflow(self, *arguments: str, **changes: str) -> tuple[int, str]:
        """Run an Airflow command; return its exit code and output."""
        ran = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "airflow", *arguments],
            env={**os.environ, **self.settings, **changes},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout

    def rows(self, table: str) -> list[dict[str, Any]]:
        return sorted(self.bigquery.rows(f"SELECT * FROM {table}"), key=repr)  # noqa: S608 - ours

    def objects(self) -> dict[str, bytes]:
        bucket = self.gcs.client.bucket(self.settings["AIRFLOW_VAR_ENGAGEMENT_BUCKET"])
        return {
            blob.name: bucket.blob(blob.name).download_as_bytes()
            for blob in bucket.list_blobs(prefix="engagement/")
        }


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_home: Path
) -> Iterator[Site]:
    folder: Path = request.getfixturevalue("emulated")
    gcs_url = request.getfixturevalue("_gcs_emulator").url
    bigquery_url = request.getfixturevalue("_bigquery_emulator").url
    gcs, bigquery = Gcs(gcs_url, folder / "store"), BigQuery(bigquery_url)
    bucket, dataset = gcs.make_bucket(), bigquery.make_dataset()
    bucket.blob("ids.txt").upload_from_string("tweet_id\n" + "\n".join(IDS))
    for number, name in enumerate(("power_track.json", "power_track.json.gz")):
        posts = [POSTS[item] for item in IDS[number::2]]
        bucket.blob(f"inbox/{number}-{name}").upload_from_string(content(name, posts))
    options = ["--seed", str(SEED), "--account", "acme", "--now", NOW.isoformat()]
    options += ["--foreign", ",".join(WORLD.foreign), "--deleted", ",".join(WORLD.deleted)]
    options += ["--faults", "0.2", "--fault-kinds", FAULTS]
    with simulator(tmp_path_factory.mktemp("simulator"), *options) as service:
        connection = service.connections["acme"]
        settings = {
            **google_environment(bigquery=bigquery_url, gcs=gcs_url),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(connection),
            "AIRFLOW_VAR_ENGAGEMENT_BUCKET": bucket.name,
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": f"{dataset}.totals",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/inbox/",
            "TMPDIR": str(tmp_path_factory.mktemp("pace")),
        }
        site = Site(bigquery, gcs, airflow_home, settings, connection, service.url)
        code, output = site.airflow(
            "pools", "set", "engagement_api", "4", "x", "--include-deferred"
        )
        assert code == 0, output
        yield site


@dataclass(frozen=True, slots=True)
class Runs:
    """What was seen of the runs, in the order in which they were made.

    :param output: the output of each command.
    :param rows: the table's rows after each of the good ones: counts to date, and others.
    :param coverage: the coverage rows: of counts to date, and others.
    :param tweets: the rows of the table of Tweets.
    :param objects: the bucket's objects.
    :param faults: how many faulty answers the service had given by then.
    """

    output: list[str]
    rows: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]
    coverage: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]
    tweets: list[list[dict[str, Any]]]
    objects: list[dict[str, bytes]]
    faults: list[int]


# Its tokens are of the right form, and as awkward as the right ones.
WRONG = {"access_token": "7-wrong+token/of=it", "access_token_secret": "wrong+secret/of=it=="}


@pytest.fixture(scope="module")
def runs(site: Site) -> Runs:
    """Run the DAG on a folder, on a list of the same ids, and once with wrong tokens."""
    seen = Runs([], [], [], [], [], [])
    folder = site.settings["AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS"]
    ids = folder.replace("/inbox/", "/ids.txt")
    table = site.settings["AIRFLOW_VAR_ENGAGEMENT_TABLE"]
    test = ("dags", "test", DAG_ID, DATE.isoformat())
    for level, tweet_ids in (("DEBUG", folder), ("INFO", ids)):
        code, output = site.airflow(
            *test,
            AIRFLOW__LOGGING__LOGGING_LEVEL=level,
            AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS=tweet_ids,
        )
        assert code == 0, output[-5000:]
        seen.output.append(output)
        seen.rows.append(_apart(site.rows(table)))
        seen.coverage.append(_apart(site.rows(f"{table}_coverage")))
        seen.tweets.append(site.rows(f"{table}_tweets"))
        seen.objects.append(site.objects())
        stats = requests.get(f"{site.url}/_simulator/stats", timeout=10).json()
        seen.faults.append(sum(stats["faults"].values()))
    wrong = {**site.connection, "extra": {**site.connection["extra"], **WRONG}}
    code, output = site.airflow(
        *test,
        AIRFLOW__LOGGING__LOGGING_LEVEL="DEBUG",
        AIRFLOW_CONN_ENGAGEMENT_DEFAULT=json.dumps(wrong),
        AIRFLOW_VAR_ENGAGEMENT_TABLE=f"{table}_wrong",
        AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS=", ".join(IDS[:9]),
    )
    assert code != 0, "wrong tokens are taken"
    seen.output.append(output)
    return seen


def _apart(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Separate lifetime rows from the others."""
    to_date = [row for row in rows if row["snapshot_at"] is not None]
    return to_date, [row for row in rows if row["snapshot_at"] is None]


def test_table_has_the_expected_lifetime_counts(runs: Runs) -> None:
    rows, _ = runs.rows[0]
    assert counts(rows) == expected()
    # `dags test` makes a manual run, whose counts are of its start: the date that it is given.
    assert {row["snapshot_at"] for row in rows} == {DATE}
    assert {row["account"] for row in rows} == {"acme"}
    assert {row["tweet_id"] for row in rows if row["access"] == "public"} == WORLD.foreign


def test_table_has_the_expected_counts_of_a_day(runs: Runs) -> None:
    _, rows = runs.rows[0]
    found = {(row["tweet_id"], row["engagement_type"], row["date"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    assert {row["granularity"] for row in rows} == {"day"}
    assert found == expected_by_day()


def test_other_tweets_are_in_the_coverage(runs: Runs) -> None:
    rows, of_days = runs.coverage[0]
    coverage = {row["tweet_id"]: row for row in rows}
    assert set(coverage) == set(IDS)
    assert len(rows) == len(of_days) == len(IDS)
    unanswered = {item for item, row in coverage.items() if row["status"] != "answered"}
    assert unanswered == WORLD.deleted
    partly = {item for item, row in coverage.items() if row["missing_types"]}
    assert partly == WORLD.foreign | WORLD.deleted | set(OLD)
    assert all(coverage[item]["reason"] for item in partly)
    absent = {row["tweet_id"] for row in of_days if row["status"] != "answered"}
    assert absent == WORLD.deleted | WORLD.foreign


def test_folder_of_power_track_files_gives_counts_and_tweets_that_join(
    site: Site, runs: Runs
) -> None:
    tweets = {row["tweet_id"]: row for row in runs.tweets[0]}
    assert len(tweets) == len(runs.tweets[0])
    assert tweets == {
        item: attributes(post) | ({"text": None} if item in WORLD.deleted else {})
        for item, post in POSTS.items()
    }
    table = site.settings["AIRFLOW_VAR_ENGAGEMENT_TABLE"]
    joined = site.bigquery.rows(
        f"SELECT tweet_id, engagement_type, value, text, url FROM {table} "  # noqa: S608 - ours
        f"JOIN {table}_tweets USING (tweet_id) WHERE granularity = 'lifetime'"
    )
    assert counts(joined) == expected()
    assert all(row["text"] == POSTS[row["tweet_id"]].shown and row["url"] for row in joined)


def test_list_of_ids_leaves_the_tweets_as_they_are(runs: Runs) -> None:
    assert runs.tweets[1] == runs.tweets[0]


def test_a_fifth_of_the_responses_was_faulty(runs: Runs) -> None:
    assert runs.faults[0] >= 2


def test_objects_have_the_same_counts(runs: Runs) -> None:
    parts = [data for name, data in runs.objects[0].items() if "/part-" in name]
    rows = [row for data in parts for row in pq.read_table(io.BytesIO(data)).to_pylist()]
    assert counts(rows) == expected()


def test_second_run_leaves_the_same_table_and_objects(runs: Runs) -> None:
    assert runs.rows[1] == runs.rows[0]
    assert runs.coverage[1] == runs.coverage[0]
    assert runs.objects[1] == runs.objects[0]


def test_run_with_wrong_tokens_fails_and_writes_no_row(site: Site, runs: Runs) -> None:
    assert "The service did not accept the credentials" in runs.output[2]
    assert "Access token not found" in runs.output[2]
    table = site.settings["AIRFLOW_VAR_ENGAGEMENT_TABLE"]
    assert site.rows(f"{table}_wrong_coverage") == []
    assert site.bigquery.rows(f"SELECT COUNT(*) AS n FROM {table}_wrong") == [{"n": 0}]  # noqa: S608 - ours
    assert site.objects() == runs.objects[1]


def test_no_staging_table_remains(site: Site, runs: Runs) -> None:
    table = site.settings["AIRFLOW_VAR_ENGAGEMENT_TABLE"]
    tables = {found.table_id for found in site.bigquery.client.list_tables(table.partition(".")[0])}
    names = {"totals", "totals_coverage", "totals_wrong", "totals_wrong_coverage"}
    names |= {"totals_tweets", "totals_tweets_labels", "totals_tweets_lock"}
    assert tables == {*names, "totals_lock", "totals_wrong_lock"}
    left = [path for path in Path(site.settings["TMPDIR"]).iterdir() if path.is_dir()]
    assert [path.name for path in left] == [f"airflow-engagement-{os.getuid()}"]
    assert len(runs.output) == 3


# ---- The canary ------------------------------------------------------------------------------


def planted() -> dict[str, str]:
    """Give the credentials, and the ways in which each may travel."""
    keys = {**WORLD.credentials("acme"), **{f"wrong {name}": text for name, text in WRONG.items()}}
    pair = ":".join(quote(keys[name], safe="") for name in ("consumer_key", "consumer_secret"))
    encoded_variants = {"basic pair": base64.b64encode(pair.encode()).decode()}
    for name, text in keys.items():
        for number, form in enumerate(sorted(Secret(text).encoded_variants())):
            encoded_variants[f"{name}, form {number}"] = form
    return encoded_variants


def found_in(text: str) -> list[str]:
    return [name for name, form in planted().items() if form in text]


def test_search_finds_a_planted_credential(site: Site) -> None:
    keys = WORLD.credentials("acme")
    for text in (keys["consumer_secret"], keys["access_token_secret"]):
        assert {"+", "/", "="} <= set(text)
    connection = json.dumps(site.connection)
    assert len(found_in(connection)) >= 5


AIRFLOW_3 = version("apache-airflow").startswith("3.")
DEBUG = "[debug " if AIRFLOW_3 else " DEBUG - "

# At DEBUG `airflow dags test` of 3.3.2 itself prints each text that it must mask, the
# connection's extra that it has read before us: it is its own supervisor
# (InProcessSupervisorComms.send). A worker does not.
MASKED = re.compile(r".*\[debug +\] Sending request .* msg=MaskSecret\(.*")


def test_no_credential_is_in_the_output_of_airflow(runs: Runs) -> None:
    at_debug, at_info, failed_at_debug = runs.output
    for output in (at_debug, failed_at_debug):
        lines = output.splitlines()
        assert any(DEBUG in line for line in lines)
        assert any(MASKED.fullmatch(line) for line in lines) is AIRFLOW_3
        assert found_in("\n".join(line for line in lines if not MASKED.fullmatch(line))) == []
    assert DEBUG not in at_info
    assert found_in(at_info) == []


def test_no_credential_is_in_the_logs_and_database_of_airflow(site: Site, runs: Runs) -> None:
    assert runs.output
    for path in site.home.rglob("*"):
        if path.is_file() and path.suffix in {".log", ".db", ".json", ".cfg"}:
            assert found_in(path.read_bytes().decode("latin-1")) == [], path
    with closing(sqlite3.connect(site.home / "airflow.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        seen = dict.fromkeys(("xcom", "rendered_task_instance_fields"), 0)
        for (table,) in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - its own names
                assert found_in(" ".join(map(_text, row))) == [], table
                if table in seen:
                    seen[table] += 1
    # `dags test` of 2.11 keeps no XComs.
    assert all(seen[table] for table in seen if AIRFLOW_3 or table != "xcom"), seen


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_no_credential_is_in_the_written_data(runs: Runs) -> None:
    for name, data in runs.objects[1].items():
        text = data.decode("latin-1")
        if name.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(data))
            text += f"{table.to_pylist()} {table.schema}"
        assert found_in(text) == []
    assert found_in(str((runs.rows, runs.coverage))) == []
