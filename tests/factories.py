"""A stretch of history to fill a table with, by the backfill example, and what is to come of it."""

from __future__ import annotations

import json
from bisect import bisect_right
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.services import google_environment, simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.services import Emulator

DAG_ID = "engagement_backfill"
DAY = timedelta(days=1)
FOUR_WEEKS = timedelta(days=28)
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
TYPES = ENDPOINTS["historical"].engagement_types
SEED, ACCOUNT = 31, "acme"


@dataclass(frozen=True, slots=True)
class Stretch:
    """How much is filled in.

    :param tweets: how many Tweets, made all over it; two in a hundred are foreign, and two deleted.
    :param start: where its first interval begins.
    :param intervals: how many of them.
    """

    tweets: int
    start: datetime
    intervals: int

    @property
    def end(self) -> datetime:
        return self.start + self.intervals * FOUR_WEEKS

    @property
    def last(self) -> datetime:
        """The start of the last interval, after which no other may begin."""
        return self.end - FOUR_WEEKS

    def world(self) -> tuple[World, list[str]]:
        options: dict[str, Any] = {"seed": SEED, "accounts": (ACCOUNT,), "now": NOW}
        ids = World(**options).tweets(ACCOUNT, self.tweets, since=self.start, until=self.end)
        return World(**options, foreign=ids[3::50], deleted=ids[7::50]), ids


@dataclass(frozen=True, slots=True)
class Site:
    """The table that is filled.

    :param environment: what the DAG reads: connections and Variables.
    :param bigquery: where the table is.
    :param table: its name.
    """

    environment: dict[str, str]
    bigquery: BigQuery
    table: str


@contextmanager
def site(
    stretch: Stretch, folder: Path, *, gcs: Emulator, bigquery: Emulator, store: Path
) -> Iterator[Site]:
    """Serve a stretch: its Tweets by the simulator, the list of their ids from a bucket."""
    world, ids = stretch.world()
    bucket = Gcs(gcs.url, store).make_bucket()
    bucket.blob("ids.txt").upload_from_string("\n".join(ids))
    options = ["--seed", str(SEED), "--account", ACCOUNT, "--now", NOW.isoformat()]
    options += ["--foreign", ",".join(world.foreign), "--deleted", ",".join(world.deleted)]
    warehouse = BigQuery(bigquery.url)
    table = f"{warehouse.make_dataset()}.days"
    with simulator(folder, *options) as service:
        environment = {
            **google_environment(bigquery=bigquery.url, gcs=gcs.url),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connections[ACCOUNT]),
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": table,
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/ids.txt",
            "TMPDIR": str(folder),  # where the tasks of one machine keep the pace they share
        }
        yield Site(environment, warehouse, table)


def truth(stretch: Stretch) -> dict[tuple[str, str], str]:
    """Tell the counts of every day of a stretch that a Tweet of ours lived in, as `cells` does."""
    world, ids = stretch.world()
    ours = [item for item in ids if item not in world.foreign | world.deleted]
    days = [stretch.start + n * DAY for n in range((stretch.end - stretch.start).days + 1)]
    edges = np.array([int(day.timestamp()) for day in days])
    counts = world.series(ours, TYPES, edges * 1000)
    # The day that it was made on is the first that it has counts of.
    lived = [bisect_right(days, created_at(item) or days[0]) - 1 for item in ours]
    return {
        (item, name): ",".join(
            f"{day}={count}"
            for day, count in zip(edges[first:-1], counts[row, column, first:], strict=True)
        )
        for row, (item, first) in enumerate(zip(ours, lived, strict=True))
        for column, name in enumerate(TYPES)
    }


def cells(table: Site, stretch: Stretch) -> dict[tuple[str, str], str]:
    """Give every cell of a stretch, the days of a Tweet's type as one text: there are many."""
    rows = table.bigquery.rows(
        "SELECT tweet_id, engagement_type, STRING_AGG("  # noqa: S608 - ours
        "CONCAT(CAST(UNIX_SECONDS(period_start) AS STRING), '=', CAST(value AS STRING),"
        " IF(complete, '', ' in part')), ',' ORDER BY period_start, value) AS days "
        # Airflow's own latest run, which the schedule makes, may lie behind the stretch.
        f"FROM {table.table} WHERE period_start < TIMESTAMP '{stretch.end:%Y-%m-%d}' "
        "GROUP BY tweet_id, engagement_type"
    )
    return {(row["tweet_id"], row["engagement_type"]): row["days"] for row in rows}


def statuses(table: Site) -> dict[str, int]:
    """Count the Tweets by what became of them."""
    rows = table.bigquery.rows(
        f"SELECT status, COUNT(DISTINCT tweet_id) AS n FROM {table.table}_coverage GROUP BY status"  # noqa: S608 - ours
    )
    return {row["status"]: row["n"] for row in rows}
