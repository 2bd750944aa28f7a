from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import Recording, coverage_row, coverage_table, hour_row, rows_table
from hypothesis import given
from hypothesis import strategies as st
from tenacity import wait_none

from airflow_provider_engagement.sinks import writers as files
from airflow_provider_engagement.sinks.bigquery import loads
from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
from airflow_provider_engagement.sinks.bigquery.loads import LoadBudget, LoadSettings, StagingTable
from airflow_provider_engagement.sinks.bigquery.merge import STAGING
from airflow_provider_engagement.sinks.bigquery.names import TableName
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.writers import Part

if TYPE_CHECKING:
    from datetime import tzinfo

    from tools.clients import BigQuery, Gcs

MIB = 1024 * 1024


@given(
    rows=st.integers(0, 10**8),
    expected=st.integers(0, 10**8),
    bytes_a_row=st.floats(0.5, 400),
)
def test_there_are_few_loads_however_wrong_the_plan_is(
    rows: int, expected: int, bytes_a_row: float
) -> None:
    budget = LoadBudget(expected_rows=expected)
    done: list[Part] = []
    while rows:
        limit = budget.part_bytes(done)
        taken = min(rows, int(limit / bytes_a_row) + 1)
        rows -= taken
        done.append(Part(Path("part"), taken, int(taken * bytes_a_row)))
    assert len(done) <= 20
    assert all(part.size >= 64 * MIB - 1 for part in done[:-1])


def test_parts_grow_with_the_plan() -> None:
    first = Part(Path("part"), rows=1_000_000, size=10_000_000)
    # 10 bytes a row, 999 million rows to come, 19 loads left.
    wanted = LoadBudget(expected_rows=10**9).part_bytes([first])
    assert wanted == pytest.approx(999_000_000 * 10 / 19, rel=0.01)
    assert LoadBudget(expected_rows=2_000_000).part_bytes([first]) == 64 * MIB


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(files, "ROW_GROUP", 10)
    return tmp_path


def staging(client: Any, dataset: str, **settings: Any) -> StagingTable:
    name = TableName("test", dataset, "counts").new_staging()
    jobs = JobRunner(client, labels=settings.pop("labels", {}), wait=wait_none())
    return StagingTable(jobs, name, STAGING, LoadSettings(**settings))


def test_rows_and_coverage_of_a_small_pull_are_one_load(
    bigquery: BigQuery, dataset: str, scratch: Path
) -> None:
    client = Recording(bigquery.client)
    table = staging(client, dataset, labels={"dag": "d"})
    table.write(rows_table(hour_row(), hour_row(tweet_id="7")))
    table.write(coverage_table(coverage_row()))
    table.finish()
    assert table.loads == client.count("load_table_from_file") == 1
    found = bigquery.rows(f"SELECT tweet_id, value, status FROM `{table.name}` ORDER BY 1, 2")  # noqa: S608 - a table of ours
    assert [(row["value"], row["status"]) for row in found] == [
        (None, "answered"),
        (1, None),
        (1, None),
    ]
    _, _, load = next(call for call in client.calls if call[0] == "load_table_from_file")
    assert load["job_config"].labels == {"dag": "d"}
    assert load["job_config"].create_disposition == "CREATE_NEVER"
    table.drop()
    assert list(scratch.iterdir()) == []


def test_loads_are_bounded(bigquery: BigQuery, dataset: str, scratch: Path) -> None:
    client = Recording(bigquery.client)
    table = staging(client, dataset, budget=LoadBudget(least_bytes=1, most_loads=4))
    for number in range(30):
        table.write(rows_table(*(hour_row(value=10 * number + i) for i in range(10))))
    table.finish()
    assert table.loads == client.count("load_table_from_file") == 4
    # A loaded part is deleted from the disk.
    assert list(scratch.glob("*/part-*")) == []
    count = bigquery.rows(f"SELECT COUNT(DISTINCT value) AS n FROM `{table.name}`")  # noqa: S608 - a table of ours
    assert count == [{"n": 300}]
    table.drop()


def expirations(client: Recording, name: str) -> list[datetime]:
    return [args[0].expires for called, args, _ in client.calls if called == name]


def test_a_staging_table_expires(bigquery: BigQuery, dataset: str) -> None:
    # The emulator ignores expirations, so the test reads the request.
    client = Recording(bigquery.client)
    table = staging(client, dataset)
    table.write(rows_table(hour_row()))
    table.finish()
    (expires,) = expirations(client, "create_table")
    assert abs(expires - datetime.now(UTC) - timedelta(days=3)) < timedelta(minutes=1)
    assert expirations(client, "update_table") == []
    table.drop()


def test_a_staging_table_outlives_a_pull_of_many_days(
    bigquery: BigQuery, dataset: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del scratch

    class Clock(datetime):
        moment = datetime(2026, 11, 21, tzinfo=UTC)

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            del tz
            return cls.moment

    monkeypatch.setattr(loads, "datetime", Clock)
    client = Recording(bigquery.client)
    table = staging(client, dataset, budget=LoadBudget(least_bytes=1, most_loads=4))
    for number in range(20 * 24):
        Clock.moment += timedelta(hours=1)
        table.write(rows_table(hour_row(value=number)))
        expires = [*expirations(client, "create_table"), *expirations(client, "update_table")]
        if expires:
            assert expires[-1] - Clock.moment >= timedelta(days=2)
    table.finish()
    # It is not renewed at every write.
    assert 15 <= client.count("update_table") <= 20
    assert client.count("create_table") == 1
    table.drop()


def test_a_bucket_needs_one_load(bigquery: BigQuery, dataset: str, gcs: Gcs, scratch: Path) -> None:
    bucket = gcs.make_bucket()
    client = Recording(bigquery.client)
    table = staging(
        client,
        dataset,
        bucket=GcsStore(gcs.client, bucket.name),
        budget=LoadBudget(least_bytes=1, most_loads=4),
    )
    for number in range(5):
        table.write(rows_table(*(hour_row(value=10 * number + i) for i in range(10))))
    table.finish()
    parts = [blob.name for blob in bucket.list_blobs()]
    assert parts == sorted(parts)
    assert len(parts) == 4
    assert parts[0] == f"engagement-staging/{table.name.table}/part-00000.parquet"
    assert table.loads == client.count("load_table_from_uri") == 1
    assert client.count("load_table_from_file") == 0
    count = bigquery.rows(f"SELECT COUNT(DISTINCT value) AS n FROM `{table.name}`")  # noqa: S608 - a table of ours
    assert count == [{"n": 50}]
    table.drop()
    assert list(bucket.list_blobs()) == []
    assert list(scratch.iterdir()) == []


def test_no_rows_create_no_table(bigquery: BigQuery, dataset: str, scratch: Path) -> None:
    client = Recording(bigquery.client)
    table = staging(client, dataset)
    table.write(rows_table())
    table.finish()
    table.drop()
    assert client.calls == []
    assert list(scratch.iterdir()) == []


def test_dropping_never_raises(
    bigquery: BigQuery, dataset: str, gcs: Gcs, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Recording):
        def delete_table(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("no route")

    class BrokenStore(GcsStore):
        def delete(self, name: str) -> None:
            raise ConnectionError(name)

    bucket = BrokenStore(gcs.client, gcs.make_bucket().name)
    table = staging(Broken(bigquery.client), dataset, bucket=bucket)
    table.write(rows_table(hour_row()))
    table.finish()
    table.drop()
    table.drop()
    assert caplog.text.count("could not be deleted") == 2


def test_files_of_a_killed_task_are_deleted_by_a_later_one(
    bigquery: BigQuery, dataset: str, scratch: Path
) -> None:
    killed = scratch / "engagement-killed"
    killed.mkdir()
    (killed / "part-00000.parquet").write_bytes(b"rows")
    marker = killed / ".engagement-owner"
    marker.touch()
    an_hour_ago = datetime.now(UTC).timestamp() - 3600
    os.utime(marker, (an_hour_ago, an_hour_ago))
    table = staging(bigquery.client, dataset)
    table.write(rows_table(hour_row()))
    assert not killed.exists()
    table.drop()
    assert list(scratch.iterdir()) == []
