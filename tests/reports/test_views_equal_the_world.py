from __future__ import annotations

import csv
import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import NOW, connect, run
from view_truth import DAY, HOUR, SERIES, Series, Snapshot, Truth, ceiling, floor

from airflow_provider_engagement.hooks.report import report_engine
from airflow_provider_engagement.operators.report import EngagementViewsOperator
from airflow_provider_engagement.reports.views import VIEWS, view
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator
from airflow_provider_engagement.transfers.engagement_tweets_to_bigquery import (
    EngagementTweetsToBigQueryOperator,
)

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.reports.engine import Engine
    from tools.clients import Gcs

pytestmark = pytest.mark.usefixtures("airflow_home")

TODAY = floor(NOW, DAY)
EARLIER = floor(NOW, HOUR) - 3 * DAY
LATER = floor(NOW, HOUR) - HOUR
SOME = ("impressions", "engagements", "favorites", "url_clicks", "video_views")
KEYS = {
    "latest": ("account", "tweet_id"),
    "daily": ("account", "date"),
    "top": ("account", "engagement_type", "tweet_id"),
    "growth": ("account", "tweet_id", "age"),
    "campaigns": ("label", "campaign", "age"),
    "types": ("account", "dimension", "kind"),
    "benchmark": ("account",),
    "rollup": ("page_name", "post_id", "date_day"),
}
# The world does not know when the service answered, or what the table is called.
NOT_OF_THE_WORLD = {"collected_at", "source_relation"}


class Pulls:
    """Pulls the same counts into a table and into a folder, and notes what was pulled."""

    def __init__(self, truth: Truth, dataset: str, bucket: Bucket) -> None:
        self.truth = truth
        self._dataset = dataset
        self._bucket = bucket
        self._number = 0

    def snapshot(self, account: str, at: Any, ids: list[str], *, app_only: bool = False) -> None:
        self.truth.world.freeze(at)
        self._run(account, ids, at=at, endpoint="totals", max_snapshot_age=timedelta(days=30))
        self.truth.snapshots.append(Snapshot(account, at, ids, self._unavailable(), app_only))

    def series(self, account: str, ids: list[str], start: Any, end: Any, **more: Any) -> None:
        self.truth.world.freeze(NOW)
        types = more.pop("engagement_types", SERIES)
        more = {"granularity": "day", **more}
        self._run(
            account,
            ids,
            endpoint="historical",
            start=start,
            end=end,
            engagement_types=types,
            **more,
        )
        step = DAY if more["granularity"] == "day" else HOUR
        whole = floor(start, step), ceiling(end, step)
        self.truth.series.append(Series(account, step, *whole, ids, types, self._unavailable()))

    def last_hours(self, account: str, ids: list[str]) -> None:
        """Pull the 28 hours before now, of which the first is a part of its hour."""
        self.truth.world.freeze(NOW)
        self._run(account, ids, at=NOW - timedelta(minutes=5), endpoint="28hr", granularity="hour")
        hours = floor(NOW, HOUR) - 27 * HOUR, floor(NOW, HOUR)
        self.truth.series.append(Series(account, HOUR, *hours, ids, SERIES, self._unavailable()))

    def _unavailable(self) -> frozenset[str]:
        return frozenset(self.truth.world.deleted | self.truth.world.protected)

    def _run(self, account: str, ids: list[str], *, at: Any = None, **more: Any) -> None:
        self._number += 1
        shared: dict[str, Any] = {"tweet_ids": ids, "engagement_conn_id": account, **more}
        name = f"pull_{self._number}"
        table = f"{self._dataset}.engagement"
        for operator in (
            EngagementToBigQueryOperator(task_id=name, destination_table=table, **shared),
            EngagementToGCSOperator(task_id=name, bucket=self._bucket.name, **shared),
        ):
            run(operator, at=at, run_id=name)


def described(ids: list[str], world: World, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write a collection in CSV, and return what it says of each Tweet."""
    tweets: dict[str, Any] = {}
    labels: dict[str, Any] = {}
    for number, item in enumerate(ids):
        if number % 7 == 6:
            continue  # nothing is known of it but its counts
        tweets[item] = {
            "author_username": world.owner_of(item),
            "author_id": str(world.author_id(world.owner_of(item))),
            "text": f'Tweet {number}, "quoted",\n=1+1 <script>',
            "media_type": ("none", "photo", "video")[number % 3],
            "has_link": (True, False)[number % 2],
            "tweet_type": ("post", "reply")[number % 5 == 0],
        }
        labels[item] = {
            "campaign": ("spring", "it's \\ fall")[number % 2],
            **({"team": "growth"} if number % 3 else {}),
        }
    with path.open("w", newline="") as file:
        names = ["tweet_id", *next(iter(tweets.values())), "campaign", "team"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({"tweet_id": item, **tweets[item], **labels[item]} for item in tweets)
    return tweets, labels


def pull_all(pulls: Pulls) -> list[str]:
    """Pull Tweets of all ages and states, by all endpoints."""
    world = pulls.truth.world

    def made(account: str, n: int, oldest: float, youngest: float) -> list[str]:
        return world.tweets(account, n, since=NOW - oldest * DAY, until=NOW - youngest * DAY)

    too_old = [*made("acme", 3, 130, 100), *made("acme", 2, 1900, 1850)]
    grown = made("acme", 6, 40, 30)
    young = [*made("acme", 4, 6, 1), *made("acme", 2, 0.2, 0.1)]
    acme = [*too_old, *grown, *young]
    bolt, rival = made("bolt", 5, 45, 2), made("rival", 6, 60, 4)
    foreign = made("bolt", 2, 20, 10)  # of bolt, but requested by acme
    world.deleted |= {too_old[1], grown[0]}
    world.protected.add(grown[1])

    requested = [*acme, *foreign]
    old_enough = [item for item in requested if pulls.truth.created(item) < EARLIER]
    pulls.snapshot("acme", EARLIER, old_enough)
    world.deleted |= {grown[2], young[0]}  # their counts stay
    pulls.snapshot("acme", LATER, [item for item in requested if item != grown[3]])
    pulls.snapshot("bolt", LATER, bolt)
    pulls.snapshot("rival", LATER, rival, app_only=True)

    world.deleted -= {young[0]}  # restored, as a suspended account is
    pulls.series("acme", requested, TODAY - 44 * DAY, TODAY - 2 * DAY)
    pulls.series("acme", requested, TODAY - 4 * DAY, TODAY - DAY, engagement_types=SOME)
    pulls.series("bolt", bolt, TODAY - 20 * DAY, TODAY, engagement_types=SOME)
    start = floor(pulls.truth.created(grown[3]), HOUR)
    hours: dict[str, Any] = {"granularity": "hour", "engagement_types": SOME}
    pulls.series("acme", grown[3:5], start, start + 28 * DAY + HOUR, **hours)
    pulls.series("acme", young, NOW - 6 * DAY, floor(NOW, HOUR), **hours)
    pulls.last_hours("acme", young[2:])
    return [*requested, *bolt, *rival]


def compare(engine: Engine, truth: Truth) -> dict[str, list[dict[str, Any]]]:
    """Compare all cells of all views with the truth, and return them."""
    found = {}
    for name in VIEWS:
        table = engine.query(f"SELECT * FROM {{{name}}}")  # noqa: S608 - a name of a view
        rows = by_key(table.to_pylist(), KEYS[name])
        expected = by_key(getattr(truth, name), KEYS[name])
        assert rows.keys() == expected.keys(), name
        assert len(rows) >= 3, name
        columns = {column.name for column in view(name).columns}
        assert set(table.column_names) == columns, name
        for key, row in rows.items():
            for column in columns - NOT_OF_THE_WORLD:
                value = expected[key][column]
                assert same(row[column], value), (name, key, column, row[column], value)
        found[name] = [row for _, row in sorted(rows.items())]
    return found


def by_key(rows: list[dict[str, Any]], key: tuple[str, ...]) -> dict[tuple[Any, ...], Any]:
    found = {tuple(row[name] for name in key): row for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


def same(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-12)
    return bool(found == expected) and type(found) is type(expected)


def test_every_cell_of_every_view_is_what_the_world_says(
    dataset: str, gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed=23, accounts=("acme", "bolt", "rival"), now=NOW)
    truth = Truth(world)
    bucket = gcs.make_bucket()
    pulls = Pulls(truth, dataset, bucket)
    with Simulator(world) as service:
        for account in world.accounts:
            tokens = account != "rival"
            connect(monkeypatch, service.connection(account, user_tokens=tokens), account)
        ids = pull_all(pulls)
    collection = tmp_path / "tweets.csv"
    truth.tweets, truth.labels = described(ids, world, collection)
    tweets = f"{dataset}.tweets"
    source = f"file://{collection}"
    run(EngagementTweetsToBigQueryOperator(task_id="t", tweet_ids=source, destination_table=tweets))

    table = f"{dataset}.engagement"
    made = run(EngagementViewsOperator(task_id="views", table=table, tweets_table=tweets))
    assert made.value["views"] == [f"test.{table}_{name}" for name in VIEWS]
    both = []
    for counts, about in ((table, tweets), (f"gs://{bucket.name}/engagement/", source)):
        engine = report_engine(counts, about, gcp_conn_id="google_cloud_default")
        try:
            both.append(compare(engine, truth))
        finally:
            engine.close()
    for name in VIEWS:
        for row, other in zip(*(cells[name] for cells in both), strict=True):
            assert row.keys() == other.keys()
            assert all(same(row[key], other[key]) for key in row.keys() - NOT_OF_THE_WORLD)
