from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException
from bigquery_checks import http_response
from google.api_core.exceptions import ServiceUnavailable
from google.auth.transport.requests import AuthorizedSession
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run, snapshot_window

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.rows.schema import COVERAGE, LONG
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.bigquery.retries import Patience
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)

if TYPE_CHECKING:
    import requests

    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.usefixtures("airflow_home", "temporary")

TYPES = ENDPOINTS["totals"].engagement_types
SNAPSHOT = NOW - timedelta(hours=1)
LOCK = "totals_lock"


@pytest.fixture
def world() -> World:
    return World(seed=6, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 20, since=NOW - timedelta(days=80), until=SNAPSHOT)


def transfer(tweet_ids: Any, table: str, **more: Any) -> EngagementToBigQueryOperator:
    return EngagementToBigQueryOperator(
        task_id="to_bigquery",
        tweet_ids=tweet_ids,
        destination_table=table,
        engagement_conn_id=CONN_ID,
        **more,
    )


def rows_of(bigquery: BigQuery, table: str) -> list[dict[str, Any]]:
    return bigquery.rows(f"SELECT * FROM {table} ORDER BY tweet_id, engagement_type, snapshot_at")  # noqa: S608 - a table of ours


def coverage_of(bigquery: BigQuery, table: str) -> dict[str, dict[str, Any]]:
    rows = bigquery.rows(f"SELECT * FROM {table}_coverage")  # noqa: S608 - a table of ours
    found = {row["tweet_id"]: row for row in rows}
    assert len(found) == len(rows), "an id is there twice"
    return found


def tables_in(bigquery: BigQuery, dataset: str) -> set[str]:
    return {table.table_id for table in bigquery.client.list_tables(dataset)}


def test_counts_and_coverage_are_written_to_tables(
    world: World, ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    foreign, deleted, protected = ids[2:5]
    world.foreign, world.deleted, world.protected = {foreign}, {deleted}, {protected}
    table = f"{dataset}.totals"
    ran = run(transfer(ids, table), at=SNAPSHOT)
    owned = [item for item in ids if item not in {foreign, deleted, protected}]
    rows = rows_of(bigquery, table)
    assert counts(rows) == expected_counts(world, owned, TYPES) | expected_counts(
        world, [foreign], PUBLIC_TYPES
    )
    assert [*rows[0]] == [column.name for column in LONG]
    assert {row["snapshot_at"] for row in rows} == {SNAPSHOT}
    assert {row["access"] for row in rows if row["tweet_id"] == foreign} == {"public"}

    coverage = coverage_of(bigquery, table)
    assert {*coverage} == {*ids}
    assert [*coverage[foreign]] == [column.name for column in COVERAGE]
    outcomes = {
        item: (coverage[item]["status"], coverage[item]["access"], coverage[item]["missing_types"])
        for item in (foreign, deleted, protected, owned[0])
    }
    every = ",".join(TYPES)
    assert outcomes == {
        foreign: ("answered", "public", "impressions,engagements"),
        deleted: ("unavailable", None, every),
        protected: ("unavailable", None, every),
        owned[0]: ("answered", "owner", None),
    }

    assert ran.value == {
        "table": f"test.{table}",
        "rows": len(rows),
        "window": snapshot_window(SNAPSHOT),
    }
    assert len(json.dumps(ran.xcoms)) < 10_000
    assert ran.summary["coverage"] == f"test.{table}_coverage"
    tweets = ran.summary["tweets"]
    assert (tweets["asked"], tweets["answered"], tweets["unavailable"]) == (20, 18, 2)
    assert tables_in(bigquery, dataset) == {"totals", "totals_coverage", LOCK}
    assert len(simulator.requests) == ran.summary["requests"]


def test_a_second_run_leaves_the_snapshot_although_counts_have_grown(
    world: World, ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.totals"
    operator = transfer(ids, table)
    first = run(operator, at=SNAPSHOT)
    rows, coverage = rows_of(bigquery, table), coverage_of(bigquery, table)
    before = expected_counts(world, ids, TYPES)

    world.freeze(NOW + timedelta(hours=6))
    assert expected_counts(world, ids, TYPES) != before
    second = run(transfer(ids, table), at=SNAPSHOT)
    assert second.value == first.value
    # The first answer of a snapshot stands.
    assert rows_of(bigquery, table) == rows
    assert {item: row["status"] for item, row in coverage_of(bigquery, table).items()} == {
        item: row["status"] for item, row in coverage.items()
    }

    run(transfer(ids, table), at=SNAPSHOT + timedelta(minutes=30))
    all_rows = rows_of(bigquery, table)
    assert [row for row in all_rows if row["snapshot_at"] == SNAPSHOT] == rows
    assert counts([row for row in all_rows if row["snapshot_at"] != SNAPSHOT]) == expected_counts(
        world, ids, TYPES
    )
    assert len(simulator.requests) == 3


@pytest.mark.usefixtures("simulator")
def test_a_second_run_adds_the_counts_that_the_first_one_could_not_read(
    world: World, ids: list[str], bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.totals"
    world.protected = {ids[0]}
    run(transfer(ids[:10], table), at=SNAPSHOT)
    world.protected = set()
    run(transfer(ids, table), at=SNAPSHOT)
    assert counts(rows_of(bigquery, table)) == expected_counts(world, ids, TYPES)
    assert {row["status"] for row in coverage_of(bigquery, table).values()} == {"answered"}
    world.deleted = set(ids[:5])
    run(transfer(ids, table), at=SNAPSHOT)
    # A Tweet that was deleted since keeps its counts and its status.
    assert counts(rows_of(bigquery, table)) == expected_counts(world, ids, TYPES)
    assert {row["status"] for row in coverage_of(bigquery, table).values()} == {"answered"}


def test_one_table_holds_several_owners(
    bigquery: BigQuery, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(seed=6, accounts=("acme", "bolt"), now=NOW)
    since = NOW - timedelta(days=9)
    table = f"{dataset}.totals"
    with Simulator(world) as simulator:
        for account in world.accounts:
            ids = world.tweets(account, 5, since=since, until=SNAPSHOT)
            connect(monkeypatch, simulator.connection(account))
            run(transfer(ids, table), at=SNAPSHOT)
    rows = rows_of(bigquery, table)
    assert Counter(row["account"] for row in rows) == {"acme": 35, "bolt": 35}


@pytest.mark.usefixtures("simulator")
def test_rows_staged_in_a_bucket_leave_nothing_in_it(
    world: World, ids: list[str], bigquery: BigQuery, dataset: str, gcs: Gcs
) -> None:
    bucket = gcs.make_bucket()
    table = f"{dataset}.totals"
    run(transfer(ids, table, staging_bucket=bucket.name), at=SNAPSHOT)
    assert counts(rows_of(bigquery, table)) == expected_counts(world, ids, TYPES)
    assert [blob.name for blob in bucket.list_blobs()] == []


class Outage:
    """Fails the first jobs that start after the first request to the Engagement API.

    The requests of Google's clients are answered here; everything above them is real.
    """

    def __init__(self, simulator: Simulator, failures: int) -> None:
        self._simulator = simulator
        self.failures = failures
        self._request = AuthorizedSession.request

    def request(self, session: Any, method: str, url: str, **options: Any) -> requests.Response:
        is_job = method == "POST" and url.partition("?")[0].endswith("/jobs")
        if not (is_job and self._simulator.requests and self.failures):
            return self._request(session, method, url, **options)
        self.failures -= 1
        error = {
            "message": "The service is unavailable.",
            "errors": [{"reason": "jobBackendError"}],
        }
        return http_response(method, url, 503, {"error": error})


@pytest.fixture
def outage(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Outage:
    outage = Outage(simulator, failures=0)

    def request(session: Any, *args: Any, **options: Any) -> requests.Response:
        return outage.request(session, *args, **options)

    monkeypatch.setattr(AuthorizedSession, "request", request)
    return outage


@pytest.mark.parametrize("through_bucket", [False, True])
def test_a_write_that_fails_after_all_requests_is_repeated_without_them(
    world: World,
    ids: list[str],
    simulator: Simulator,
    *,
    bigquery: BigQuery,
    dataset: str,
    gcs: Gcs,
    outage: Outage,
    through_bucket: bool,
) -> None:
    table = f"{dataset}.totals"
    outage.failures = 3
    bucket = gcs.make_bucket().name if through_bucket else None
    ran = run(transfer(ids, table, staging_bucket=bucket), at=SNAPSHOT)
    assert outage.failures == 0
    assert counts(rows_of(bigquery, table)) == expected_counts(world, ids, TYPES)
    assert {*coverage_of(bigquery, table)} == {*ids}
    assert len(simulator.requests) == ran.summary["requests"] == 1
    assert tables_in(bigquery, dataset) == {"totals", "totals_coverage", LOCK}


def test_the_next_try_repeats_only_the_write_where_there_is_a_staging_bucket(
    world: World,
    ids: list[str],
    simulator: Simulator,
    *,
    bigquery: BigQuery,
    dataset: str,
    gcs: Gcs,
    outage: Outage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Patience, "seconds", lambda *_: 0.0)
    table = f"{dataset}.totals"
    operator = transfer(ids, table, staging_bucket=gcs.make_bucket().name)
    outage.failures = 1
    with pytest.raises(ServiceUnavailable):
        run(operator, at=SNAPSHOT)
    assert rows_of(bigquery, table) == []
    sent = len(simulator.requests)
    run(operator, at=SNAPSHOT, try_number=2)
    assert len(simulator.requests) == sent
    assert counts(rows_of(bigquery, table)) == expected_counts(world, ids, TYPES)


@pytest.mark.usefixtures("simulator", "bigquery")
def test_every_job_has_labels_and_every_query_a_byte_limit(
    ids: list[str], dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, jobs = AuthorizedSession.request, []

    def request(session: Any, method: str, url: str, **options: Any) -> requests.Response:
        if method == "POST" and url.partition("?")[0].endswith("/jobs"):
            jobs.append(json.loads(options["data"])["configuration"])
        return original(session, method, url, **options)

    monkeypatch.setattr(AuthorizedSession, "request", request)
    labels = {"Team": "{{ team }}", "dag": "mine"}
    operator = transfer(
        ids, f"{dataset}.totals", labels=labels, maximum_bytes_billed="{{ 10**10 }}"
    )
    run(operator, at=SNAPSHOT, dag_id="Daily", variables={"team": "Reach & Co"})
    assert [sorted({"load", "query"} & {*job}) for job in jobs] == [["query"], ["load"], ["query"]]
    for job in jobs:
        assert job["labels"] == {
            "team": "reach___co",
            "dag": "daily",
            "task": "to_bigquery",
            "run": "manual__1",
        }
        if "query" in job:
            assert job["query"]["maximumBytesBilled"] == str(10**10)


def test_on_kill_cancels_the_job_that_runs(
    ids: list[str],
    simulator: Simulator,
    bigquery: BigQuery,
    dataset: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del bigquery
    operator = transfer(ids, f"{dataset}.totals")
    original, waited_for, cancelled = AuthorizedSession.request, [], []

    def request(session: Any, method: str, url: str, **options: Any) -> requests.Response:
        path = url.partition("?")[0]
        if method == "POST" and path.endswith("/cancel"):
            cancelled.append(path.split("/")[-2])
        elif "/queries/" in path and simulator.requests and not waited_for:
            # The task waits for its script when Airflow kills it.
            waited_for.append(path.split("/")[-1])
            operator.on_kill()
        return original(session, method, url, **options)

    monkeypatch.setattr(AuthorizedSession, "request", request)
    operator.on_kill()
    assert cancelled == []
    run(operator, at=SNAPSHOT)
    assert cancelled == waited_for
    assert len(cancelled) == 1


@pytest.mark.parametrize(
    "name",
    [
        "data'set.totals",
        "dataset.tot`als",
        'dataset."totals"',
        "dataset.totals; DROP TABLE x",
        "dataset.tot als",
        "totals",
        "",
        "dataset.",
        ".totals",
        "a.b.c.d",
        "Project.dataset.totals",
        "data\nset.totals",
    ],
)
def test_a_wrong_table_name_is_refused_before_any_request(
    ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str, name: str
) -> None:
    with pytest.raises(AirflowFailException, match="destination_table is") as caught:
        run(transfer(ids, name), at=SNAPSHOT)
    assert repr(name) in str(caught.value)
    assert "project.dataset.table or dataset.table" in str(caught.value)
    assert simulator.requests == []
    assert tables_in(bigquery, dataset) == set()


def test_a_missing_dataset_is_refused_before_any_request(
    ids: list[str], simulator: Simulator, bigquery: BigQuery
) -> None:
    assert "nowhere" not in [found.dataset_id for found in bigquery.client.list_datasets()]
    with pytest.raises(
        AirflowFailException, match=r"dataset test\.nowhere does not exist.*bq .*mk"
    ):
        run(transfer(ids, "nowhere.totals"), at=SNAPSHOT)
    assert simulator.requests == []


def test_a_column_of_another_type_is_refused_before_any_request(
    ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    bigquery.client.query_and_wait(f"CREATE TABLE {dataset}.totals (account STRING, value STRING)")
    with pytest.raises(AirflowFailException, match=r"column value .* is STRING, and must be INT"):
        run(transfer(ids, f"{dataset}.totals"), at=SNAPSHOT)
    assert simulator.requests == []


def test_a_failed_pull_changes_no_table_and_leaves_no_staging(
    world: World, ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    table = f"{dataset}.totals"
    run(transfer(ids[:5], table), at=SNAPSHOT)
    rows, coverage = rows_of(bigquery, table), coverage_of(bigquery, table)
    # Rows are already staged when the check of max_missing_share fails.
    world.deleted = set(ids[:15])
    with pytest.raises(AirflowFailException, match="5 of 20 Tweets were counted"):
        run(transfer(ids, table, max_missing_share=0.5), at=SNAPSHOT)
    assert rows_of(bigquery, table) == rows
    assert coverage_of(bigquery, table) == coverage
    assert tables_in(bigquery, dataset) == {"totals", "totals_coverage", LOCK}
    assert len(simulator.requests) == 2


def test_an_empty_collection_creates_no_table(
    simulator: Simulator, bigquery: BigQuery, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    ran = run(transfer("{{ ids }}", f"{dataset}.totals"), at=SNAPSHOT, variables={"ids": []})
    assert ran.value["rows"] == 0
    assert "tweet_ids holds no ids" in caplog.text
    assert tables_in(bigquery, dataset) == set()
    assert simulator.requests == []


def test_a_late_run_is_skipped(
    ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    with pytest.raises(AirflowSkipException, match="max_snapshot_age"):
        run(transfer(ids, f"{dataset}.totals"), at=NOW - timedelta(days=2))
    assert simulator.requests == []
    assert tables_in(bigquery, dataset) == set()


def test_plan_only_creates_no_table(
    ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str
) -> None:
    ran = run(transfer(ids, f"{dataset}.totals", plan_only=True), at=SNAPSHOT)
    assert ran.value["requests"] == 1
    assert tables_in(bigquery, dataset) == set()
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"endpoint": "total"}, r"endpoint is 'total'; it must be one of: 'totals'"),
        ({"layout": "tall"}, r"layout is 'tall'; it must be one of: 'long'"),
        ({"write_mode": "replace"}, r"write_mode is 'replace'; it must be one of: 'upsert'"),
        ({"granularity": "day"}, r"granularity is 'day'; on totals it must be one of: total"),
        ({"tweet_ids": []}, "tweet_ids is an empty list"),
    ],
)
def test_a_wrong_constant_fails_when_the_dag_is_parsed(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        transfer(**({"tweet_ids": ["20"], "table": "dataset.totals"} | changes))
