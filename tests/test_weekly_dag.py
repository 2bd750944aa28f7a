"""The weekly example DAG, from the API to the page, as Airflow runs it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from airflow.models import DagBag
from run_command import AIRFLOW, run
from view_truth import AGES

from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, floor_to
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.env import ROOT
from tools.power_track import power_track_files
from tools.services import google_environment, simulator

if TYPE_CHECKING:
    from pathlib import Path

# On Airflow 3 the test of the demo runs the same DAG, in as much time.
pytestmark = [pytest.mark.long] if version("apache-airflow").startswith("3.") else []

DAG_ID = "engagement_weekly_report"
NOW = datetime.now(UTC).replace(microsecond=0)
SEED = 12

# `airflow dags test` makes a run of the last week that is over.
MONDAY = floor_to(NOW, DAY) - NOW.weekday() * DAY
WEEK = Window(MONDAY - 7 * DAY, MONDAY)

RATED = ("impressions", "engagements")


def make_collection() -> tuple[World, list[str]]:
    """Make Tweets of six weeks, of which one is deleted and one is somebody else's."""
    world = World(SEED, ("acme",), NOW)
    ids = world.tweets("acme", 36, since=MONDAY - 35 * DAY, until=NOW - HOUR)
    world.foreign |= {ids[3]}
    world.deleted |= {ids[10]}
    return world, ids


WORLD, IDS = make_collection()
OWN = [item for item in IDS if item not in WORLD.foreign | WORLD.deleted]
CAMPAIGNS = dict(zip(IDS, ("Autumn sale", "Rainy days", "Ten years") * len(IDS), strict=False))


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the DAG has left.

    :param bigquery: the BigQuery that has the table.
    :param table: the table.
    :param files: the report's files, by the end of their names.
    :param folder: where they are in the bucket.
    """

    bigquery: BigQuery
    table: str
    files: dict[str, bytes]
    folder: str

    def rows(self, view: str) -> list[dict[str, Any]]:
        return self.bigquery.rows(f"SELECT * FROM `{self.table}_{view}`")  # noqa: S608 - a view of this test

    def table_of(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.files[name].decode("utf-8-sig"))))


@pytest.fixture(scope="module")
def ran(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_home: Path
) -> Ran:
    assert airflow_home.is_dir()
    folder: Path = request.getfixturevalue("emulated")
    gcs_url = request.getfixturevalue("_gcs_emulator").url
    bigquery_url = request.getfixturevalue("_bigquery_emulator").url
    gcs, bigquery = Gcs(gcs_url, folder / "store"), BigQuery(bigquery_url)
    bucket, table = gcs.make_bucket(), f"{bigquery.make_dataset()}.engagement"
    lines = ["tweet_id,campaign", *(f"{item},{name}" for item, name in CAMPAIGNS.items())]
    files = power_track_files(IDS, "acme") | {"campaigns.csv": "\n".join(lines)}
    for name, text in files.items():
        bucket.blob(f"inbox/{name}").upload_from_string(text)
    options = ["--seed", str(SEED), "--account", "acme", "--now", NOW.isoformat()]
    options += ["--foreign", ",".join(WORLD.foreign), "--deleted", ",".join(WORLD.deleted)]
    with simulator(tmp_path_factory.mktemp("simulator"), *options) as service:
        settings = {
            **google_environment(bigquery=bigquery_url, gcs=gcs_url),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connections["acme"]),
            "AIRFLOW_VAR_ENGAGEMENT_BUCKET": bucket.name,
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": table,
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/inbox/",
            "TMPDIR": str(tmp_path_factory.mktemp("pace")),
        }
        run(*AIRFLOW, "dags", "test", DAG_ID, NOW.isoformat(), **settings)
    blobs = {
        blob.name.rpartition("/")[2]: blob
        for blob in gcs.client.bucket(bucket.name).list_blobs(prefix="reports/")
    }
    read = {name: blob.download_as_bytes() for name, blob in blobs.items()}
    return Ran(bigquery, table, read, blobs["report.html"].name.rpartition("/")[0])


def posted(tweet_id: str) -> datetime:
    moment = created_at(tweet_id)
    assert moment is not None
    return moment


def test_report_is_about_the_week_of_the_run_and_its_days_equal_the_world(ran: Ran) -> None:
    assert ran.folder == f"reports/{WEEK.end:%Y-%m-%d}"
    days = [WEEK.start + n * DAY for n in range(8)]
    expected = {
        f"{start:%Y-%m-%d}": [
            str(sum(WORLD.count_between(item, name, start, end) for item in OWN)) for name in RATED
        ]
        for start, end in pairwise(days)
    }
    rows = ran.table_of("days.csv")
    assert {row["date"]: [row[name] for name in RATED] for row in rows} == expected
    assert {row["account"] for row in rows} == {"acme"}


def test_growth_of_each_tweet_equals_the_world(ran: Ran) -> None:
    expected = {}
    for item in OWN:
        for name, hours in AGES.items():
            window = align_to(Window(posted(item), posted(item) + hours * HOUR), HOUR)
            if window.end <= floor_to(NOW, HOUR):
                counts = (
                    WORLD.count_between(item, kind, window.start, window.end) for kind in RATED
                )
                expected[item, name] = tuple(counts)
    rows = [row for row in ran.rows("growth") if row["basis"] == "hour"]
    found = {(r["tweet_id"], r["age"]): tuple(r[name] for name in RATED) for r in rows}
    assert found == expected
    assert len(expected) > 3 * len(OWN)


def test_top_tweets_and_campaigns_equal_the_world(ran: Ran) -> None:
    top = [row for row in ran.table_of("top_tweets.csv") if row["engagement_type"] == "engagements"]
    best = sorted((-WORLD.count(item, "engagements"), item) for item in OWN)[: len(top)]
    assert [(row["value"], row["tweet_id"].lstrip("'")) for row in top] == [
        (str(-value), item) for value, item in best
    ]
    assert top[0]["url"].endswith(top[0]["tweet_id"].lstrip("'"))
    # A foreign Tweet has public counts, and belongs to its campaign too.
    tweets = Counter(name for item, name in CAMPAIGNS.items() if item not in WORLD.deleted)
    rows = ran.table_of("campaigns.csv")
    assert {row["campaign"]: int(row["tweets"]) for row in rows} == tweets


def test_the_page_is_complete_and_needs_no_network(ran: Ran) -> None:
    page = ran.files["report.html"].decode()
    assert f"The week of {WEEK.start:%Y-%m-%d}" in page
    assert all(text in page for text in ("Autumn sale", "deleted, protected or suspended"))
    assert "<script" not in page
    assert page.rstrip().endswith("</html>")


def test_the_task_of_the_report_links_to_the_page(airflow_home: Path) -> None:
    assert airflow_home.is_dir()
    bag = DagBag(str(ROOT / "example_dags" / f"{DAG_ID}.py"))
    assert bag.import_errors == {}
    (report,) = (task for task in bag.dags[DAG_ID].tasks if task.task_id == "report")
    assert [link.name for link in report.operator_extra_links] == ["Report"]
    assert {
        task.task_id for task in bag.dags[DAG_ID].tasks if "report" in task.downstream_task_ids
    } == {"views"}


def test_a_run_is_a_week_from_monday_to_monday() -> None:
    assert WEEK.end.weekday() == 0
    assert WEEK.length == timedelta(days=7)
