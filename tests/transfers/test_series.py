"""Time series through the transfers: what is asked again, what converges, what a retry takes up."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from run_operator import CONN_ID, NOW, run

from airflow_provider_engagement.api.errors import ServiceError
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator import Faults, Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from google.cloud.storage import Bucket

    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("airflow_home", "one_request_at_a_time", "quick_retries")

TODAY = NOW.replace(hour=0, minute=0, second=0)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TYPES = ["impressions", "favorites"]


@pytest.fixture
def world() -> World:
    return World(seed=21, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 60, since=TODAY - 40 * DAY, until=TODAY - 20 * DAY)


def to_table(ids: list[str], table: str, **more: Any) -> EngagementToBigQueryOperator:
    asked = {"endpoint": "historical", "engagement_types": TYPES} | more
    return EngagementToBigQueryOperator(
        task_id="series",
        tweet_ids=ids,
        destination_table=table,
        engagement_conn_id=CONN_ID,
        **asked,
    )


def to_bucket(ids: list[str], bucket: Bucket, **more: Any) -> EngagementToGCSOperator:
    asked = {"endpoint": "historical", "engagement_types": TYPES} | more
    return EngagementToGCSOperator(
        task_id="series",
        tweet_ids=ids,
        bucket=bucket.name,
        engagement_conn_id=CONN_ID,
        **asked,
    )


Cells = dict[tuple[str, str, datetime], int]


def cells(bigquery: BigQuery, table: str) -> Cells:
    rows = bigquery.rows(f"SELECT * FROM `{table}`")  # noqa: S608 - a table of this test
    found = {(r["tweet_id"], r["engagement_type"], r["period_start"]): r["value"] for r in rows}
    assert len(found) == len(rows), "a count is there twice"
    return found


def expected_counts(
    world: World, ids: list[str], start: datetime, end: datetime, step: timedelta
) -> Cells:
    return {
        (item, name, start + n * step): world.count_between(
            item, name, start + n * step, start + (n + 1) * step
        )
        for item in ids
        for name in TYPES
        for n in range((end - start) // step)
    }


def test_a_lookback_corrects_days_and_writes_each_once(
    world: World, ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.days"
    for at in (TODAY, TODAY - DAY, TODAY):
        ran = run(to_table(ids, table, lookback=timedelta(days=9)), at=at)
    assert ran.value["window"] == {
        "start": f"{TODAY - 10 * DAY:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{TODAY:%Y-%m-%dT%H:%M:%SZ}",
    }
    assert cells(bigquery, table) == expected_counts(world, ids, TODAY - 11 * DAY, TODAY, DAY)
    assert len(simulator.requests) == 3 * 3


@pytest.mark.parametrize("order", [("28hr", "historical"), ("historical", "28hr")])
def test_hours_of_both_endpoints_converge_in_any_order(
    world: World,
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    order: tuple[str, ...],
) -> None:
    table, end = f"{dataset}.hours", NOW.replace(minute=0, second=0)
    for endpoint in order:
        range_ = {"start": end - 40 * HOUR, "end": end} if endpoint == "historical" else {}
        run(to_table(ids[:5], table, endpoint=endpoint, granularity="hour", **range_))
    found = {key: value for key, value in cells(bigquery, table).items() if key[2] < end}
    assert found == expected_counts(world, ids[:5], end - 40 * HOUR, end, HOUR)


def test_the_wide_layout_has_a_row_a_tweet_and_day(
    world: World, ids: list[str], bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.wide"
    for _ in range(2):
        run(to_table(ids, table, layout="wide"), at=TODAY)
    rows = bigquery.rows(f"SELECT * FROM `{table}`")  # noqa: S608 - a table of this test
    expected = expected_counts(world, ids, TODAY - DAY, TODAY, DAY)
    assert len(rows) == len(ids)
    for row in rows:
        for name in TYPES:
            assert row[name] == expected[row["tweet_id"], name, TODAY - DAY]
        assert row["url_clicks"] is None


@pytest.mark.parametrize("layouts", [("long", "wide"), ("wide", "long")])
def test_a_table_keeps_its_layout(
    ids: list[str],
    simulator: Simulator,
    bigquery: BigQuery,
    dataset: str,
    layouts: tuple[str, str],
) -> None:
    first, second = layouts
    run(to_table(ids[:2], f"{dataset}.t", layout=first), at=TODAY)
    columns = bigquery.client.get_table(f"{dataset}.t").schema
    sent = len(simulator.requests)
    with pytest.raises(AirflowFailException, match="has another layout"):
        run(to_table(ids[:2], f"{dataset}.t", layout=second), at=TODAY)
    assert bigquery.client.get_table(f"{dataset}.t").schema == columns
    assert len(simulator.requests) == sent


def test_truncate_is_refused_in_a_mapped_task(
    ids: list[str], simulator: Simulator, dataset: str
) -> None:
    operator = to_table(ids[:2], f"{dataset}.t", write_mode="truncate")
    with pytest.raises(AirflowFailException, match=r"truncate.* in a mapped task"):
        run(operator, at=TODAY, map_index=0)
    assert simulator.requests == []


def test_a_window_is_pulled_again_and_a_snapshot_is_not(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    for endpoint, requests in (("historical", 6), ("28hr", 3)):
        before = len(simulator.requests)
        for _ in range(2):
            run(to_bucket(ids, bucket, endpoint=endpoint), at=TODAY)
        assert len(simulator.requests) - before == requests


def test_a_window_before_the_first_tweet_sends_nothing(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    ran = run(to_bucket(ids, bucket), at=TODAY - 60 * DAY)
    assert (ran.value["rows"], ran.value["uris"]) == (0, [])
    assert simulator.requests == []


def test_a_late_run_of_the_28_hours_as_a_whole_is_skipped(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    with pytest.raises(AirflowSkipException, match="raise max_snapshot_age"):
        run(to_bucket(ids, bucket, endpoint="28hr", granularity="total"), at=TODAY - 3 * DAY)
    assert simulator.requests == []


# ---- Resuming --------------------------------------------------------------------------------

BROKEN_AT_THE_FIFTH = Faults(script=(None, None, None, None, *["500"] * 400))


def staged(bucket: Bucket) -> list[str]:
    return [blob.name for blob in bucket.list_blobs() if "staging" in blob.name]


@pytest.fixture
def broken(ids: list[str], simulator: Simulator, bucket: Bucket, dataset: str) -> str:
    """Let a pull of five requests fail at its last, and give its table."""
    table = f"{dataset}.days"
    simulator.faults = BROKEN_AT_THE_FIFTH
    with pytest.raises(ServiceError, match="HTTP 500"):
        run(resumable(ids, table, bucket), at=TODAY)
    simulator.faults = Faults()
    assert len(staged(bucket)) == 4
    return table


def resumable(ids: list[str], table: str, bucket: Bucket) -> EngagementToBigQueryOperator:
    """Ask for five requests: three batches in one window, two in the one before."""
    return to_table(ids, table, lookback=30 * DAY, staging_bucket=bucket.name)


def test_a_retry_sends_only_what_is_missing(  # noqa: PLR0917 - fixtures
    world: World,
    ids: list[str],
    simulator: Simulator,
    bigquery: BigQuery,
    bucket: Bucket,
    broken: str,
) -> None:
    before = len(simulator.requests)
    ran = run(resumable(ids, broken, bucket), at=TODAY, try_number=2)
    assert len(simulator.requests) - before == 1
    assert ran.summary["requests_resumed"] == 4
    found = cells(bigquery, broken)
    every = expected_counts(world, ids, TODAY - 31 * DAY, TODAY, DAY)
    made = {item: created_at(item) or NOW for item in ids}
    assert found == {key: value for key, value in every.items() if made[key[0]] < key[2] + DAY}
    assert staged(bucket) == []


@pytest.mark.parametrize(
    ("changed", "try_number", "max_tries"),
    [({"ids": 59}, 2, 3), ({}, 3, 5)],
    ids=["other Tweets", "a Clear"],
)
def test_other_tweets_or_a_clear_start_from_the_beginning(  # noqa: PLR0917 - fixtures
    ids: list[str],
    simulator: Simulator,
    bucket: Bucket,
    broken: str,
    changed: dict[str, int],
    try_number: int,
    max_tries: int,
) -> None:
    before = len(simulator.requests)
    operator = resumable(ids[: changed.get("ids")], broken, bucket)
    ran = run(operator, at=TODAY, try_number=try_number, max_tries=max_tries)
    assert ran.summary["requests_resumed"] == 0
    assert len(simulator.requests) - before == 5


def test_the_last_try_leaves_nothing(
    ids: list[str], simulator: Simulator, bucket: Bucket, dataset: str, bigquery: BigQuery
) -> None:
    simulator.faults = BROKEN_AT_THE_FIFTH
    with pytest.raises(ServiceError):
        run(resumable(ids, f"{dataset}.days", bucket), at=TODAY, try_number=4, max_tries=3)
    assert staged(bucket) == []
    assert sorted(table.table_id for table in bigquery.client.list_tables(dataset)) == [
        "days",
        "days_coverage",
        "days_lock",
    ]


def test_the_request_of_an_unreadable_checkpoint_is_sent_again(
    ids: list[str], simulator: Simulator, bucket: Bucket, broken: str
) -> None:
    bucket.blob(staged(bucket)[0]).upload_from_string(b"damaged")
    before = len(simulator.requests)
    run(resumable(ids, broken, bucket), at=TODAY, try_number=2)
    assert len(simulator.requests) - before == 2


def test_checkpoints_are_swept_after_a_week(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    simulator.faults = BROKEN_AT_THE_FIFTH
    with pytest.raises(ServiceError):
        run(to_bucket(ids, bucket, lookback=30 * DAY), at=TODAY)
    simulator.faults = Faults()
    left = staged(bucket)
    assert len(left) == 4
    moved = {
        days: [re.sub(r"\d{4}-\d\d-\d\d", f"{TODAY - days * DAY:%Y-%m-%d}", name) for name in left]
        for days in (6, 9)
    }
    for name in left:
        bucket.blob(name).delete()
    for name in (*moved[6], *moved[9]):
        bucket.blob(name).upload_from_string(b"left")
    run(to_bucket(ids, bucket), at=TODAY)
    assert staged(bucket) == moved[6]
