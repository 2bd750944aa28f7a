"""Finished folders in one load: what is checked, what the table holds, what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset
from bigquery_checks import sorted_rows
from google.cloud import bigquery as google_bigquery
from object_checks import read_manifest
from run_operator import CONN_ID, NOW, run, snapshot_window

from airflow_provider_engagement.api.errors import ConcurrentWriteError, InvalidArgumentError
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.simulator import World
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.transfers.engagement_gcs_to_bigquery import (
    EngagementGCSToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.cloud.storage import Bucket

    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("current_now", "airflow_home", "simulator", "temporary")

SNAPSHOT = NOW - timedelta(hours=1)
DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0)
EIGHT = [f"{index}/8" for index in range(8)]


@pytest.fixture
def world() -> World:
    return World(seed=31, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 60, since=NOW - 80 * DAY, until=SNAPSHOT)


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every load job and every script."""
    started: list[str] = []
    for name in ("load_table_from_uri", "load_table_from_file", "query"):
        start = getattr(google_bigquery.Client, name)

        def note(client: Any, text: Any, *args: Any, _: Any = (name, start), **more: Any) -> Any:
            kind, call = _
            started.append(str(text) if kind == "query" else kind)
            return call(client, text, *args, **more)

        monkeypatch.setattr(google_bigquery.Client, name, note)
    return started


def pull(tweet_ids: Any, bucket: Bucket, *, at: Any = SNAPSHOT, **more: Any) -> dict[str, Any]:
    """Write a folder, and return what its task returned."""
    operator = EngagementToGCSOperator(
        task_id="pull",
        tweet_ids=tweet_ids,
        bucket=bucket.name,
        engagement_conn_id=CONN_ID,
        **more,
    )
    value: dict[str, Any] = run(operator, at=at).value
    return value


def to_table(tweet_ids: Any, table: str, *, at: Any = SNAPSHOT, **more: Any) -> None:
    run(
        EngagementToBigQueryOperator(
            task_id="to_table",
            tweet_ids=tweet_ids,
            destination_table=table,
            engagement_conn_id=CONN_ID,
            **more,
        ),
        at=at,
    )


def load(uris: Any, table: str, **more: Any) -> EngagementGCSToBigQueryOperator:
    return EngagementGCSToBigQueryOperator(
        task_id="load", uris=uris, destination_table=table, **more
    )


def content(bigquery: BigQuery, table: str, *without: str) -> list[list[dict[str, Any]]]:
    """Return the rows of a table, and those of its coverage, in a fixed order."""
    found = []
    for name in (table, f"{table}_coverage"):
        rows = bigquery.rows(f"SELECT * FROM {name}")  # noqa: S608 - the test chose the names
        left = [{key: row[key] for key in row if key not in without} for row in rows]
        found.append(sorted_rows(left))
    return found


def folder_of(result: dict[str, Any]) -> str:
    folder: str = result["uris"][0].rpartition("/")[0]
    return folder


def name_of(result: dict[str, Any]) -> str:
    """Return a folder's name in its bucket."""
    return folder_of(result).removeprefix("gs://").partition("/")[2]


def tables_in(bigquery: BigQuery, dataset: str) -> list[str]:
    return [table.table_id for table in bigquery.client.list_tables(dataset)]


# ---- What the table holds --------------------------------------------------------------------


def test_eight_shards_make_the_table_of_one_task(
    *,
    world: World,
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    jobs: list[str],
) -> None:
    world.foreign, world.deleted = {ids[3]}, {ids[5], ids[11]}
    to_table(ids, f"{dataset}.truth")
    results = [pull(ids, bucket, shard=shard) for shard in EIGHT]
    jobs.clear()
    ran = run(load(results, f"{dataset}.loaded"))
    assert ran.value == {
        "table": f"{bigquery.client.project}.{dataset}.loaded",
        "rows": sum(result["rows"] for result in results),
        "window": snapshot_window(SNAPSHOT),
    }
    assert [job for job in jobs if job.startswith("load")] == ["load_table_from_uri"]
    (script,) = (job for job in jobs if "MERGE" in job)
    assert script.count("MERGE") == 2  # of rows and of coverage, in one transaction
    truth = content(bigquery, f"{dataset}.truth", "collected_at")
    assert content(bigquery, f"{dataset}.loaded", "collected_at") == truth
    assert len(truth[1]) == len(ids)


def test_the_same_folders_twice_change_nothing(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    results = [pull(ids[:9], bucket, shard=f"{index}/2") for index in range(2)]
    run(load(results, f"{dataset}.t"))
    before = content(bigquery, f"{dataset}.t")
    assert run(load([*results, *results], f"{dataset}.t")).value["rows"] == 63
    assert content(bigquery, f"{dataset}.t") == before


@pytest.mark.parametrize(
    ("layout", "file_format"),
    [
        *(("long", each) for each in ("parquet", "jsonl", "jsonl.gz")),
        *(("wide", each) for each in ("parquet", "jsonl")),
    ],
)
def test_every_layout_and_format_is_loaded(
    *,
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    layout: Any,
    file_format: Any,
) -> None:
    asked: dict[str, Any] = {"endpoint": "historical", "layout": layout, "lookback": DAY}
    to_table(ids[:6], f"{dataset}.truth", at=TODAY, **asked)
    result = pull(ids[:6], bucket, at=TODAY, file_format=file_format, **asked)
    run(load(result, f"{dataset}.t", layout=layout))
    truth = content(bigquery, f"{dataset}.truth", "collected_at")
    assert truth[0]
    assert content(bigquery, f"{dataset}.t", "collected_at") == truth


def test_folders_of_several_days_make_one_window(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    asked: dict[str, Any] = {"endpoint": "historical", "engagement_types": ["favorites"]}
    results = [pull(ids[:6], bucket, at=TODAY - n * DAY, **asked) for n in range(3)]
    to_table(ids[:6], f"{dataset}.truth", at=TODAY, lookback=2 * DAY, **asked)
    ran = run(load(results, f"{dataset}.t"))
    assert ran.value["window"] == {
        "start": f"{TODAY - 3 * DAY:%Y-%m-%dT%H:%M:%SZ}",
        "end": f"{TODAY:%Y-%m-%dT%H:%M:%SZ}",
    }
    truth, _ = content(bigquery, f"{dataset}.truth", "collected_at")
    assert content(bigquery, f"{dataset}.t", "collected_at")[0] == truth


def test_tweets_since_their_posting_are_loaded(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    asked: dict[str, Any] = {
        "endpoint": "historical",
        "engagement_types": ["favorites"],
        "since_posting": "P3D",
    }
    to_table(ids[:6], f"{dataset}.truth", **asked)
    results = [pull(ids[:6], bucket, shard=f"{index}/2", **asked) for index in range(2)]
    ran = run(load(results, f"{dataset}.t"))
    windows = [result["window"] for result in results]
    assert ran.value["window"] == {
        "since_posting": "P3D",
        "start": min(window["start"] for window in windows),
        "end": max(window["end"] for window in windows),
    }
    truth, _ = content(bigquery, f"{dataset}.truth", "collected_at")
    assert content(bigquery, f"{dataset}.t", "collected_at")[0] == truth


def test_snapshots_of_several_moments_are_loaded(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    moments = [SNAPSHOT, SNAPSHOT - timedelta(hours=2)]
    results = [pull(ids[:3], bucket, at=moment) for moment in moments]
    ran = run(load(results, f"{dataset}.t"))
    assert [*ran.value["window"]] == ["start", "end"]
    rows, coverage = content(bigquery, f"{dataset}.t")
    assert {row["snapshot_at"] for row in rows} == set(moments)
    assert (len(rows), len(coverage)) == (42, 6)


def test_coverage_of_a_folder_without_rows_is_loaded(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    asked: dict[str, Any] = {"endpoint": "historical", "granularity": "total", "incomplete": "drop"}
    start = NOW.replace(minute=0, second=0) - timedelta(hours=1)
    result = pull(ids[:2], bucket, start=start, end=start + timedelta(hours=2), **asked)
    assert (result["rows"], len(result["uris"])) == (0, 1)
    assert result["uris"][0].endswith("/manifest.json")
    run(load(result, f"{dataset}.t"))
    rows, coverage = content(bigquery, f"{dataset}.t")
    assert (rows, len(coverage)) == ([], 2)


def test_append_adds_and_truncate_replaces(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    first, second = pull(ids[:2], bucket), pull(ids[2:5], bucket, shard="0/1")
    run(load(first, f"{dataset}.t", write_mode="append"))
    run(load(first, f"{dataset}.t", write_mode="append"))
    assert len(content(bigquery, f"{dataset}.t")[0]) == 28
    run(load(second, f"{dataset}.t", write_mode="truncate"))
    rows, coverage = content(bigquery, f"{dataset}.t")
    assert {row["tweet_id"] for row in rows} == {row["tweet_id"] for row in coverage} == {*ids[2:5]}


# ---- What uris may be ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        folder_of,
        lambda result: f"{folder_of(result)}/",
        lambda result: f"{folder_of(result)}/manifest.json",
        lambda result: result["uris"],
        lambda result: [result["uris"], folder_of(result)],
        lambda result: json.dumps([result]),
        lambda result: str([result]),
        str,
        lambda result: (each for each in [result]),
    ],
    ids=["folder", "slash", "manifest", "parts", "nested", "json", "python", "object", "lazy"],
)
def test_folders_are_named_in_any_form(
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    form: Callable[[dict[str, Any]], Any],
) -> None:
    result = pull(ids[:2], bucket)
    operator = load("{{ uris }}", f"{dataset}.t")
    operator.uris = form(result)  # as Airflow hands over the output of another task
    assert run(operator).value["rows"] == 14
    assert len(content(bigquery, f"{dataset}.t")[0]) == 14


@pytest.mark.parametrize(
    ("uris", "message"),
    [
        ("", "uris is ''; it must be the URI of a folder"),
        ("None", "uris is 'None'; it must be"),
        (None, "uris is None; it must be"),
        (["gs://bucket/a", None], r"uris\[1\] is None; it must be"),
        ({"rows": 1}, "uris is an object without 'uris'"),
        ("gs://bucket", "uris is 'gs://bucket'; it must be the URI of a folder in Google Cloud"),
        (["s3://bucket/folder"], r"uris\[0\] is 's3://bucket/folder'; it must be the URI of a"),
        (7, "uris is 7; it must be"),
    ],
)
def test_anything_else_is_refused_before_a_table_is_made(
    bigquery: BigQuery, dataset: str, uris: Any, message: str
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        run(load(uris, f"{dataset}.t"))
    assert tables_in(bigquery, dataset) == []


def test_an_empty_list_is_refused_when_the_dag_is_parsed() -> None:
    with pytest.raises(InvalidArgumentError, match="uris is an empty list"):
        load([], "dataset.t")
    with pytest.raises(InvalidArgumentError, match=r"layout is 'tall'.*'long', 'wide'"):
        load("gs://bucket/folder", "dataset.t", layout="tall")
    with pytest.raises(InvalidArgumentError, match=r"write_mode is 'replace'.*'upsert'"):
        load("gs://bucket/folder", "dataset.t", write_mode="replace")


def test_shards_without_tweets_write_nothing(
    bigquery: BigQuery, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    empty = {"uris": [], "rows": 0, "window": {}}
    ran = run(load([empty, empty], f"{dataset}.t"))
    assert ran.value == {"table": f"{dataset}.t", "rows": 0, "window": {}}
    assert "uris holds no folders: nothing is written." in caplog.text
    assert tables_in(bigquery, dataset) == []


def test_shards_that_no_folder_holds_are_named(
    ids: list[str], dataset: str, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    held = [index for index in range(4) if Shard(index, 4).select(ids)][:2]
    results = [pull(ids, bucket, shard=f"{index}/4") for index in held]
    ran = run(load(results, f"{dataset}.t"))
    missing = [f"{index}/4" for index in range(4) if index not in held]
    assert ran.summary["shards_missing"] == missing
    assert f"No folder holds shard {', '.join(missing)}." in caplog.text


# ---- What is refused -------------------------------------------------------------------------


def test_an_unfinished_folder_fails_before_anything_is_written(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    finished = pull(ids[:2], bucket)
    unfinished = pull(ids[2:4], bucket, engagement_types=["favorites"], shard="0/1")
    bucket.blob(f"{name_of(unfinished)}/manifest.json").delete()
    held = {blob.name for blob in bucket.list_blobs()}
    message = f"{folder_of(unfinished)} is not a finished folder: it has no manifest.json"
    with pytest.raises(AirflowFailException, match=message):
        run(load([finished, unfinished], f"{dataset}.t"))
    assert tables_in(bigquery, dataset) == []
    assert {blob.name for blob in bucket.list_blobs()} == held


@pytest.mark.parametrize("without", ["layout", "attempt", "window", "plan"])
def test_a_manifest_that_cannot_be_read_is_no_manifest(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket, without: str
) -> None:
    result = pull(ids[:2], bucket)
    blob = bucket.blob(f"{name_of(result)}/manifest.json")
    manifest = json.loads(blob.download_as_bytes())
    manifest.pop(without, None)
    manifest["summary"].pop(without, None)
    blob.upload_from_string(json.dumps(manifest))
    with pytest.raises(AirflowFailException, match=r"its manifest\.json cannot be read"):
        run(load(result, f"{dataset}.t"))
    assert tables_in(bigquery, dataset) == []


@pytest.mark.parametrize("kind", ["part", "coverage"])
@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda blob, _: blob.delete(), "which does not exist"),
        (lambda blob, data: blob.upload_from_string(data[:-1]), r"of \d+ bytes; it has \d+"),
        (
            lambda blob, data: blob.upload_from_string(data[:40] + b"x" + data[41:]),
            "with another checksum",
        ),
    ],
    ids=["missing", "cut", "changed"],
)
def test_a_damaged_folder_fails_before_anything_is_written(
    *,
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    kind: str,
    damage: Callable[[Any, bytes], object],
    fault: str,
) -> None:
    results = [pull(ids[:2], bucket), pull(ids[:4], bucket, shard="0/1")]
    prefix = f"{name_of(results[1])}/{kind}-"
    (blob,) = bucket.list_blobs(prefix=prefix)
    damage(blob, blob.download_as_bytes())
    name = blob.name.rpartition("/")[2]
    message = f"{folder_of(results[1])} is damaged: its manifest lists {name}, {fault}"
    with pytest.raises(AirflowFailException, match=message):
        run(load(results, f"{dataset}.t"))
    assert tables_in(bigquery, dataset) == []


def test_bytes_that_differ_from_what_the_bucket_says_are_not_loaded(
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result, get_file = pull(ids[:2], bucket), GcsStore.get_file

    def damaged(store: GcsStore, name: str, path: Path) -> bool:
        found = get_file(store, name, path)
        path.write_bytes(path.read_bytes()[::-1])
        return found

    monkeypatch.setattr(GcsStore, "get_file", damaged)
    with pytest.raises(AirflowFailException, match="with another checksum"):
        run(load(result, f"{dataset}.t"))
    assert content(bigquery, f"{dataset}.t") == [[], []]
    assert not [blob.name for blob in bucket.list_blobs() if "_staging" in blob.name]


def test_a_folder_that_is_written_again_meanwhile_is_loaded_by_a_retry(
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result, get_file = pull(ids[:2], bucket), GcsStore.get_file
    with monkeypatch.context() as patch:
        patch.setattr(
            GcsStore, "get_file", lambda store, name, path: get_file(store, f"{name}x", path)
        )
        with pytest.raises(ConcurrentWriteError, match="was written again while it was read"):
            run(load(result, f"{dataset}.t"))
    assert run(load(result, f"{dataset}.t"), try_number=2).value["rows"] == 14
    assert len(content(bigquery, f"{dataset}.t")[0]) == 14


def test_a_folder_that_is_replaced_before_it_is_checked_is_loaded_by_a_retry(
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {"endpoint": "historical", "engagement_types": ["favorites"]}
    result = pull(ids[:2], bucket, at=TODAY, **asked)
    operator = load(result, f"{dataset}.t")
    read = operator._load  # noqa: SLF001 - the moment between reading and checking

    def read_and_replace() -> Any:
        found = read()
        pull(ids[:2], bucket, at=TODAY, **asked)
        return found

    monkeypatch.setattr(operator, "_load", read_and_replace)
    with pytest.raises(ConcurrentWriteError, match="was written again while it was read"):
        run(operator)
    assert tables_in(bigquery, dataset) == []
    assert run(load(result, f"{dataset}.t"), try_number=2).value["rows"] == 2


@pytest.mark.parametrize(
    ("second", "layout", "message"),
    [
        ({"layout": "wide"}, "long", r"has layout 'wide', and layout is 'long'.*layout=\"wide\""),
        ({}, "wide", r"has layout 'long', and layout is 'wide'.*layout=\"long\""),
        ({"endpoint": "28hr"}, "long", "holds counts of totals, and .* those of 28hr"),
    ],
)
def test_folders_that_do_not_fit_together_are_refused(
    *,
    ids: list[str],
    bigquery: BigQuery,
    dataset: str,
    bucket: Bucket,
    second: dict[str, Any],
    layout: Any,
    message: str,
) -> None:
    results = [pull(ids[:2], bucket), pull(ids[2:4], bucket, shard="0/1", **second)]
    with pytest.raises(AirflowFailException, match=message):
        run(load(results, f"{dataset}.t", layout=layout))
    assert tables_in(bigquery, dataset) == []


def test_an_unfit_table_is_refused_before_any_load(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket, jobs: list[str]
) -> None:
    schema = [google_bigquery.SchemaField("value", "STRING")]
    bigquery.client.create_table(google_bigquery.Table(_full(bigquery, dataset), schema=schema))
    with pytest.raises(AirflowFailException, match="value"):
        run(load(pull(ids[:2], bucket), f"{dataset}.t"))
    assert jobs == []


def _full(bigquery: BigQuery, dataset: str) -> str:
    return f"{bigquery.client.project}.{dataset}.t"


@pytest.mark.parametrize("instance", [{"map_index": 0}, {"region_id": "pass-1"}])
def test_truncate_is_refused_where_there_are_other_instances(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket, instance: dict[str, Any]
) -> None:
    operator = load(pull(ids[:2], bucket), f"{dataset}.t", write_mode="truncate")
    with pytest.raises(AirflowFailException, match=r"truncate.* in a mapped task or loop"):
        run(operator, **instance)
    assert tables_in(bigquery, dataset) == []


# ---- What is left and what is reported -------------------------------------------------------


def test_nothing_is_left_in_bucket_or_dataset(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    result = pull(ids[:3], bucket)
    held = {blob.name for blob in bucket.list_blobs()}
    run(load(result, f"{dataset}.t"))
    assert {blob.name for blob in bucket.list_blobs()} == held
    assert sorted(tables_in(bigquery, dataset)) == ["t", "t_coverage", "t_lock"]


def test_the_summary_adds_the_folders_up(
    world: World, ids: list[str], dataset: str, bucket: Bucket
) -> None:
    world.deleted = {ids[0]}
    results = [pull(ids, bucket, shard=f"{index}/2") for index in range(2)]
    summary = run(load(results, f"{dataset}.t")).summary
    assert summary["folders"] == 2
    assert summary["folders_listed"] == [folder_of(result) for result in results]
    assert (summary["accounts"], summary["endpoint"], summary["layout"]) == (
        ["acme"],
        "totals",
        "long",
    )
    assert summary["tweets"] | {"asked": 60, "answered": 59, "unavailable": 1} == summary["tweets"]
    assert summary["rows"] == 59 * 7
    assert summary["write_stats"]["load_jobs"] == 1
    assert summary["shards_missing"] == []
    assert len(json.dumps(summary)) < 10_000


def test_lineage_leads_from_the_folders_to_the_tables(
    ids: list[str], bigquery: BigQuery, dataset: str, bucket: Bucket
) -> None:
    pytest.importorskip("airflow.providers.openlineage", reason="an optional provider")
    pulling = EngagementToGCSOperator(
        task_id="pull",
        tweet_ids=ids[:2],
        shard="0/1",
        bucket=bucket.name,
        engagement_conn_id=CONN_ID,
    )
    result = run(pulling, at=SNAPSHOT).value
    loading = load(result, f"{dataset}.t")
    run(loading)
    (written,) = pulling.get_openlineage_facets_on_complete(None).outputs
    lineage = loading.get_openlineage_facets_on_complete(None)
    assert [(each.namespace, each.name) for each in lineage.inputs] == [
        (written.namespace, written.name)
    ]
    assert written.name.endswith("-0-of-1")
    table = _full(bigquery, dataset)
    assert [each.name for each in lineage.outputs] == [table, f"{table}_coverage"]


def test_events_of_assets_tell_of_the_load(ids: list[str], dataset: str, bucket: Bucket) -> None:
    asset = Asset("engagement://loaded/")
    events = {asset: type("Event", (), {"extra": {}})()}
    operator = load(pull(ids[:2], bucket), f"{dataset}.t", outlets=[asset])
    ran = run(operator, variables={"outlet_events": events})
    assert events[asset].extra == {key: ran.value[key] for key in ("rows", "window", "table")}


def test_a_task_that_is_killed_before_it_loads_cancels_nothing() -> None:
    load("gs://bucket/folder", "dataset.t").on_kill()


def test_manifests_name_layout_and_shard(ids: list[str], bucket: Bucket) -> None:
    manifest = read_manifest(bucket, name_of(pull(ids[:2], bucket, layout="wide", shard="0/1")))
    assert manifest is not None
    assert (manifest["layout"], manifest["shard"]) == ("wide", "0/1")
