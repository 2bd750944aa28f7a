"""What the BigQuery transfer sets on its jobs, and what a killed task does with them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from google.auth.transport.requests import AuthorizedSession
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run

from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("airflow_home")

TYPES = ENDPOINTS["totals"].engagement_types


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(World(seed=17, accounts=("acme",), now=NOW)) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture
def ids(simulator: Simulator) -> list[str]:
    return simulator.world.tweets("acme", 4, since=NOW - timedelta(days=9), until=NOW)


class Wire:
    """The requests that Google's client sends to the emulator."""

    def __init__(self) -> None:
        self.configurations: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.before: Callable[[str, str], object] = lambda *_: None

    def note(self, method: str, url: str, data: object) -> None:
        path = url.partition("?")[0]
        if path.endswith("/cancel"):
            self.cancelled.append(path.split("/")[-2])
        elif method == "POST" and path.endswith("/jobs") and isinstance(data, (str, bytes)):
            job = json.loads(data)
            self.configurations.append(job["configuration"])
            self.before(job["jobReference"]["jobId"], json.dumps(job))

    @property
    def queries(self) -> list[dict[str, Any]]:
        return [each for each in self.configurations if "query" in each]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    wire, send = Wire(), AuthorizedSession.request

    def request(session: Any, method: str, url: str, data: Any = None, **options: Any) -> Any:
        wire.note(method, url, data)
        return send(session, method, url, data=data, **options)

    monkeypatch.setattr(AuthorizedSession, "request", request)
    return wire


def transfer(ids: list[str], table: str, **more: Any) -> EngagementToBigQueryOperator:
    return EngagementToBigQueryOperator(
        task_id="pull",
        tweet_ids=ids,
        destination_table=table,
        engagement_conn_id=CONN_ID,
        **more,
    )


@pytest.mark.parametrize(
    "labels", [{"team": "social", "dag": "not-this"}, '{"team": "social"}', "{{ labels }}"]
)
def test_jobs_have_the_labels_given_and_those_of_the_task(
    ids: list[str], dataset: str, wire: Wire, labels: Any
) -> None:
    operator = transfer(ids, f"{dataset}.totals", labels=labels)
    run(operator, variables={"labels": {"team": "social"}})
    assert wire.queries
    for configuration in wire.configurations:
        assert (
            configuration["labels"].items()
            >= {
                "team": "social",
                "dag": "a_dag",
                "task": "pull",
            }.items()
        )


def test_jobs_of_a_loop_are_labelled_with_its_pass(
    ids: list[str], dataset: str, wire: Wire
) -> None:
    run(transfer(ids, f"{dataset}.totals"), region_id="Pass/2")
    assert {each["labels"]["region"] for each in wire.configurations} == {"pass_2"}


@pytest.mark.parametrize(("given", "sent"), [(10**9, "1000000000"), ("{{ most }}", "5000000")])
def test_queries_have_the_maximum_of_bytes_billed(
    ids: list[str], dataset: str, wire: Wire, *, given: Any, sent: str
) -> None:
    operator = transfer(ids, f"{dataset}.totals", maximum_bytes_billed=given)
    run(operator, variables={"most": 5_000_000})
    assert {each["query"].get("maximumBytesBilled") for each in wire.queries} == {sent}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": "team=social"}, "labels must be an object of text"),
        ({"maximum_bytes_billed": "1 GB"}, "maximum_bytes_billed must be a whole number"),
        ({"maximum_bytes_billed": 0}, "maximum_bytes_billed must be a whole number"),
    ],
)
def test_wrong_labels_and_maxima_are_refused_before_the_first_request(  # noqa: PLR0917 - fixtures
    ids: list[str],
    dataset: str,
    simulator: Simulator,
    wire: Wire,
    changes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(AirflowFailException, match=message):
        run(transfer(ids, f"{dataset}.totals", **changes))
    assert simulator.requests == []
    assert wire.configurations == []


@pytest.mark.parametrize("empty", ["None", ""])
def test_a_template_without_a_value_means_the_default(  # noqa: PLR0917 - fixtures
    ids: list[str],
    simulator: Simulator,
    bigquery: BigQuery,
    dataset: str,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
    empty: str,
) -> None:
    connect(monkeypatch, simulator.connection("acme"), "engagement_default")
    fields = set(EngagementToBigQueryOperator.template_fields) - {"since_posting"}
    given: dict[str, Any] = dict.fromkeys(
        fields - {"tweet_ids", "destination_table", "start", "end", "lookback"}, "{{ nothing }}"
    )
    operator = EngagementToBigQueryOperator(
        task_id="pull", tweet_ids=ids, destination_table=f"{dataset}.totals", **given
    )
    run(operator, variables={"nothing": empty})
    rows = bigquery.rows(f"SELECT * FROM {dataset}.totals")  # noqa: S608 - a table of this test
    assert counts(rows) == expected_counts(simulator.world, ids, TYPES)
    assert {each["query"].get("maximumBytesBilled") for each in wire.queries} == {None}


def test_a_killed_task_cancels_its_job_and_starts_no_other(
    ids: list[str], simulator: Simulator, bigquery: BigQuery, dataset: str, wire: Wire
) -> None:
    operator = transfer(ids, f"{dataset}.totals")

    def kill(job_id: str, job: str) -> None:
        if simulator.requests and '"load"' in job:
            # As Airflow does from its signal handler, while the task waits for the job.
            operator.on_kill()
            killed.append(job_id)

    killed: list[str] = []
    wire.before = kill
    with pytest.raises(Exception, match="cancel"):
        run(operator)
    assert wire.cancelled == killed
    assert len(killed) == 1
    assert bigquery.rows(f"SELECT * FROM {dataset}.totals") == []  # noqa: S608 - a table of ours
