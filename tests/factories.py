"""A backfill by the example DAG: its Tweets, its table and the expected counts."""

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
class BackfillPeriod:
    """The Tweets and intervals of a backfill.

    :param tweets: how many Tweets, created evenly over it; 2% are foreign, and 2% deleted.
    :param start: the start of its first interval.
    :param intervals: how many intervals of four weeks.
    """

    tweets: int
    start: datetime
    intervals: int

    @property
    def end(self) -> datetime:
        return self.start + self.intervals * FOUR_WEEKS

    @property
    def last(self) -> datetime:
        """The start of the last interval."""
        return self.end - FOUR_WEEKS

    def world(self) -> tuple[World, list[str]]:
        options: dict[str, Any] = {"seed": SEED, "accounts": (ACCOUNT,), "now": NOW}
        ids = World(**options).tweets(ACCOUNT, self.tweets, since=self.start, until=self.end)
        return World(**options, foreign=ids[3::50], deleted=ids[7::50]), ids


@dataclass(frozen=True, slots=True)
class BackfillTable:
    """The table that the backfill writes.

    :param environment: the connections and Variables of the DAG, as environment variables.
    :param bigquery: the BigQuery that has the table.
    :param table: the table's name.
    """

    environment: dict[str, str]
    bigquery: BigQuery
    table: str


@contextmanager
def backfill_table(
    backfill: BackfillPeriod, folder: Path, *, gcs: Emulator, bigquery: Emulator, store: Path
) -> Iterator[BackfillTable]:
    """Start the simulator, upload the ids, and make a dataset for the table of a backfill."""
    world, ids = backfill.world()
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
            "TMPDIR": str(folder),  # where tasks of one machine share the state of the rate limit
        }
        yield BackfillTable(environment, warehouse, table)


def expected_days(backfill: BackfillPeriod) -> dict[tuple[str, str], str]:
    """Return the expected counts of each own Tweet's days, in the form of `written_days`."""
    world, ids = backfill.world()
    ours = [item for item in ids if item not in world.foreign | world.deleted]
    days = [backfill.start + n * DAY for n in range((backfill.end - backfill.start).days + 1)]
    edges = np.array([int(day.timestamp()) for day in days])
    counts = world.series(ours, TYPES, edges * 1000)
    # A Tweet has counts from the day of its creation on.
    lived = [bisect_right(days, created_at(item) or days[0]) - 1 for item in ours]
    return {
        (item, name): ",".join(
            f"{day}={count}"
            for day, count in zip(edges[first:-1], counts[row, column, first:], strict=True)
        )
        for row, (item, first) in enumerate(zip(ours, lived, strict=True))
        for column, name in enumerate(TYPES)
    }


def written_days(table: BackfillTable, backfill: BackfillPeriod) -> dict[tuple[str, str], str]:
    """Return the counts in the table; the days of a Tweet and type are one text, to save memory."""
    rows = table.bigquery.rows(
        "SELECT tweet_id, engagement_type, STRING_AGG("  # noqa: S608 - ours
        "CONCAT(CAST(UNIX_SECONDS(period_start) AS STRING), '=', CAST(value AS STRING),"
        " IF(complete, '', ' in part')), ',' ORDER BY period_start, value) AS days "
        # The schedule's own latest run may be after the backfill.
        f"FROM {table.table} WHERE period_start < TIMESTAMP '{backfill.end:%Y-%m-%d}' "
        "GROUP BY tweet_id, engagement_type"
    )
    return {(row["tweet_id"], row["engagement_type"]): row["days"] for row in rows}


def count_statuses(table: BackfillTable) -> dict[str, int]:
    """Return the number of Tweets by their status in the coverage."""
    rows = table.bigquery.rows(
        f"SELECT status, COUNT(DISTINCT tweet_id) AS n FROM {table.table}_coverage GROUP BY status"  # noqa: S608 - ours
    )
    return {row["status"]: row["n"] for row in rows}
