"""Two processes that share nothing but a Redis and a bucket pull a collection into one table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from run_operator import NOW, connect, run

from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_gcs_to_bigquery import (
    EngagementGCSToBigQueryOperator,
)
from tools.env import ROOT
from tools.scale.truth import Truth, coverage_differences, differences
from tools.servers import RedisServer, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_engagement.simulator.request_log import Received
    from tools.clients import BigQuery, Gcs

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("airflow_home")]

SNAPSHOT = NOW - timedelta(minutes=5)
TWEETS = 9_600
PER_MINUTE = 1_200

WORKER = """
import json, sys
from datetime import datetime
from run_operator import run
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

bucket, tweet_ids, shard, at = sys.argv[1:]
operator = EngagementToGCSOperator(
    task_id="pull", tweet_ids=tweet_ids, bucket=bucket, shard=shard, engagement_conn_id="acme"
)
print(json.dumps(run(operator, at=datetime.fromisoformat(at)).value))
"""


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        server.wait_until_ready()
        connect(monkeypatch, server.connection(), "shared_rate")
        yield server


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(World(seed=47, accounts=("acme",), now=NOW, deleted_share=0.01)) as simulator:
        held = simulator.connection("acme")
        held["extra"] |= {"rate_limit_conn_id": "shared_rate", "requests_per_minute": PER_MINUTE}
        connect(monkeypatch, held, "acme")
        yield simulator


def start_worker(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start a process that pulls a shard, with a folder of its own for temporary files."""
    folder.mkdir()
    settings = {"TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "tests"), "PYTHONSAFEPATH": "1"}
    return subprocess.Popen(  # noqa: S603 - the script above
        [sys.executable, "-c", WORKER, *arguments],
        cwd=folder,
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_workers_without_a_shared_disk_share_the_rate_and_fill_one_table(
    *,
    simulator: Simulator,
    redis: RedisServer,
    gcs: Gcs,
    bigquery: BigQuery,
    dataset: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = simulator.world.tweets("acme", TWEETS, since=NOW - timedelta(days=120), until=SNAPSHOT)
    query = build_query("totals", has_owner=True)
    shards = (Shard(index, 2).select(ids) for index in range(2))
    planned = sum(len(make_plan(query, shard, now=SNAPSHOT).requests) for shard in shards)
    bucket = gcs.make_bucket()
    bucket.blob("tweet_ids.txt").upload_from_string("\n".join(ids))
    workers = [
        start_worker(
            tmp_path / f"worker-{index}",
            *(bucket.name, f"gs://{bucket.name}/tweet_ids.txt", f"{index}/2", SNAPSHOT.isoformat()),
        )
        for index in range(2)
    ]
    folders = [
        json.loads(worker.communicate(timeout=120)[0].splitlines()[-1]) for worker in workers
    ]
    assert [request.status for request in simulator.requests] == [200] * planned
    check_that_all_slots_were_shared(redis, simulator.requests)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load = EngagementGCSToBigQueryOperator(
        task_id="load",
        uris=[uri for folder in folders for uri in folder["uris"]],
        destination_table=f"{dataset}.counts",
    )
    run(load, at=SNAPSHOT)
    truth = Truth(simulator.world, "acme", ids)
    assert differences(bigquery, f"{dataset}.counts", truth, SNAPSHOT) == {}
    assert coverage_differences(bigquery, f"{dataset}.counts_coverage", truth) == {}


def check_that_all_slots_were_shared(server: RedisServer, requests: list[Received]) -> None:
    """Check that one hash has had two members, and a slot for each request, evenly spaced."""
    from redis import Redis

    with Redis.from_url(server.url, decode_responses=True) as client:
        (key,) = client.keys("*")
        state = client.hgetall(key)
    assert len([name for name in state if name.startswith("member:")]) == 2
    first = min(request.at for request in requests)
    assert float(state["slot"]) - first >= (len(requests) - 1) * 60 / PER_MINUTE
