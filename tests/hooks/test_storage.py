from __future__ import annotations

import gzip
import importlib
import json
from importlib import util
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from airflow.providers.common.compat import sdk

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections import read_collection as read_without_airflow
from airflow_provider_engagement.collections.files import GcsFiles, expand_uri
from airflow_provider_engagement.hooks import storage
from airflow_provider_engagement.hooks.storage import (
    AirflowFiles,
    put_file,
    read_collection,
    read_tweet_ids,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.cloud.storage import Bucket

    from tools.clients import Gcs


def test_ids_are_read_from_a_value_and_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("20\n21\n20\n")
    assert read_tweet_ids(["20", 21, "20"]) == ["20", "21"]
    assert read_tweet_ids(f"file://{tmp_path}/ids.txt") == ["20", "21"]


def test_a_file_that_cannot_be_read_names_the_parameter_and_the_file(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("20\nhunter2\n")
    with pytest.raises(
        InvalidArgumentError, match=r"^tweet_ids: file://.*ids.txt, line 2"
    ) as caught:
        read_tweet_ids(f"file://{tmp_path}/ids.txt")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidArgumentError, match=r"^tweet_ids: file://.*none.txt does not exist"):
        read_tweet_ids(f"file://{tmp_path}/none.txt")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file://data/x", "file://data/x names the host data.*: file:///data/x.$"),
        ("data/x", r"data/x has no scheme.*from the root: file:///folder/data/x.$"),
        ("/data/x", r"/data/x has no scheme.*: file:///data/x.$"),
        ("x", r"x has no scheme.*: file:///folder/x.$"),
    ],
)
def test_a_uri_without_a_root_says_what_to_write(tmp_path: Path, uri: str, message: str) -> None:
    source = tmp_path / "rows"
    source.write_text("20\n")
    with pytest.raises(InvalidArgumentError, match=message):
        put_file(source, uri)
    with pytest.raises(InvalidArgumentError, match=message), AirflowFiles().open(uri):
        pass


def test_a_file_is_read_and_written_by_its_path_from_the_root(tmp_path: Path) -> None:
    source = tmp_path / "rows"
    source.write_text("20\n")
    for authority in ("", "localhost"):
        uri = f"file://{authority}{tmp_path}/there/ids.txt"
        put_file(source, uri)
        assert read_tweet_ids(f" {uri}\n") == ["20"]


def test_the_ids_column_of_a_file_or_of_rows_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "ids.csv").write_text("tweet_id,original\n20,21\n")
    assert read_tweet_ids(f"file://{tmp_path}/ids.csv", id_column="original") == ["21"]
    assert read_tweet_ids([{"tweet_id": 20, "original": 21}], id_column="original") == ["21"]


# ---- Folders and patterns --------------------------------------------------------------------

FILES = {
    "inbox/2026-11-01/a.json.gz": gzip.compress(b'{"tweet_id": "20", "text": "one"}\n'),
    "inbox/2026-11-02/b.json": json.dumps({"results": [{"id_str": "21", "text": "two"}]}).encode(),
    "inbox/2026-12-01/c.txt": b"22\n20\n",
    "inbox/_SUCCESS": b"",
    "other/d.txt": b"23\n",
}
FOUND = [
    ("inbox/", ["20", "21", "22"]),
    ("inbox/2026-11-*/*", ["20", "21"]),
    ("inbox/2026-11-*/*.json.gz", ["20"]),
    ("**/*.txt", ["22", "20", "23"]),
    ("*/d.*", ["23"]),
    ("other/d.txt", ["23"]),
]


@pytest.fixture
def bucket(gcs: Gcs) -> Bucket:
    bucket = gcs.make_bucket()
    for name, content in FILES.items():
        bucket.blob(name).upload_from_string(content)
    return bucket


@pytest.mark.parametrize(("pattern", "ids"), FOUND)
def test_objects_of_a_bucket_are_found_by_folder_and_pattern(
    bucket: Bucket, pattern: str, ids: list[str]
) -> None:
    uri = f"gs://{bucket.name}/{pattern}"
    assert read_tweet_ids(uri) == ids
    assert read_tweet_ids(f"gs://google_cloud_default@{bucket.name}/{pattern}") == ids
    assert read_without_airflow(uri).tweet_ids == ids


@pytest.mark.parametrize(("pattern", "ids"), FOUND)
def test_files_are_found_by_folder_and_pattern(
    tmp_path: Path, pattern: str, ids: list[str]
) -> None:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    uri = f"file://{tmp_path}/{pattern}"
    assert read_tweet_ids(uri) == ids
    # What all other schemes are read by. Which of them exist depends on the providers.
    by_airflow = storage._ObjectStorage()  # noqa: SLF001 - only a scheme of a provider leads there
    assert read_without_airflow(uri, store=by_airflow).tweet_ids == ids


@pytest.fixture
def memory() -> Iterator[None]:
    """Attach a store of another scheme, with and without a connection, as a provider does."""
    store = importlib.import_module(
        "airflow.sdk.io.store" if util.find_spec("airflow.sdk") else "airflow.io.store"
    )
    files = fsspec.filesystem("memory")
    for conn_id in (None, "other"):
        store.attach(protocol="memory", conn_id=conn_id, fs=files)
    for name, content in FILES.items():
        files.pipe(f"/bucket/{name}", content)
    yield
    files.rm("/bucket", recursive=True)
    for alias in ("memory", "memory-other"):
        store._STORE_CACHE.pop(alias)  # noqa: SLF001 - there is no other way to detach


@pytest.fixture
def _no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail as Airflow 3.0's path does with universal-pathlib 0.3."""

    def fail(_: str) -> None:
        raise ValueError("detected protocol memory which is incompatible with ObjectStoragePath.")

    monkeypatch.setattr(sdk, "ObjectStoragePath", fail, raising=False)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("bucket", ["bucket", "other@bucket"])
@pytest.mark.parametrize(("pattern", "ids"), FOUND)
def test_files_of_another_scheme_are_found(bucket: str, pattern: str, ids: list[str]) -> None:
    assert read_tweet_ids(f"memory://{bucket}/{pattern}") == ids


@pytest.mark.skipif(not util.find_spec("airflow.sdk"), reason="Airflow 3.0 fails so, not 2.11")
@pytest.mark.usefixtures("memory", "_no_paths")
@pytest.mark.parametrize("bucket", ["bucket", "other@bucket"])
def test_files_are_found_where_paths_of_airflow_cannot_be_used(bucket: str, tmp_path: Path) -> None:
    pattern, ids = FOUND[0]
    assert read_tweet_ids(f"memory://{bucket}/{pattern}") == ids
    (tmp_path / "ids.txt").write_text("77\n")
    put_file(tmp_path / "ids.txt", f"memory://{bucket}/out/ids.txt")
    assert read_tweet_ids(f"memory://{bucket}/out/ids.txt") == ["77"]
    with pytest.raises(InvalidArgumentError, match=r"out/none\.txt does not exist"):
        read_tweet_ids(f"memory://{bucket}/out/none.txt")


def test_what_a_bucket_says_of_its_tweets_is_read(bucket: Bucket) -> None:
    collection = read_collection(f"gs://{bucket.name}/inbox/")
    assert collection.attributes["text"].to_pylist() == ["one", "two", None]


def test_an_object_that_cannot_be_read_is_named(bucket: Bucket) -> None:
    bucket.blob("inbox/z.txt").upload_from_string(b"20\nhunter2\n")
    with pytest.raises(InvalidArgumentError) as caught:
        read_tweet_ids(f"gs://{bucket.name}/inbox/")
    where = f"tweet_ids: gs://{bucket.name}/inbox/z.txt, line 2 "
    assert str(caught.value).startswith(where)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["gs://none-such/inbox/", "gs://none-such/*.txt", "gs://none-such/a"]
)
def test_a_bucket_that_does_not_exist_is_refused(gcs: Gcs, uri: str) -> None:
    assert gcs.url
    with pytest.raises(InvalidArgumentError, match=r"does not exist|matches no file"):
        read_tweet_ids(uri)


def test_a_pattern_that_matches_nothing_is_refused(bucket: Bucket) -> None:
    with pytest.raises(InvalidArgumentError, match=r"/none/ matches no file.*start with"):
        read_tweet_ids(f"gs://{bucket.name}/none/")


def test_reposts_are_left_out_or_kept() -> None:
    tweets = [
        {"id_str": "20", "text": "a"},
        {"id_str": "21", "text": "b", "retweeted_status": {"id_str": "20", "text": "a"}},
    ]
    assert read_tweet_ids(tweets) == ["20"]
    assert read_tweet_ids(tweets, reposts="keep") == ["20", "21"]


def test_what_the_console_makes_for_a_folder_is_not_a_file() -> None:
    objects = [SimpleNamespace(name=name) for name in ("inbox/", "inbox/a.txt", "inbox/b/")]
    bucket = SimpleNamespace(list_blobs=lambda prefix: objects if prefix == "inbox/" else [])
    client: Any = SimpleNamespace(bucket=lambda name: bucket if name == "b" else None)
    assert expand_uri("gs://b/inbox/", GcsFiles(lambda _: client)) == ["gs://b/inbox/a.txt"]
