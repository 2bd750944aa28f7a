from __future__ import annotations

import hashlib
import io
import json
import tempfile
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from bigquery_checks import LATER, coverage_row, coverage_table, hour_row, rows_table, sorted_rows
from google.api_core.exceptions import Forbidden
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.sinks import writers as files
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.objects import ObjectSink, folder_name
from airflow_provider_engagement.sinks.writers import ENDINGS

if TYPE_CHECKING:
    from pathlib import Path

    from tools.clients import Gcs

FOLDER = "raw/historical/acme/2026-11-21T08/abc"
SUMMARY = {"rows": 3, "window": {"start": "2026-11-21T08:00:00Z"}}


@pytest.fixture
def store(gcs: Gcs) -> GcsStore:
    return GcsStore(gcs.client, gcs.make_bucket().name)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "ROW_GROUP", 10)
    return tmp_path


def sink_for(store: Any, **options: Any) -> ObjectSink:
    return ObjectSink(store, FOLDER, **{"fingerprint": "asked", **options})


def land(store: Any, rows: int, **options: Any) -> Any:
    sink = sink_for(store, **options)
    sink.prepare()
    for start in range(0, rows, 10):
        numbers = range(start, min(start + 10, rows))
        sink.write(rows_table(*(hour_row(value=number) for number in numbers)))
    return sink.commit(coverage_table(coverage_row()), SUMMARY)


def local(store: GcsStore, prefix: str = "") -> set[str]:
    return {name.removeprefix(f"{FOLDER}/") for name in store.names(prefix)}


def read(store: GcsStore, name: str) -> bytes:
    data = store.read(f"{FOLDER}/{name}")
    assert data is not None
    return data


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
def test_a_folder_holds_rows_coverage_and_manifest(
    store: GcsStore, scratch: Path, file_format: str
) -> None:
    landed = land(store, 35, file_format=file_format, part_bytes=1)
    ending = ENDINGS[file_format]
    parts = [f"part-{number:05d}{ending}" for number in range(4)]
    assert local(store) == {*parts, f"coverage{ending}", "manifest.json"}

    manifest = json.loads(read(store, "manifest.json"))
    assert [entry["name"] for entry in manifest["objects"]] == parts
    for entry in (*manifest["objects"], manifest["coverage"]):
        data = read(store, entry["name"])
        assert entry["uri"] == store.uri(f"{FOLDER}/{entry['name']}")
        assert (entry["bytes"], entry["md5"]) == (len(data), hashlib.md5(data).hexdigest())  # noqa: S324 - no secret
    assert manifest["rows"] == landed.rows == 35
    assert manifest["coverage"]["rows"] == 1
    assert manifest["summary"] == SUMMARY
    assert (manifest["fingerprint"], manifest["format"]) == ("asked", file_format)

    assert landed.uris == tuple(entry["uri"] for entry in manifest["objects"])
    assert landed.coverage == manifest["coverage"]["uri"]
    assert landed.table is None
    assert list(scratch.iterdir()) == []


def test_rows_are_read_back(store: GcsStore) -> None:
    land(store, 5)
    table = pq.read_table(io.BytesIO(read(store, "part-00000.parquet")))
    assert table.column("value").to_pylist() == [0, 1, 2, 3, 4]
    told = pq.read_table(io.BytesIO(read(store, "coverage.parquet")))
    assert told.equals(coverage_table(coverage_row()))


@pytest.mark.usefixtures("scratch")
def test_a_re_run_leaves_exactly_the_new_objects(store: GcsStore) -> None:
    land(store, 50, part_bytes=1)
    land(store, 30, file_format="jsonl")
    store.put_bytes(b"mine", "raw/historical/acme/2026-11-21T08/abcdef", "text/plain")
    land(store, 20, part_bytes=1)
    parts = {"part-00000.parquet", "part-00001.parquet"}
    assert local(store, f"{FOLDER}/") == {*parts, "coverage.parquet", "manifest.json"}
    # A folder ends where its name ends.
    assert store.read("raw/historical/acme/2026-11-21T08/abcdef") == b"mine"


def test_a_pull_without_rows_is_an_empty_folder_with_a_manifest(store: GcsStore) -> None:
    landed = land(store, 0)
    assert local(store) == {"coverage.parquet", "manifest.json"}
    assert (landed.rows, landed.uris) == (0, ())


def test_the_same_rows_make_the_same_objects(store: GcsStore) -> None:
    for file_format in ENDINGS:
        land(store, 20, file_format=file_format)
        once = json.loads(read(store, "manifest.json"))
        land(store, 20, file_format=file_format)
        assert json.loads(read(store, "manifest.json")) == once


def test_a_snapshot_that_is_there_is_found(store: GcsStore) -> None:
    assert sink_for(store).already() is None
    land(store, 5)
    found = sink_for(store).already()
    assert found is not None
    assert (found["rows"], found["summary"]) == (5, SUMMARY)
    assert sink_for(store, fingerprint="asked otherwise").already() is None


@pytest.mark.parametrize("lost", ["part-00000.parquet", "coverage.parquet", "manifest.json"])
def test_a_snapshot_that_lacks_an_object_is_not_there(store: GcsStore, lost: str) -> None:
    land(store, 5)
    store.delete(f"{FOLDER}/{lost}")
    assert sink_for(store).already() is None


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"objects": 1}', b"\xff"])
def test_a_manifest_that_is_none_of_ours_counts_for_nothing(store: GcsStore, text: bytes) -> None:
    store.put_bytes(text, f"{FOLDER}/manifest.json", "application/json")
    assert sink_for(store).already() is None


@pytest.mark.parametrize("layout", ["long", "wide"])
def test_discarding_leaves_nothing_and_touches_nothing(
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


class Breaking(GcsStore):
    """A bucket that goes away when the coverage is uploaded."""

    def put_file(self, path: Path, name: str) -> None:
        if "coverage" in name:
            message = "no route"
            raise ConnectionError(message)
        super().put_file(path, name)


@pytest.mark.usefixtures("scratch")
def test_a_commit_that_fails_leaves_no_half(gcs: Gcs, scratch: Path) -> None:
    bucket = gcs.make_bucket().name
    whole, breaking = GcsStore(gcs.client, bucket), Breaking(gcs.client, bucket)
    land(whole, 50, part_bytes=1)
    with pytest.raises(ConnectionError, match="no route"):
        land(breaking, 20, part_bytes=1)
    assert whole.names("") == []
    assert list(scratch.iterdir()) == []


def test_discarding_never_raises(gcs: Gcs, caplog: pytest.LogCaptureFixture) -> None:
    class Gone(Breaking):
        def names(self, prefix: str) -> list[str]:
            raise ConnectionError(prefix)

    with pytest.raises(ConnectionError, match="no route"):
        land(Gone(gcs.client, gcs.make_bucket().name), 5)
    assert "was left half-written, without a manifest" in caplog.text


def test_a_missing_bucket_is_named_with_the_command_to_make_it(gcs: Gcs) -> None:
    with pytest.raises(InvalidArgumentError, match="There is no bucket 'nowhere'") as refused:
        sink_for(GcsStore(gcs.client, "nowhere")).prepare()
    assert "gcloud storage buckets create gs://nowhere" in str(refused.value)


def test_missing_permissions_are_named(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.storage import Bucket

    store = GcsStore(gcs.client, gcs.make_bucket().name)
    granted = ["storage.objects.create", "storage.objects.get"]
    monkeypatch.setattr(Bucket, "test_iam_permissions", lambda *_: granted)
    with pytest.raises(
        PermissionDeniedError, match=r"lack storage\.objects\.delete, storage\.objects\.list"
    ):
        store.check()

    def forbidden(*_: Any) -> None:
        message = "no"
        raise Forbidden(message)

    monkeypatch.setattr(Bucket, "test_iam_permissions", forbidden)
    with pytest.raises(
        PermissionDeniedError, match=r"not let into bucket .*roles/storage\.objectUser"
    ):
        store.check()


def test_deleting_what_is_not_there_is_no_error(store: GcsStore) -> None:
    store.delete("nothing")
    assert store.read("nothing") is None


def test_wide_objects_have_one_row_a_tweet_and_period(store: GcsStore, scratch: Path) -> None:
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
    landed = sink.commit(coverage_table(coverage_row()), SUMMARY)
    lines = [json.loads(line) for line in read(store, "part-00000.jsonl").splitlines()]
    assert landed.rows == len(lines) == 60
    keys = sorted_rows({"id": row["tweet_id"], "at": row["period_start"]} for row in lines)
    assert len({tuple(key.values()) for key in keys}) == 60
    for row in lines:
        assert row["impressions"] == row["favorites"] == int(row["tweet_id"])
        assert row["replies"] is None
    assert list(scratch.iterdir()) == []


def test_folders_read_well() -> None:
    name = folder_name("/raw data/x/", "28hr", "acme", "2026-11-21T08:00:00Z", "ab=c_-.1")
    assert name == "raw data/x/28hr/acme/2026-11-21T08%3A00%3A00Z/ab=c_-.1"
    assert folder_name("", "totals") == "totals"


@given(st.lists(st.text(), min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=4))
@example([""], ["\x00"])
def test_no_part_leads_out_of_its_level(parts: list[str], others: list[str]) -> None:
    levels = folder_name("raw", *parts).split("/")
    assert levels[0] == "raw"
    assert len(levels) == len(parts) + 1
    assert not {"", ".", ".."} & set(levels)
    assert (folder_name("raw", *parts) == folder_name("raw", *others)) == (parts == others)


@pytest.mark.parametrize("prefix", ["a//b", "a/../b", "..", "./a", "a\nb", "a/\x00"])
def test_a_prefix_that_is_no_folder_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidArgumentError, match="object_prefix is "):
        folder_name(prefix, "totals")


def test_an_unknown_format_or_layout_is_refused(store: GcsStore) -> None:
    with pytest.raises(InvalidArgumentError, match="file_format is 'csv'"):
        sink_for(store, file_format="csv")
    with pytest.raises(InvalidArgumentError, match="layout is 'square'"):
        sink_for(store, layout="square")
    with pytest.raises(InvalidArgumentError, match=r"grouping tweet\.id lacks engagement\.type"):
        sink_for(store, layout="wide", groupings=["tweet.id"])
