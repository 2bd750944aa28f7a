"""Counts from each Tweet's posting on, through the operators and transfers."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from run_operator import CONN_ID, NOW, run

from airflow_provider_engagement.api.errors import InvalidArgumentError, ServiceError
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, floor_to
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.operators.engagement import EngagementHistoricalOperator
from airflow_provider_engagement.simulator import Faults, Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from google.cloud.storage import Bucket

    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.usefixtures(
    "current_now", "airflow_home", "one_request_at_a_time", "quick_retries"
)

TYPES = ["impressions", "favorites"]
STEPS = {"hour": HOUR, "day": DAY}
FOUR_WEEKS = timedelta(days=28)
BEFORE_SNOWFLAKE = "20"
BEFORE_HISTORY = "400000000000000000"
"""Posted in November 2013, ten months before the service's first day."""


@pytest.fixture
def world() -> World:
    options: dict[str, Any] = {"seed": 5, "accounts": ("acme",), "now": NOW}
    ids = World(**options).tweets("acme", 60, since=NOW - 60 * DAY, until=NOW - DAY)
    return World(**options, foreign=ids[5:6], deleted=ids[50:51])


@pytest.fixture
def ids(world: World) -> list[str]:
    """Sixty Tweets of two months, one of them deleted, one foreign, and half too young."""
    ids = world.tweets("acme", 58, since=NOW - 60 * DAY, until=NOW - DAY)
    return [*ids, *world.foreign, *world.deleted]


def asked(ids: Sequence[str], **more: Any) -> dict[str, Any]:
    return {
        "task_id": "growth",
        "tweet_ids": list(ids),
        "engagement_types": TYPES,
        "engagement_conn_id": CONN_ID,
        "since_posting": FOUR_WEEKS,
        **more,
    }


def to_table(ids: Sequence[str], table: str, **more: Any) -> EngagementToBigQueryOperator:
    return EngagementToBigQueryOperator(
        destination_table=table, endpoint="historical", **asked(ids, **more)
    )


def to_bucket(ids: Sequence[str], bucket: Bucket, **more: Any) -> EngagementToGCSOperator:
    return EngagementToGCSOperator(bucket=bucket.name, endpoint="historical", **asked(ids, **more))


Cells = dict[tuple[str, str, datetime], tuple[int, bool]]


def expected_cells(world: World, ids: Sequence[str], length: timedelta, step: timedelta) -> Cells:
    """Return each own Tweet's buckets from its posting on, as far as they have begun."""
    cells: Cells = {}
    now = floor_to(NOW, HOUR)
    for tweet_id in ids:
        created = created_at(tweet_id)
        assert created is not None
        if tweet_id in world.foreign | world.deleted:
            continue
        window = align_to(Window(created, created + length), step)
        starts = [window.start + n * step for n in range(window.length // step)]
        starts = [start for start in starts if start < now]
        edges = [int(moment.timestamp() * 1000) for moment in (*starts, starts[-1] + step)]
        edges[-1] = min(edges[-1], int(now.timestamp() * 1000))
        counts = world.series([tweet_id], tuple(TYPES), np.array(edges))[0]
        for name, values in zip(TYPES, counts, strict=True):
            for start, value in zip(starts, values, strict=True):
                cells[tweet_id, name, start] = int(value), start + step <= now
    return cells


def cells_of(rows: Sequence[dict[str, Any]]) -> Cells:
    found = {
        (row["tweet_id"], row["engagement_type"], row["period_start"]): (
            row["value"],
            row["complete"],
        )
        for row in rows
    }
    assert len(found) == len(rows), "a count is there twice"
    return found


# ---- What is pulled --------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", STEPS)
@pytest.mark.parametrize("length", [timedelta(hours=90), FOUR_WEEKS], ids=str)
def test_each_tweet_has_the_counts_of_its_own_window_once(
    *,
    world: World,
    ids: list[str],
    simulator: Simulator,
    tmp_path: Path,
    length: timedelta,
    granularity: str,
) -> None:
    path = tmp_path / "growth.parquet"
    operator = EngagementHistoricalOperator(
        **asked(ids, since_posting=length, granularity=granularity), output_path=path.as_uri()
    )
    ran = run(operator)
    found = cells_of(pq.read_table(path).to_pylist())
    assert found == expected_cells(world, ids, length, STEPS[granularity])
    # One request more, without the foreign Tweet, for each that the service refuses.
    assert len(simulator.requests) <= ran.summary["plan"]["requests"] + 2
    assert ran.summary["plan"]["since_posting"] == ran.value["window"]["since_posting"]
    assert ran.summary["unrequested_counts"] == 0


def test_a_table_is_the_same_after_a_second_run_and_says_what_is_missing(
    world: World, ids: list[str], bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.growth"
    newest = world.tweets("acme", 1, since=floor_to(NOW, HOUR), until=NOW + timedelta(seconds=1))
    every = [*ids, *newest, BEFORE_SNOWFLAKE, BEFORE_HISTORY]
    expected = expected_cells(world, ids, DAY, HOUR)
    for _ in range(2):
        ran = run(to_table(every, table, since_posting="{{ 'PT24H' }}", granularity="hour"))
        assert cells_of(bigquery.rows(f"SELECT * FROM `{table}`")) == expected  # noqa: S608 - the test chose the names
    assert {each["reason"]: each["tweets"] for each in ran.summary["tweets"]["reasons"]} == {
        "posted before the days that the service holds": 2,
        "no hour has ended since it was posted": 1,
        "belongs to another account": 1,
        "deleted, protected or suspended": 1,
    }
    assert ran.value["window"]["since_posting"] == "P1D"


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_the_task_of_a_later_run_has_a_folder_of_its_own(
    ids: list[str], gcs: Gcs, layout: str
) -> None:
    bucket = gcs.make_bucket()
    uris = [
        run(to_bucket(ids[:5], bucket, layout=layout), at=at).value["uris"]
        for at in (NOW - 7 * DAY, NOW, NOW)
    ]
    folders = [uri.rpartition("/")[0] for (uri,) in uris]
    assert folders[1] == folders[2] != folders[0]
    assert f"/since-posting-P28D_{NOW:%Y-%m-%dT%H%M%SZ}/" in folders[1]
    parts = [blob.name for blob in bucket.list_blobs() if blob.name.endswith(".parquet")]
    assert len([name for name in parts if "part-" in name]) == 2


def test_the_hook_returns_the_same_rows(world: World, ids: list[str]) -> None:
    hook = EngagementHook(CONN_ID)
    rows = hook.get_historical(ids[:3], engagement_types=TYPES, since_posting=3 * DAY)
    found = {
        (r["tweet_id"], r["engagement_type"], datetime.fromisoformat(r["period_start"])): (
            r["value"],
            r["complete"],
        )
        for r in rows
    }
    assert found == expected_cells(world, ids[:3], 3 * DAY, DAY)


def test_a_retry_sends_only_what_is_missing(
    *,
    world: World,
    ids: list[str],
    simulator: Simulator,
    gcs: Gcs,
    bigquery: BigQuery,
    dataset: str,
) -> None:
    bucket, table = gcs.make_bucket(), f"{dataset}.growth"
    own = [item for item in ids if item not in world.foreign | world.deleted]
    operator = to_table(own, table, staging_bucket=bucket.name)
    simulator.faults = Faults(script=(None, None, None, *["500"] * 400))
    with pytest.raises(ServiceError, match="HTTP 500"):
        run(operator)
    simulator.faults = Faults()
    before = len(simulator.requests)
    ran = run(to_table(own, table, staging_bucket=bucket.name), try_number=2)
    assert ran.summary["requests_resumed"] == 3
    assert len(simulator.requests) - before == ran.summary["plan"]["requests"] - 3
    rows = bigquery.rows(f"SELECT * FROM `{table}`")  # noqa: S608 - the test chose the names
    assert cells_of(rows) == expected_cells(world, own, FOUR_WEEKS, DAY)


def test_a_plan_is_described_and_not_sent(ids: list[str], simulator: Simulator) -> None:
    ran = run(EngagementHistoricalOperator(**asked(ids), plan_only=True))
    assert ran.value["since_posting"] == "P28D"
    assert ran.value["requests"] in range(4, 7)
    assert simulator.requests == []


# ---- What is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["start", "end", "lookback"])
def test_since_posting_and_another_window_are_refused(
    ids: list[str], simulator: Simulator, other: str
) -> None:
    value: Any = DAY if other == "lookback" else NOW
    with pytest.raises(InvalidArgumentError, match=f"since_posting or {other}, not both"):
        EngagementHistoricalOperator(**asked(ids), **{other: value})
    rendered = {other: "{{ text }}", "since_posting": "P7D"}
    text = "P1D" if other == "lookback" else NOW.isoformat()
    with pytest.raises(AirflowFailException, match=f"since_posting or {other}, not both"):
        run(EngagementHistoricalOperator(**asked(ids, **rendered)), variables={"text": text})
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("endpoint", "why"), [("totals", "counts to date"), ("28hr", "last 28 hours")]
)
def test_endpoints_without_a_window_refuse_it_and_say_why(
    ids: list[str], endpoint: str, why: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"since_posting .* historical.*{why}"):
        EngagementToGCSOperator(bucket="b", **asked(ids, endpoint=endpoint))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"granularity": "total"}, 'Use granularity "day" or "hour"'),
        ({"since_posting": "28"}, "must be a timedelta, or an ISO 8601 duration"),
        ({"since_posting": "-P1D"}, "must be"),
    ],
)
def test_what_cannot_be_counted_fails_before_the_first_request(
    ids: list[str], simulator: Simulator, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        run(EngagementHistoricalOperator(**asked(ids, **changes)))
    assert simulator.requests == []
