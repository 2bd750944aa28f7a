from __future__ import annotations

import io
import json
import tempfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from bigquery_checks import (
    LATER,
    coverage_row,
    coverage_table,
    hour_row,
    lifetime_row,
    rows_table,
    sorted_rows,
)
from hypothesis import example, given
from hypothesis import strategies as st
from object_checks import files_of, listed_in, read_manifest, without_try

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks import writers
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.objects import ObjectSink, folder_name
from airflow_provider_engagement.sinks.writers import ENDINGS

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa
    from google.cloud.storage import Bucket

    from airflow_provider_engagement.sinks.base import WriteResult
    from tools.clients import Gcs

FOLDER = "raw/historical/acme/2026-11-21T08/abc"
SUMMARY = {"rows": 3, "window": {"start": "2026-11-21T08:00:00Z"}}


@pytest.fixture
def bucket(gcs: Gcs) -> Bucket:
    return gcs.make_bucket()


@pytest.fixture
def store(gcs: Gcs, bucket: Bucket) -> GcsStore:
    return GcsStore(gcs.client, bucket.name)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(writers, "ROW_GROUP", 10)
    return tmp_path


def sink_for(store: Any, **options: Any) -> ObjectSink:
    return ObjectSink(store, FOLDER, **{"fingerprint": "types", **options})


def snapshot_sink(store: Any, **options: Any) -> ObjectSink:
    return sink_for(store, first_answer_stands=True, **options)


def fill(sink: ObjectSink, rows: int) -> None:
    sink.prepare()
    for start in range(0, rows, 10):
        numbers = range(start, min(start + 10, rows))
        sink.write(rows_table(*(hour_row(value=number) for number in numbers)))


def land(store: Any, rows: int, **options: Any) -> WriteResult:
    sink = sink_for(store, **options)
    fill(sink, rows)
    return sink.commit([coverage_table(coverage_row())], SUMMARY)


def ids_table(*tweet_ids: str) -> pa.Table:
    return coverage_table(*(coverage_row(tweet_id=tweet_id) for tweet_id in tweet_ids))


def take_snapshot(store: Any, *tweet_ids: str, **options: Any) -> WriteResult:
    """Write a snapshot, or add to the one that is there, as a pull does."""
    sink = snapshot_sink(store, **options)
    existing = sink.existing()
    known = existing.tweet_ids if existing is not None else frozenset()
    if existing is not None:
        sink.extend(existing)
    sink.prepare()
    for tweet_id in tweet_ids:
        if tweet_id not in known:
            sink.write(rows_table(lifetime_row(tweet_id=tweet_id)))
    return sink.commit([ids_table(*tweet_ids)], SUMMARY)


def data_of(store: GcsStore, name: str) -> bytes:
    stored = store.read(name)
    assert stored is not None
    return stored.data


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
def test_a_folder_holds_rows_coverage_and_manifest(
    store: GcsStore, bucket: Bucket, scratch: Path, file_format: str
) -> None:
    written = land(store, 35, file_format=file_format, part_bytes=1)
    ending = ENDINGS[file_format]
    parts = [f"part-{number:05d}{ending}" for number in range(4)]
    files = files_of(bucket, FOLDER)
    assert files.keys() == {*parts, f"coverage{ending}", "manifest.json"}

    manifest = json.loads(files["manifest.json"])
    assert [without_try(entry["name"]) for entry in manifest["objects"]] == parts
    assert manifest["rows"] == written.rows == 35
    assert manifest["coverage"]["rows"] == 1
    assert manifest["summary"] == SUMMARY
    assert (manifest["fingerprint"], manifest["format"]) == ("types", file_format)

    assert written.uris == tuple(entry["uri"] for entry in manifest["objects"])
    assert written.coverage == manifest["coverage"]["uri"]
    assert written.table is None
    assert written.stats["manifest"] == store.uri(f"{FOLDER}/manifest.json")
    assert list(scratch.iterdir()) == []


def test_rows_are_read_back(store: GcsStore, bucket: Bucket) -> None:
    land(store, 5)
    files = files_of(bucket, FOLDER)
    table = pq.read_table(io.BytesIO(files["part-00000.parquet"]))
    assert table.column("value").to_pylist() == [0, 1, 2, 3, 4]
    coverage = pq.read_table(io.BytesIO(files["coverage.parquet"]))
    assert coverage.equals(coverage_table(coverage_row()))


@pytest.mark.usefixtures("scratch")
def test_a_re_run_leaves_exactly_the_new_objects(store: GcsStore, bucket: Bucket) -> None:
    land(store, 50, part_bytes=1)
    land(store, 30, file_format="jsonl")
    store.put_bytes(b"mine", "raw/historical/acme/2026-11-21T08/abcdef", "text/plain")
    land(store, 20, part_bytes=1)
    parts = {"part-00000.parquet", "part-00001.parquet"}
    assert files_of(bucket, FOLDER).keys() == {*parts, "coverage.parquet", "manifest.json"}
    # The prefix of the folder is that of another object too.
    assert data_of(store, "raw/historical/acme/2026-11-21T08/abcdef") == b"mine"


def test_objects_of_others_are_never_deleted(store: GcsStore, bucket: Bucket) -> None:
    names = ("part-00000.parquet", "notes.txt", "part-00000-6c1f0e9a7b52.csv", "old/part-0.parquet")
    for name in names:
        store.put_bytes(b"not ours", f"{FOLDER}/{name}", "text/plain")
    land(store, 5)
    land(store, 5)
    assert {data_of(store, f"{FOLDER}/{name}") for name in names} == {b"not ours"}
    assert len(store.names("")) == len(names) + 3
    assert read_manifest(bucket, FOLDER) is not None


def test_what_a_killed_try_left_is_deleted_by_the_next(store: GcsStore, bucket: Bucket) -> None:
    for name in ("part-00000-0123456789ab.parquet", "coverage-0123456789ab.jsonl.gz"):
        store.put_bytes(b"left", f"{FOLDER}/{name}", "text/plain")
    land(store, 5)
    assert files_of(bucket, FOLDER).keys() == {
        "part-00000.parquet",
        "coverage.parquet",
        "manifest.json",
    }


def test_a_pull_without_rows_is_an_empty_folder_with_a_manifest(
    store: GcsStore, bucket: Bucket
) -> None:
    written = land(store, 0)
    assert files_of(bucket, FOLDER).keys() == {"coverage.parquet", "manifest.json"}
    assert (written.rows, written.uris) == (0, ())


def test_the_same_rows_make_the_same_bytes(store: GcsStore, bucket: Bucket) -> None:
    for file_format in ENDINGS:
        land(store, 20, file_format=file_format)
        first = files_of(bucket, FOLDER)
        land(store, 20, file_format=file_format)
        second = files_of(bucket, FOLDER)
        for files in (first, second):
            # It names the try.
            manifest = json.loads(files.pop("manifest.json"))
            files["checksums"] = [entry["md5"] for entry in listed_in(manifest)]
        assert second == first


# ---- Snapshots -------------------------------------------------------------------------------


def test_a_snapshot_that_was_taken_is_found(store: GcsStore) -> None:
    assert snapshot_sink(store).existing() is None
    written = take_snapshot(store, "1", "2")
    found = snapshot_sink(store).existing()
    assert found is not None
    assert found.result == written
    assert (found.manifest.rows, found.manifest.summary) == (2, SUMMARY)
    assert found.tweet_ids == {"1", "2"}
    assert found.covers(["2"])
    assert not found.covers(["2", "3"])


def test_another_question_or_a_series_finds_no_snapshot(store: GcsStore) -> None:
    take_snapshot(store, "1")
    assert snapshot_sink(store, fingerprint="other types").existing() is None
    assert sink_for(store).existing() is None


@pytest.mark.parametrize("lost", ["part-00000.parquet", "coverage.parquet", "manifest.json"])
def test_a_snapshot_without_one_of_its_objects_is_not_found(store: GcsStore, lost: str) -> None:
    take_snapshot(store, "1")
    (name,) = (name for name in store.names("") if without_try(name) == f"{FOLDER}/{lost}")
    store.delete(name)
    assert snapshot_sink(store).existing() is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"objects": 1}', b'{"rows": 1, "objects": [1]}', b"\xff"]
)
def test_a_manifest_that_cannot_be_read_is_replaced(
    store: GcsStore, bucket: Bucket, text: bytes
) -> None:
    store.put_bytes(text, f"{FOLDER}/manifest.json", "application/json")
    assert snapshot_sink(store).existing() is None
    take_snapshot(store, "1")
    assert read_manifest(bucket, FOLDER) is not None


def test_a_coverage_that_cannot_be_read_is_no_snapshot(store: GcsStore) -> None:
    written = take_snapshot(store, "1")
    name = written.coverage.removeprefix(store.uri(""))
    store.put_bytes(b"damaged", name, "text/plain")
    assert snapshot_sink(store).existing() is None


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
@pytest.mark.parametrize("layout", ["long", "wide"])
def test_new_tweets_are_added_and_the_first_answers_stand(
    store: GcsStore, bucket: Bucket, file_format: str, layout: str
) -> None:
    options = {"file_format": file_format, "layout": layout}
    first = take_snapshot(store, "1", "2", **options)
    objects = {name: data_of(store, name) for name in store.names("") if "part-" in name}
    second = take_snapshot(store, "2", "3", **options)
    assert second.uris[:1] == first.uris
    assert (len(second.uris), second.rows) == (2, 3)
    for name, data in objects.items():
        assert data_of(store, name) == data

    manifest = read_manifest(bucket, FOLDER)
    assert manifest is not None
    assert manifest["coverage"]["rows"] == 3
    # The first coverage was replaced.
    assert len(store.names("")) == 4
    found = snapshot_sink(store, **options).existing()
    assert found is not None
    assert found.tweet_ids == {"1", "2", "3"}
    assert found.result == second


def test_the_coverage_of_a_snapshot_stands(store: GcsStore) -> None:
    take_snapshot(store, "1")
    sink = snapshot_sink(store)
    existing = sink.existing()
    assert existing is not None
    sink.extend(existing)
    sink.prepare()
    changed = coverage_row(tweet_id="1", status="unavailable")
    sink.commit([coverage_table(changed, coverage_row(tweet_id="2"))], SUMMARY)
    found = snapshot_sink(store).existing()
    assert found is not None
    assert found.coverage.to_pylist() == [coverage_row(tweet_id="1"), coverage_row(tweet_id="2")]


def test_sums_over_all_tweets_stand(store: GcsStore) -> None:
    sink = snapshot_sink(store)
    sink.prepare()
    sink.write(rows_table(lifetime_row(tweet_id="1"), lifetime_row(tweet_id=None, value=1)))
    sink.commit([ids_table("1")], SUMMARY)
    sink = snapshot_sink(store)
    existing = sink.existing()
    assert existing is not None
    sink.extend(existing)
    sink.prepare()
    sink.write(rows_table(lifetime_row(tweet_id="2"), lifetime_row(tweet_id=None, value=2)))
    written = sink.commit([ids_table("1", "2")], SUMMARY)
    assert written.rows == 3
    tables = [
        pq.read_table(io.BytesIO(data_of(store, uri.removeprefix(store.uri("")))))
        for uri in written.uris
    ]
    values = [table.filter(pc.is_null(table["tweet_id"]))["value"].to_pylist() for table in tables]
    assert values == [[1], []]


# ---- Failures --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_discarding_leaves_the_bucket_and_the_disk_unchanged(
    store: GcsStore, scratch: Path, layout: str
) -> None:
    land(store, 5)
    before = {name: store.read(name) for name in store.names("")}
    sink = sink_for(store, layout=layout)
    sink.discard()
    sink.prepare()
    sink.write(rows_table(*(hour_row(value=number) for number in range(25))))
    sink.discard()
    sink.discard()
    assert {name: store.read(name) for name in store.names("")} == before
    assert list(scratch.iterdir()) == []


class BrokenStore(GcsStore):
    """A bucket that cannot be reached when the coverage is uploaded."""

    def put_file(self, path: Path, name: str) -> None:
        if "coverage" in name:
            message = "no route"
            raise ConnectionError(message)
        super().put_file(path, name)


def test_a_commit_that_fails_leaves_the_folder_unchanged(
    gcs: Gcs, store: GcsStore, bucket: Bucket, scratch: Path
) -> None:
    land(store, 50, part_bytes=1)
    before = files_of(bucket, FOLDER)
    with pytest.raises(ConnectionError, match="no route"):
        land(BrokenStore(gcs.client, bucket.name), 20, part_bytes=1)
    assert files_of(bucket, FOLDER) == before
    assert list(scratch.iterdir()) == []


def test_discarding_never_raises(
    gcs: Gcs, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    class UnreachableStore(BrokenStore):
        def delete(self, name: str) -> None:
            raise ConnectionError(name)

    with pytest.raises(ConnectionError, match="no route"):
        land(UnreachableStore(gcs.client, bucket.name), 5)
    assert f"Objects of gs://{bucket.name}/{FOLDER} were not deleted" in caplog.text


def test_a_commit_whose_answer_is_lost_keeps_its_objects(
    gcs: Gcs, store: GcsStore, bucket: Bucket
) -> None:
    class DeafStore(GcsStore):
        def replace(self, *args: Any, **kwargs: Any) -> bool:
            super().replace(*args, **kwargs)
            message = "no answer"
            raise ConnectionError(message)

    with pytest.raises(ConnectionError, match="no answer"):
        land(DeafStore(gcs.client, bucket.name), 5)
    assert read_manifest(bucket, FOLDER) is not None
    land(store, 3)
    assert len(files_of(bucket, FOLDER)) == 3


def test_a_repeated_replacement_is_known_by_its_try(gcs: Gcs, bucket: Bucket) -> None:
    class RepeatingStore(GcsStore):
        def replace(self, *args: Any, **kwargs: Any) -> bool:
            assert super().replace(*args, **kwargs)
            return super().replace(*args, **kwargs)

    written = land(RepeatingStore(gcs.client, bucket.name), 5)
    assert written.rows == 5
    manifest = read_manifest(bucket, FOLDER)
    assert manifest is not None
    assert [entry["uri"] for entry in manifest["objects"]] == list(written.uris)


def test_wide_objects_have_one_row_a_tweet_and_period(
    store: GcsStore, bucket: Bucket, scratch: Path
) -> None:
    sink = sink_for(store, layout="wide", expected_rows=600_000, file_format="jsonl")
    hours = [{"period_start": LATER + timedelta(hours=n)} for n in range(3)]
    for name in ("impressions", "favorites"):
        sink.write(
            rows_table(
                *(
                    hour_row(tweet_id=str(tweet), engagement_type=name, value=tweet, **hour)
                    for tweet in range(20)
                    for hour in hours
                )
            )
        )
    written = sink.commit([coverage_table(coverage_row())], SUMMARY)
    files = files_of(bucket, FOLDER)
    lines = [json.loads(line) for line in files["part-00000.jsonl"].splitlines()]
    assert written.rows == len(lines) == 60
    keys = sorted_rows({"id": row["tweet_id"], "at": row["period_start"]} for row in lines)
    assert len({tuple(key.values()) for key in keys}) == 60
    for row in lines:
        assert row["impressions"] == row["favorites"] == int(row["tweet_id"])
        assert row["replies"] is None
    assert list(scratch.iterdir()) == []


def test_a_folder_is_named_by_its_prefix_and_parts() -> None:
    name = folder_name("/raw data/x/", "28hr", "acme", "2026-11-21T08:00:00Z", "ab=c_-.1")
    assert name == "raw data/x/28hr/acme/2026-11-21T08%3A00%3A00Z/ab=c_-.1"
    assert folder_name("", "totals") == "totals"


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
@example([""], ["\x00"])
def test_every_part_is_one_level_of_the_folder(parts: list[str], others: list[str]) -> None:
    levels = folder_name("raw", *parts).split("/")
    assert levels[0] == "raw"
    assert len(levels) == len(parts) + 1
    assert not {"", ".", ".."} & set(levels)
    assert (folder_name("raw", *parts) == folder_name("raw", *others)) == (parts == others)


@pytest.mark.parametrize("prefix", ["a//b", "a/../b", "..", "./a", "a\nb", "a/\x00"])
def test_a_prefix_that_cannot_be_a_folder_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidArgumentError, match="object_prefix is "):
        folder_name(prefix, "totals")


def test_an_unknown_format_or_layout_is_refused(store: GcsStore) -> None:
    with pytest.raises(InvalidArgumentError, match="file_format is 'csv'"):
        sink_for(store, file_format="csv")
    with pytest.raises(InvalidArgumentError, match="layout is 'square'"):
        sink_for(store, layout="square")
    with pytest.raises(InvalidArgumentError, match=r"grouping tweet\.id has no engagement\.type"):
        sink_for(store, layout="wide", groupings=["tweet.id"])
