from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import lifetime_row, rows_table
from google.api_core.exceptions import Forbidden

from airflow_provider_engagement.api.query import PlannedRequest
from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.pull.checkpoint import CheckpointStore
from airflow_provider_engagement.pull.results import PullResult, PullStats
from airflow_provider_engagement.rows.flatten import RequestResult
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.gcs import GcsStore

if TYPE_CHECKING:
    from tools.clients import Gcs

ROOT = "counts/_staging"
TODAY = datetime.now(UTC).date()
NAME = "0123456789abcdef"
RESULT = PullResult(WriteResult(1, None, ("gs://b/o",), "gs://b/c"), {"rows": 1}, PullStats())


@pytest.fixture
def store(gcs: Gcs) -> GcsStore:
    return GcsStore(gcs.client, gcs.make_bucket().name)


class LockedStore(GcsStore):
    """A bucket with a retention policy."""

    deletes = 0

    def delete(self, name: str) -> None:
        type(self).deletes += 1
        message = f"{name} is subject to bucket's retention policy and cannot be deleted"
        raise Forbidden(message)


@pytest.fixture
def locked(gcs: Gcs, store: GcsStore, monkeypatch: pytest.MonkeyPatch) -> LockedStore:
    monkeypatch.setattr(LockedStore, "deletes", 0)
    return LockedStore(gcs.client, store.uri("").removeprefix("gs://").rstrip("/"))


def checkpoints(store: GcsStore, *, day: date = TODAY, name: str = NAME) -> CheckpointStore:
    return CheckpointStore(store=store, root=ROOT, day=day, name=name)


def request(*tweet_ids: str) -> PlannedRequest:
    return PlannedRequest(tweet_ids=tweet_ids, engagement_types=("favorites",), access=Access.OWNER)


def fill(found: CheckpointStore, count: int = 3) -> None:
    for number in range(count):
        rows = rows_table(lifetime_row(tweet_id=str(number), engagement_type="favorites"))
        found.save(request(str(number)), RequestResult(request(str(number)), rows=rows))


def left_on(day: date) -> list[str]:
    """Return names as this provider makes them, of a run that began on a day."""
    folder = f"{ROOT}/{day.isoformat()}"
    return [
        f"{folder}/{NAME}/{'0a' * 20}.arrow",
        f"{folder}/{NAME}/result.json",
        f"{folder}/_engagement_staging_counts_{'0f' * 16}/part-00000.parquet",
        f"{folder}/engagement-probe-0123456789ab",
    ]


def put_all(store: GcsStore, names: list[str]) -> None:
    for name in names:
        store.put_bytes(b"left", name, "text/plain")


def test_a_retry_finds_what_an_earlier_try_has_saved(store: GcsStore) -> None:
    fill(checkpoints(store))
    retry = checkpoints(store)
    assert retry.find() == 3
    result = retry.load(request("1"))
    assert result is not None
    assert result.resumed
    assert result.rows.column("tweet_id").to_pylist() == ["1"]
    assert retry.load(request("3")) is None
    assert retry.earlier_result() is None


def test_another_pull_finds_nothing(store: GcsStore) -> None:
    fill(checkpoints(store))
    for other in (
        checkpoints(store, name="fedcba9876543210"),
        checkpoints(store, day=TODAY - timedelta(days=1)),
    ):
        assert other.find() == 0
        assert other.load(request("1")) is None


def test_a_finished_pull_leaves_no_checkpoint(store: GcsStore) -> None:
    fill(checkpoints(store))
    checkpoints(store).finish(RESULT)
    assert store.names("") == []


def test_the_result_is_found_until_all_checkpoints_are_deleted(
    store: GcsStore, locked: LockedStore
) -> None:
    fill(checkpoints(locked))
    checkpoints(locked).finish(RESULT)
    retry = checkpoints(store)
    assert retry.find() == 3
    assert retry.earlier_result() == RESULT
    retry.clear()
    assert store.names("") == []


def test_the_first_request_waits_for_no_sweep(store: GcsStore) -> None:
    put_all(store, left_on(TODAY - timedelta(days=30)))
    assert checkpoints(store).find() == 0
    assert len(store.names("")) == 4


def test_names_of_this_provider_are_swept_after_a_week(store: GcsStore) -> None:
    old, young = left_on(TODAY - timedelta(days=8)), left_on(TODAY - timedelta(days=7))
    put_all(store, [*old, *young])
    checkpoints(store).finish(RESULT)
    assert store.names("") == sorted(young)


def test_objects_of_others_are_never_swept(store: GcsStore) -> None:
    names = [
        f"{ROOT}/notes.txt",
        f"{ROOT}/2020-01-01/notes.txt",
        f"{ROOT}/2020-01-01/{NAME}/notes.txt",
        f"{ROOT}/2020-01-01/{NAME}/{'0a' * 20}.parquet",
        f"{ROOT}/2020-01-01/{NAME}/old/{'0a' * 20}.arrow",
        f"{ROOT}/2020-01-01/{NAME.upper()}/{'0a' * 20}.arrow",
        f"{ROOT}/2020-01-01/other/result.json",
        f"{ROOT}/2020-01-01/_engagement_staging_counts/part-00000.parquet",
        f"{ROOT}/2020-01-01/_engagement_staging_counts_{'0f' * 16}/rows.parquet",
        f"{ROOT}/2020-13-01/{NAME}/result.json",
        f"{ROOT}/20200101/{NAME}/result.json",
        f"{ROOT}/a/2020-01-01/{NAME}/result.json",
        f"{ROOT}-2/2020-01-01/{NAME}/result.json",
        f"{ROOT}/{TODAY.isoformat()}/{NAME}/notes.txt",
    ]
    put_all(store, names)
    checkpoints(store).finish(RESULT)
    assert store.names("") == sorted(names)


def test_a_retention_policy_fails_no_pull(
    locked: LockedStore, store: GcsStore, caplog: pytest.LogCaptureFixture
) -> None:
    old = [name for days in range(8, 30) for name in left_on(TODAY - timedelta(days=days))]
    put_all(store, old)
    fill(checkpoints(locked))
    checkpoints(locked).finish(RESULT)
    assert len(store.names("")) == len(old) + 4
    # What is refused once is not tried for each of many objects.
    assert locked.deletes == 1
    (record,) = [item for item in caplog.records if item.levelno >= logging.WARNING]
    assert "was not emptied" in record.message
    assert "retention policy" in record.message


def test_a_sweep_that_fails_fails_no_pull(gcs: Gcs, store: GcsStore) -> None:
    class UnlistableStore(GcsStore):
        def names(self, prefix: str, *, before: str | None = None) -> list[str]:
            if prefix == f"{ROOT}/":
                message = "may not list"
                raise Forbidden(message)
            return super().names(prefix, before=before)

    bucket = store.uri("").removeprefix("gs://").rstrip("/")
    put_all(store, left_on(TODAY - timedelta(days=8)))
    checkpoints(UnlistableStore(gcs.client, bucket)).finish(RESULT)
    assert len(store.names("")) == 4


def test_a_sweep_is_bounded(store: GcsStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_engagement.pull.checkpoint._MAX_SWEPT", 3)
    put_all(store, [*left_on(date(2026, 1, 1)), *left_on(date(2026, 1, 2))])
    for left in (5, 2, 0):
        checkpoints(store).finish(RESULT)
        assert len(store.names("")) == left


@pytest.mark.parametrize("data", [b"", b"damaged"])
def test_what_cannot_be_read_is_as_if_it_was_not_there(
    store: GcsStore, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    fill(checkpoints(store), count=1)
    (name,) = store.names("")
    folder = name.rpartition("/")[0]
    put_all(store, [f"{folder}/result.json"])
    store.put_bytes(data, name, "text/plain")
    retry = checkpoints(store)
    assert retry.find() == 1
    assert retry.load(request("0")) is None
    assert retry.earlier_result() is None
    assert "its request is sent again" in caplog.text
    assert "the pull lands again" in caplog.text


def test_what_another_try_has_saved_stands(store: GcsStore) -> None:
    fill(checkpoints(store))
    saved = {name: store.read(name) for name in store.names("")}
    fill(checkpoints(store))
    assert {name: store.read(name) for name in store.names("")} == saved


def test_an_unreadable_checkpoint_is_replaced(store: GcsStore) -> None:
    fill(checkpoints(store), count=1)
    (name,) = store.names("")
    store.put_bytes(b"damaged", name, "text/plain")
    retry = checkpoints(store)
    retry.find()
    fill(retry, count=1)
    assert checkpoints(store).find() == 1
    third = checkpoints(store)
    third.find()
    assert third.load(request("0")) is not None


def test_several_threads_may_save_at_once(store: GcsStore) -> None:
    from concurrent.futures import ThreadPoolExecutor

    found = checkpoints(store)

    def save(number: int) -> Any:
        return found.save(request(str(number)), RequestResult(request(str(number))))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(save, range(32)))
    assert checkpoints(store).find() == 32
