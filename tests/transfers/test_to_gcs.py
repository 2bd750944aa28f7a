from __future__ import annotations

import gzip
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSkipException,
)
from object_checks import files_of
from run_operator import CONN_ID, NOW, counts, expected_counts, run, snapshot_window

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Bucket

    from tools.clients import Gcs

pytestmark = pytest.mark.usefixtures("airflow_home", "temporary")

TYPES = ENDPOINTS["totals"].engagement_types
SNAPSHOT = NOW - timedelta(hours=1)


@pytest.fixture
def world() -> World:
    return World(seed=8, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 20, since=NOW - timedelta(days=80), until=SNAPSHOT)


def transfer(tweet_ids: Any, bucket: str, **more: Any) -> EngagementToGCSOperator:
    return EngagementToGCSOperator(
        task_id="to_gcs", tweet_ids=tweet_ids, bucket=bucket, engagement_conn_id=CONN_ID, **more
    )


def objects(bucket: Bucket) -> dict[str, bytes]:
    return {blob.name: bucket.blob(blob.name).download_as_bytes() for blob in bucket.list_blobs()}


def only_folder(bucket: Bucket) -> str:
    (folder,) = {name.rpartition("/")[0] for name in objects(bucket)}
    return folder


def rows_in(data: bytes, ending: str) -> list[dict[str, Any]]:
    if ending == "parquet":
        return list(pq.read_table(io.BytesIO(data)).to_pylist())
    text = gzip.decompress(data) if ending == "jsonl.gz" else data
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz"])
def test_rows_coverage_and_manifest_are_written_to_the_tasks_folder(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket, ending: str
) -> None:
    foreign, deleted = ids[2:4]
    world.foreign, world.deleted = {foreign}, {deleted}
    operator = transfer(ids, bucket.name, object_prefix="reports/x", file_format=ending)
    ran = run(operator, at=SNAPSHOT)
    folder = only_folder(bucket)
    assert folder.startswith(f"reports/x/totals/acme/{SNAPSHOT:%Y-%m-%dT%H%M%SZ}/")
    files = files_of(bucket, folder)
    assert {*files} == {f"part-00000.{ending}", f"coverage.{ending}", "manifest.json"}

    rows = rows_in(files[f"part-00000.{ending}"], ending)
    owned = [item for item in ids if item not in {foreign, deleted}]
    assert counts(rows) == expected_counts(world, owned, TYPES) | expected_counts(
        world, [foreign], PUBLIC_TYPES
    )
    coverage = rows_in(files[f"coverage.{ending}"], ending)
    assert [row["tweet_id"] for row in coverage] == ids
    assert {row["tweet_id"] for row in coverage if row["status"] != "answered"} == {deleted}
    if ending == "parquet":
        for name, schema in (("part-00000", LONG), ("coverage", COVERAGE)):
            stored = pq.read_schema(io.BytesIO(files[f"{name}.parquet"]))
            assert stored.equals(arrow_schema(schema))

    manifest = json.loads(files["manifest.json"])
    assert manifest["rows"] == len(rows)
    assert manifest["summary"].items() <= ran.summary.items()
    assert ran.summary["coverage"] == manifest["coverage"]["uri"]
    assert ran.value == {
        "uris": [entry["uri"] for entry in manifest["objects"]],
        "rows": len(rows),
        "window": snapshot_window(SNAPSHOT),
    }
    assert len(json.dumps(ran.xcoms)) < 10_000
    assert len(simulator.requests) == ran.summary["requests"]


def test_a_snapshot_is_taken_once(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    first = run(transfer(ids, bucket.name), at=SNAPSHOT)
    held, asked = objects(bucket), len(simulator.requests)
    world.freeze(NOW + timedelta(hours=6))
    # The order of the ids and their repetition make no difference.
    second = run(transfer([*reversed(ids), ids[0]], bucket.name), at=SNAPSHOT)
    assert objects(bucket) == held
    assert second.value == first.value
    for key in ("tweets", "plan", "rows", "window", "coverage"):
        assert second.summary[key] == first.summary[key]
    assert second.xcoms["destination_url"] == first.xcoms["destination_url"]
    assert len(simulator.requests) == asked


CHANGES: dict[str, dict[str, Any]] = {
    "other types": {"engagement_types": ["favorites"]},
    "another grouping": {"groupings": {"by-tweet": {"group_by": ["tweet.id"]}}},
    "another format": {"file_format": "jsonl"},
    "another layout": {"layout": "wide"},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_another_query_replaces_the_folder(
    ids: list[str], simulator: Simulator, bucket: Bucket, changes: dict[str, Any]
) -> None:
    before = run(transfer(ids, bucket.name), at=SNAPSHOT)
    after = run(transfer(ids, bucket.name, **changes), at=SNAPSHOT)
    assert len(simulator.requests) == 2
    assert after.value["rows"] == before.value["rows"] or after.value["rows"] in {20, 35}
    names = {f"gs://{bucket.name}/{name}" for name in objects(bucket)}
    assert set(after.value["uris"]) < names
    assert len(names) == 3
    ending = changes.get("file_format", "parquet")
    assert all(uri.endswith(f".{ending}") for uri in after.value["uris"])


def test_a_snapshot_without_one_of_its_objects_is_taken_again(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    run(transfer(ids, bucket.name), at=SNAPSHOT)
    part = next(name for name in objects(bucket) if "part-" in name)
    bucket.blob(part).delete()
    world.freeze(NOW + timedelta(hours=6))
    run(transfer(ids, bucket.name), at=SNAPSHOT)
    rows = rows_in(files_of(bucket, only_folder(bucket))["part-00000.parquet"], "parquet")
    assert counts(rows) == expected_counts(world, ids, TYPES)
    assert len(simulator.requests) == 2


def test_fewer_ids_return_the_snapshot_that_exists(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    before = run(transfer(ids, bucket.name), at=SNAPSHOT)
    world.freeze(NOW + timedelta(hours=6))
    assert run(transfer(ids[:5], bucket.name), at=SNAPSHOT).value == before.value
    assert len(simulator.requests) == 1


def rows_of(bucket: Bucket, value: dict[str, Any]) -> list[dict[str, Any]]:
    names = [uri.removeprefix(f"gs://{bucket.name}/") for uri in value["uris"]]
    held = objects(bucket)
    return [row for name in names for row in rows_in(held[name], "parquet")]


def test_new_ids_are_added_to_the_snapshot_and_the_others_keep_their_counts(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    run(transfer(ids[:12], bucket.name), at=SNAPSHOT)
    first = expected_counts(world, ids[:12], TYPES)
    world.freeze(NOW + timedelta(hours=6))
    ran = run(transfer(ids, bucket.name), at=SNAPSHOT)
    assert [list(request.tweet_ids) for request in simulator.requests] == [ids[:12], ids[12:]]
    assert counts(rows_of(bucket, ran.value)) == first | expected_counts(world, ids[12:], TYPES)
    assert ran.value["rows"] == ran.summary["rows"] == 20 * len(TYPES)
    assert ran.summary["requests"] == 1
    assert (ran.summary["tweets"]["asked"], ran.summary["tweets"]["answered"]) == (20, 20)
    assert len({name.rpartition("/")[0] for name in objects(bucket)}) == 1
    again = run(transfer(ids, bucket.name), at=SNAPSHOT)
    assert again.value == ran.value
    assert again.summary["tweets"] == ran.summary["tweets"]
    assert files_of(bucket, only_folder(bucket))


def test_the_share_of_missing_ids_is_that_of_the_whole_snapshot(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    run(transfer(ids[:18], bucket.name), at=SNAPSHOT)
    world.deleted = set(ids[18:])
    with pytest.raises(AirflowFailException, match="18 of 20 Tweets were counted"):
        run(transfer(ids, bucket.name, max_missing_share=0.05), at=SNAPSHOT)
    ran = run(transfer(ids, bucket.name, max_missing_share=0.1), at=SNAPSHOT)
    assert ran.value["rows"] == 18 * len(TYPES)
    assert len(simulator.requests) == 3


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_a_late_run_returns_the_snapshot_that_exists(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket, run_type: str
) -> None:
    at = NOW - timedelta(hours=30)
    more = {"max_snapshot_age": timedelta(hours=48)}
    before = run(transfer(ids[:12], bucket.name, **more), at=at)
    held = objects(bucket)
    # The new ids can no longer be asked for as they were then.
    after = run(transfer(ids, bucket.name), at=at, run_type=run_type)
    assert after.value == before.value
    assert after.summary["tweets"] == before.summary["tweets"]
    assert objects(bucket) == held
    assert len(simulator.requests) == 1
    assert world.now() == NOW


@pytest.mark.usefixtures("simulator")
def test_runs_and_tasks_have_folders_of_their_own(ids: list[str], bucket: Bucket) -> None:
    run(transfer(ids, bucket.name), at=SNAPSHOT)
    run(transfer(ids, bucket.name), at=SNAPSHOT, map_index=0)
    run(transfer(ids, bucket.name), at=SNAPSHOT, dag_id="another")
    run(transfer(ids, bucket.name), at=SNAPSHOT - timedelta(minutes=1))
    folders = {name.rpartition("/")[0] for name in objects(bucket)}
    assert len(folders) == 4
    assert len({folder.split("/")[3] for folder in folders}) == 2
    # The run's id is not part of the name: a run that was deleted and created owns the folder.
    held = objects(bucket)
    run(transfer(ids, bucket.name), at=SNAPSHOT, run_id="manual__2")
    assert objects(bucket) == held


# ---- Mapped tasks ----------------------------------------------------------------------------


def mapped(bucket: str, items: list[dict[str, Any]], **shared: Any) -> tuple[DAG, Any]:
    shared = {"task_id": "to_gcs", "bucket": bucket} | shared
    if not any("engagement_conn_id" in item for item in items):
        shared["engagement_conn_id"] = CONN_ID
    with DAG("mapped", schedule=None) as dag:
        task = EngagementToGCSOperator.partial(**shared).expand_kwargs(items)
    return dag, task


def run_mapped(dag: DAG, task: Any, items: list[dict[str, Any]], **more: Any) -> list[Any]:
    return [
        run(task.unmap(item), at=SNAPSHOT, dag_id="mapped", map_index=index, dag=dag, **more).value
        for index, item in enumerate(items)
    ]


def test_a_reordered_list_of_items_writes_nothing_twice(
    ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    items = [{"tweet_ids": ids[start : start + 5]} for start in (0, 5, 10)]
    first = run_mapped(*mapped(bucket.name, items), items)
    held = objects(bucket)
    items.reverse()
    second = run_mapped(*mapped(bucket.name, items), items)
    assert second == first[::-1]
    assert objects(bucket) == held
    assert len({name.rpartition("/")[0] for name in held}) == len(simulator.requests) == 3


@pytest.mark.usefixtures("simulator")
def test_items_that_ask_something_else_have_folders_of_their_own(
    ids: list[str], bucket: Bucket
) -> None:
    items: list[dict[str, Any]] = [
        {"engagement_types": ["favorites"]},
        {"engagement_types": ["replies"]},
        {"engagement_types": ["replies"], "file_format": "jsonl"},
        {"engagement_types": ["replies"], "layout": "wide"},
        {"groupings": {"g": {"group_by": ["engagement.type"]}}},
    ]
    dag, task = mapped(bucket.name, items, tweet_ids=ids)
    values = run_mapped(dag, task, items)
    folders = {value["uris"][0].rpartition("/")[0] for value in values}
    assert len(folders) == len(items)


def test_a_collection_that_all_items_share_may_grow(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    items = [{"engagement_conn_id": CONN_ID}]
    before = run_mapped(*mapped(bucket.name, items, tweet_ids=ids[:9]), items)
    world.freeze(NOW + timedelta(hours=6))
    after = run_mapped(*mapped(bucket.name, items, tweet_ids=ids), items)
    assert set(before[0]["uris"]) < set(after[0]["uris"])
    assert [len(request.tweet_ids) for request in simulator.requests] == [9, 11]


def test_the_content_of_a_file_of_ids_may_grow(
    ids: list[str], simulator: Simulator, bucket: Bucket, tmp_path: Path
) -> None:
    path = tmp_path / "ids.txt"
    items = [{"tweet_ids": f"file://{path}"}]
    for count in (9, 20):
        path.write_text("\n".join(ids[:count]))
        (value,) = run_mapped(*mapped(bucket.name, items), items)
    assert value["rows"] == 20 * len(TYPES)
    assert [len(request.tweet_ids) for request in simulator.requests] == [9, 11]


def test_a_missing_bucket_fails_before_the_first_request(
    ids: list[str], simulator: Simulator, gcs: Gcs
) -> None:
    assert "nowhere" not in [found.name for found in gcs.client.list_buckets()]
    with pytest.raises(AirflowFailException, match=r"'nowhere' does not exist.*gcloud storage b"):
        run(transfer(ids, "nowhere"), at=SNAPSHOT)
    assert simulator.requests == []


@pytest.mark.parametrize("prefix", ["a/../b", "..", "a//b", "a\x00b"])
def test_a_prefix_outside_the_bucket_fails_before_the_first_request(
    ids: list[str], simulator: Simulator, bucket: Bucket, prefix: str
) -> None:
    with pytest.raises(AirflowFailException, match="object_prefix is"):
        run(transfer(ids, bucket.name, object_prefix=prefix), at=SNAPSHOT)
    assert simulator.requests == []
    assert objects(bucket) == {}


def test_a_failed_pull_leaves_no_object(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    world.deleted = set(ids[:15])
    operator = transfer(ids, bucket.name, max_missing_share=0.5)
    with pytest.raises(AirflowFailException, match="5 of 20 Tweets were counted"):
        run(operator, at=SNAPSHOT)
    assert objects(bucket) == {}
    assert simulator.requests


def test_a_failed_pull_leaves_the_folder_of_the_last_one(
    world: World, ids: list[str], simulator: Simulator, bucket: Bucket
) -> None:
    run(transfer(ids[:3], bucket.name), at=SNAPSHOT)
    held = objects(bucket)
    world.deleted = set(ids)
    with pytest.raises(AirflowFailException, match="3 of 20 Tweets were counted"):
        run(transfer(ids, bucket.name, max_missing_share=0.5), at=SNAPSHOT)
    assert objects(bucket) == held
    assert simulator.requests


def test_an_empty_collection_writes_no_object_and_deletes_none(
    ids: list[str], simulator: Simulator, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    run(transfer(ids, bucket.name), at=SNAPSHOT)
    held = objects(bucket)
    ran = run(transfer("{{ ids }}", bucket.name), at=SNAPSHOT, variables={"ids": []})
    assert (ran.value["uris"], ran.value["rows"]) == ([], 0)
    assert "tweet_ids holds no ids" in caplog.text
    assert objects(bucket) == held
    assert len(simulator.requests) == 1


def test_a_late_run_is_skipped(ids: list[str], simulator: Simulator, bucket: Bucket) -> None:
    with pytest.raises(AirflowSkipException, match="max_snapshot_age"):
        run(transfer(ids, bucket.name), at=NOW - timedelta(days=2))
    assert simulator.requests == []
    assert objects(bucket) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file_format": "csv"}, r"file_format is 'csv'; .*'parquet', 'jsonl', 'jsonl\.gz'"),
        ({"endpoint": "30hr"}, r"endpoint is '30hr'; it must be one of: 'totals'"),
        ({"tweet_ids": ()}, "tweet_ids is an empty list"),
    ],
)
def test_parameters_without_templates_are_checked_at_parse_time(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        transfer(**({"tweet_ids": ["20"], "bucket": "bucket"} | changes))
