"""Shards of a collection, and passes of a loop: what they pull and how their places are named."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from object_checks import read_manifest
from run_operator import CONN_ID, NOW, run

from airflow_provider_engagement.api.errors import ServiceError
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.simulator import Faults, Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Bucket


pytestmark = pytest.mark.usefixtures("current_now", "airflow_home", "simulator", "quick_retries")

SNAPSHOT = NOW - timedelta(hours=1)
FOUR = [f"{index}/4" for index in range(4)]


@pytest.fixture
def world() -> World:
    return World(seed=11, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 40, since=NOW - timedelta(days=80), until=SNAPSHOT)


def transfer(tweet_ids: Any, bucket: Bucket, **more: Any) -> EngagementToGCSOperator:
    return EngagementToGCSOperator(
        task_id="pull",
        tweet_ids=tweet_ids,
        bucket=bucket.name,
        engagement_conn_id=CONN_ID,
        **more,
    )


def to_table(tweet_ids: Any, table: str, **more: Any) -> EngagementToBigQueryOperator:
    return EngagementToBigQueryOperator(
        task_id="pull",
        tweet_ids=tweet_ids,
        destination_table=table,
        engagement_conn_id=CONN_ID,
        **more,
    )


def run_shards(tweet_ids: Any, bucket: Bucket, shards: list[str]) -> list[Any]:
    with DAG("mapped", schedule=None) as dag:
        EngagementToGCSOperator.partial(
            task_id="pull", tweet_ids=tweet_ids, bucket=bucket.name, engagement_conn_id=CONN_ID
        ).expand(shard=shards)
    task: Any = dag.get_task("pull")
    return [
        run(task.unmap({"shard": shard}), at=SNAPSHOT, dag_id="mapped", map_index=index, dag=dag)
        for index, shard in enumerate(shards)
    ]


def folders(bucket: Bucket) -> set[str]:
    return {blob.name.rpartition("/")[0] for blob in bucket.list_blobs()}


def requested(simulator: Simulator) -> list[str]:
    return sorted(item for request in simulator.requests for item in request.body["tweet_ids"])


def test_shards_pull_each_tweet_once(
    ids: list[str], simulator: Simulator, bucket: Bucket, tmp_path: Path
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids))
    ran = run_shards(f"file://{path}", bucket, FOUR)
    assert requested(simulator) == sorted(ids)
    assert sum(each.value["rows"] for each in ran) == 7 * len(ids)
    assert [each.summary["shard"] for each in ran] == FOUR
    assert sum(each.summary["plan"]["tweets"] for each in ran) == len(ids)


def test_folders_are_named_by_the_shard_and_not_by_the_place(
    ids: list[str], simulator: Simulator, bucket: Bucket, tmp_path: Path
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids))
    first = run_shards(f"file://{path}", bucket, FOUR)
    held = {blob.name: blob.generation for blob in bucket.list_blobs()}
    path.write_text("\n".join([*ids[1::2], *ids[::2]]))
    second = run_shards(f"file://{path}", bucket, FOUR[::-1])
    assert [each.value for each in second] == [each.value for each in first[::-1]]
    assert {blob.name: blob.generation for blob in bucket.list_blobs()} == held
    assert len(simulator.requests) == 4
    names = sorted(folder.rpartition("/")[2] for folder in folders(bucket))
    assert [name.partition("-")[2] for name in names] == [f"{index}-of-4" for index in range(4)]
    assert len({name.partition("-")[0] for name in names}) == 1


@pytest.mark.parametrize("empty", ["None", ""])
def test_a_template_without_a_value_is_the_whole_collection(
    ids: list[str], simulator: Simulator, bucket: Bucket, empty: str
) -> None:
    operator = transfer(ids, bucket, shard="{{ shard }}")
    ran = run(operator, at=SNAPSHOT, variables={"shard": empty})
    assert requested(simulator) == sorted(ids)
    assert "shard" not in ran.summary


def test_a_wrong_shard_is_refused_before_anything_is_read(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    operator = transfer(ids, bucket, shard="{{ shard }}")
    with pytest.raises(AirflowFailException, match=r"shard is '8/8'; it must be text 'i/n'"):
        run(operator, at=SNAPSHOT, variables={"shard": "8/8"})
    assert simulator.requests == []


def test_an_empty_shard_writes_nothing_and_says_so(
    ids: list[str], simulator: Simulator, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    few = ids[:2]
    empty = next(f"{i}/8" for i in range(8) if not Shard(i, 8).select(few))
    ran = run(transfer(few, bucket, shard=empty), at=SNAPSHOT)
    assert (ran.value["uris"], ran.value["rows"]) == ([], 0)
    assert f"Shard {empty} has 0 of 2 Tweets." in caplog.text
    assert f"Shard {empty} has no Tweet: nothing is asked, nothing is written." in caplog.text
    assert "tweet_ids holds no ids" not in caplog.text
    assert simulator.requests == []
    assert folders(bucket) == set()


def test_a_shard_without_an_answer_fails_like_a_whole_collection(
    world: World, ids: list[str], bucket: Bucket
) -> None:
    shard = Shard(1, 4)
    world.deleted = set(shard.select(ids))
    with pytest.raises(AirflowFailException, match=r"0 of \d+ Tweets were counted"):
        run(transfer(ids, bucket, shard=str(shard)), at=SNAPSHOT)


@pytest.mark.parametrize("map_index", [-1, 1])
def test_truncate_is_refused_for_a_shard(
    ids: list[str], simulator: Simulator, dataset: str, map_index: int
) -> None:
    operator = to_table(ids, f"{dataset}.t", write_mode="truncate", shard="1/4")
    with pytest.raises(AirflowFailException, match=r"truncate.* for shard 1/4"):
        run(operator, at=SNAPSHOT, map_index=map_index)
    assert simulator.requests == []


def test_a_shard_adds_the_tweets_that_are_new_in_it(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    shard = Shard(0, 2)
    run(transfer(ids[:30], bucket, shard=str(shard)), at=SNAPSHOT)
    run(transfer(ids, bucket, shard=str(shard)), at=SNAPSHOT)
    assert requested(simulator) == sorted(shard.select(ids))
    (folder,) = folders(bucket)
    manifest = read_manifest(bucket, folder)
    assert manifest is not None
    assert manifest["rows"] == 7 * len(shard.select(ids))


# ---- Retries ---------------------------------------------------------------------------------


def test_a_retry_resumes_its_own_shard_only(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    def attempt(shard: str, try_number: int, **more: Any) -> Any:
        asked = {"endpoint": "historical", "lookback": timedelta(days=60)}
        return run(transfer(ids, bucket, shard=shard, **asked), try_number=try_number, **more)

    simulator.faults = Faults(script=(None, None, *["500"] * 400))
    with pytest.raises(ServiceError, match="HTTP 500"):
        attempt("0/2", 1)
    simulator.faults = Faults()
    assert attempt("1/2", 2).summary["requests_resumed"] == 0
    assert attempt("0/2", 2, region_id="pass-2").summary["requests_resumed"] == 0
    assert attempt("0/2", 2).summary["requests_resumed"] == 2


# ---- Loops of Airflow 3.4 --------------------------------------------------------------------


@pytest.mark.parametrize("map_index", [-1, 0])
def test_passes_of_a_loop_have_folders_of_their_own(
    ids: list[str], simulator: Simulator, bucket: Bucket, map_index: int
) -> None:
    for region in (None, "pass-1", "pass-2", "pass-1"):
        run(transfer(ids, bucket), at=SNAPSHOT, map_index=map_index, region_id=region)
    assert len(folders(bucket)) == len(simulator.requests) == 3


def test_truncate_is_refused_in_a_loop(ids: list[str], simulator: Simulator, dataset: str) -> None:
    operator = to_table(ids, f"{dataset}.t", write_mode="truncate")
    with pytest.raises(AirflowFailException, match=r"truncate.* in a mapped task or loop"):
        run(operator, at=SNAPSHOT, region_id="pass-1")
    assert simulator.requests == []
