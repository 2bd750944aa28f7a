"""Runs DAGs through Airflow, and gives what Airflow keeps of the runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from run_operator import NOW

from tools.clients import BigQuery, Gcs
from tools.services import google_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.simulator import World
    from airflow_provider_engagement.simulator.request_log import Received

HERE = Path(__file__).parent
IS_3 = version("apache-airflow").startswith("3.")
DAGS = (
    "to_table",
    "to_bucket",
    "to_nowhere",
    "owners",
    "refused",
    "one_file",
    "files",
    *(["to_days"] if IS_3 else []),
)

# More ids than Airflow shows of a field.
COUNTS = {"acme": 600, "bolt": 20}


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of some runs.

    :param tasks: by DAG and map index: state, tries, rendered fields and links.
    :param events: of assets: the DAG that they are from, their extra and their partition.
    :param queued: the DAGs that they are to start, each with its partition.
    :param metrics: ours, by name without the prefix, and then by endpoint.
    :param said: all that the process said.
    :param world: the Tweets that there are.
    :param tweets: those that were asked for, by their owner.
    :param requests: what the service was asked.
    :param bigquery: where the DAGs' table is.
    :param bucket: where the DAGs write objects.
    :param table: where they write rows.
    """

    tasks: dict[str, dict[str, Any]]
    events: list[dict[str, Any]]
    queued: list[list[str | None]]
    metrics: dict[str, dict[str, int]]
    said: str
    world: World
    tweets: dict[str, list[str]]
    requests: list[Received]
    bigquery: BigQuery
    bucket: Bucket
    table: str

    def events_of(self, dag: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["dag"] == dag]


@contextmanager
def collector() -> Iterator[tuple[int, list[bytes]]]:
    """Collect metrics as an OpenTelemetry collector does; give its port, and what it is sent."""
    sent: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, sent
        finally:
            server.shutdown()
            thread.join()


def counters(sent: list[bytes]) -> dict[str, dict[str, int]]:
    """Read our counters: each is sent as its sum so far, so that the last one stands."""
    found: dict[str, dict[str, int]] = {}
    for body in sent:
        message = ExportMetricsServiceRequest()
        message.ParseFromString(body)
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if not metric.name.startswith("airflow.engagement."):
                        continue
                    for point in metric.sum.data_points:
                        tags = {pair.key: pair.value.string_value for pair in point.attributes}
                        assert set(tags) == {"endpoint"}
                        name = metric.name.removeprefix("airflow.")
                        found.setdefault(name, {})[tags["endpoint"]] = point.as_int
    return found


@pytest.fixture(scope="session")
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_home: Path
) -> Watched:
    """Run the DAGs of ``dags/watched.py`` on an Airflow of their own; three answers are faulty."""
    # Not above: the package is to be found where it is installed, which pytest_configure sees to.
    from airflow_provider_engagement.simulator import Faults, Simulator, World

    world = World(seed=8, accounts=tuple(COUNTS), now=NOW)
    made = {"since": NOW - timedelta(days=20), "until": NOW - timedelta(days=10)}
    tweets = {account: world.tweets(account, count, **made) for account, count in COUNTS.items()}
    ids = [tweet_id for each in tweets.values() for tweet_id in each]
    folder = tmp_path_factory.mktemp("watched")
    store: Path = request.getfixturevalue("emulated") / "store"
    gcs = Gcs(request.getfixturevalue("_gcs_emulator").url, store)
    bigquery = BigQuery(request.getfixturevalue("_bigquery_emulator").url)
    bucket, table = gcs.make_bucket(), f"{bigquery.make_dataset()}.counts"
    shutil.copy(airflow_home / "unused.db", folder / "airflow.db")
    faults = Faults(script=("500", "truncated", "429"))
    with Simulator(world, faults=faults) as service, collector() as (port, sent):
        connections = {name: json.dumps(service.connection(name)) for name in tweets}
        ran = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, HERE / "run_dag.py", *DAGS],
            cwd=folder,
            env={
                **os.environ,
                **google_environment(bigquery=bigquery.url, gcs=gcs.url),
                "AIRFLOW_CONN_ENGAGEMENT_ACME": connections["acme"],
                "AIRFLOW_CONN_ENGAGEMENT_BOLT": connections["bolt"],
                "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": connections["acme"],
                "AIRFLOW_VAR_ENGAGEMENT_BUCKET": bucket.name,
                "AIRFLOW_VAR_ENGAGEMENT_FOLDER": f"file://{folder}",
                "AIRFLOW_VAR_ENGAGEMENT_TABLE": table,
                "AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS": json.dumps(ids),
                "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "dags"),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
                "AIRFLOW__METRICS__OTEL_HOST": "127.0.0.1",
                "AIRFLOW__METRICS__OTEL_ON": "True",
                "AIRFLOW__METRICS__OTEL_PORT": str(port),
                "TMPDIR": str(folder),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        asked = list(service.requests)
    assert ran.returncode == 0, ran.stdout[-6000:]
    (line,) = (text for text in ran.stdout.splitlines() if text.startswith("REPORT "))
    report = json.loads(line.removeprefix("REPORT "))
    return Watched(
        **report,
        metrics=counters(sent),
        said=ran.stdout,
        world=world,
        tweets=tweets,
        requests=asked,
        bigquery=bigquery,
        bucket=bucket,
        table=table,
    )
