"""The example DAG of many workers, as Airflow runs it: shards to the bucket, then one load."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from run_command import AIRFLOW, run
from run_operator import counts, expected_counts

from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.services import google_environment, simulator

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Bucket

DAG_ID = "engagement_at_scale"
NOW = datetime.now(UTC).replace(microsecond=0)
SEED = 23
TYPES = ENDPOINTS["totals"].engagement_types

WORLD = World(SEED, ("acme",), NOW)
IDS = WORLD.tweets("acme", 300, since=NOW - timedelta(days=60), until=NOW - timedelta(days=1))
WORLD.foreign, WORLD.deleted = set(IDS[7::100]), set(IDS[11::100])


def expected() -> dict[tuple[str, str], int]:
    owned = [item for item in IDS if item not in WORLD.foreign | WORLD.deleted]
    public = sorted(WORLD.foreign)
    return expected_counts(WORLD, owned, TYPES) | expected_counts(WORLD, public, PUBLIC_TYPES)


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the DAG has left.

    :param output: what Airflow printed.
    :param rows: the rows of the table.
    :param coverage: the rows of its coverage.
    :param folders: the folders of the bucket.
    :param tables: the tables of the dataset.
    """

    output: str
    rows: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    folders: set[str]
    tables: set[str]


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    request.getfixturevalue("airflow_home")
    folder: Path = request.getfixturevalue("emulated")
    gcs = Gcs(request.getfixturevalue("_gcs_emulator").url, folder / "store")
    bigquery = BigQuery(request.getfixturevalue("_bigquery_emulator").url)
    bucket, dataset = gcs.make_bucket(), bigquery.make_dataset()
    bucket.blob("ids.txt").upload_from_string("\n".join(IDS))
    options = ["--seed", str(SEED), "--account", "acme", "--now", NOW.isoformat()]
    options += ["--foreign", ",".join(WORLD.foreign), "--deleted", ",".join(WORLD.deleted)]
    with simulator(tmp_path_factory.mktemp("simulator"), *options) as service:
        settings = {
            **google_environment(bigquery=bigquery.url, gcs=gcs.url),
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(service.connections["acme"]),
            "AIRFLOW_VAR_ENGAGEMENT_BUCKET": bucket.name,
            "AIRFLOW_VAR_ENGAGEMENT_TABLE": f"{dataset}.totals",
            "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": f"gs://{bucket.name}/ids.txt",
            "TMPDIR": str(tmp_path_factory.mktemp("pace")),
        }
        pool = ("pools", "set", "engagement_api", "4", "x", "--include-deferred")
        run(*AIRFLOW, *pool, **settings)
        output = run(*AIRFLOW, "dags", "test", DAG_ID, NOW.isoformat(), **settings)
    return Ran(
        output,
        bigquery.rows(f"SELECT * FROM {dataset}.totals"),  # noqa: S608 - the test chose the names
        bigquery.rows(f"SELECT * FROM {dataset}.totals_coverage"),  # noqa: S608 - the test chose the names
        folders_of(bucket),
        {table.table_id for table in bigquery.client.list_tables(dataset)},
    )


def folders_of(bucket: Bucket) -> set[str]:
    names = (blob.name for blob in bucket.list_blobs(prefix="engagement/"))
    return {name.rpartition("/")[0] for name in names}


def test_the_table_has_the_expected_counts(ran: Ran) -> None:
    assert counts(ran.rows) == expected()
    assert {row["snapshot_at"] for row in ran.rows} == {NOW}
    assert {row["tweet_id"] for row in ran.rows if row["access"] == "public"} == WORLD.foreign


def test_the_coverage_has_every_id_once(ran: Ran) -> None:
    assert sorted(row["tweet_id"] for row in ran.coverage) == sorted(IDS)
    missing = {row["tweet_id"] for row in ran.coverage if row["status"] != "answered"}
    assert missing == WORLD.deleted


def test_each_shard_has_a_folder_of_its_own(ran: Ran) -> None:
    names = {folder.rpartition("/")[2].partition("-")[2] for folder in ran.folders}
    assert names == {Shard(index, 8).name for index in range(8)}
    assert len(ran.folders) == 8


def test_the_folders_are_loaded_once(ran: Ran) -> None:
    loaded = f"Loaded {len(ran.rows)} rows of 8 folders, with 1 load job."
    assert ran.output.count(loaded) == 1
    assert ran.tables == {"totals", "totals_coverage", "totals_lock"}
