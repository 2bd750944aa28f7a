from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
from bigquery_checks import ABORTED, OUTSTANDING, OVER_LIMIT, SERIALIZE, TYPO, failure
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    GoogleAPICallError,
    NotFound,
    ServiceUnavailable,
)
from tenacity import wait_none

from airflow_provider_engagement.api.errors import RequestRejectedError, ServiceError
from airflow_provider_engagement.sinks.bigquery.jobs import JobRunner
from airflow_provider_engagement.sinks.bigquery.retries import Patience

if TYPE_CHECKING:
    from tools.clients import BigQuery

LOST = requests.exceptions.ConnectionError("connection reset")


@dataclass
class FakeJob:
    """A job that fails with an error, or whose waiting fails a few times before it succeeds."""

    error: GoogleAPICallError | None = None
    lost: int = 0
    waits: int = 0
    reloads: int = 0

    @property
    def error_result(self) -> dict[str, Any] | None:
        return {"reason": "any"} if self.error and self.reloads else None

    def result(self) -> None:
        self.waits += 1
        if self.error:
            raise self.error
        if self.waits <= self.lost:
            raise LOST

    def reload(self) -> None:
        self.reloads += 1


@dataclass
class Service:
    """A service that keeps the jobs that were started, by their ids."""

    jobs: list[FakeJob]
    lost_answers: int = 0
    lost_requests: int = 0
    started: dict[str, FakeJob] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    project: str = "test"

    def start(self, job_id: str) -> Any:
        if self.lost_requests:
            self.lost_requests -= 1
            raise LOST
        if job_id in self.started:
            raise Conflict(f"Already Exists: Job {job_id}")
        self.started[job_id] = self.jobs[len(self.started)]
        if self.lost_answers:
            self.lost_answers -= 1
            raise LOST
        return self.started[job_id]

    def get_job(self, job_id: str, **_: Any) -> FakeJob:
        if job_id not in self.started:
            raise NotFound(f"Not found: Job {job_id}")
        return self.started[job_id]

    def cancel_job(self, job_id: str, **_: Any) -> None:
        self.cancelled.append(job_id)


def runner(service: Any, **options: Any) -> JobRunner:
    return JobRunner(service, wait=wait_none(), **options)


def test_a_conflict_is_retried_with_a_new_job(caplog: pytest.LogCaptureFixture) -> None:
    service = Service([FakeJob(ABORTED), FakeJob(SERIALIZE), FakeJob(OUTSTANDING), FakeJob()])
    with caplog.at_level(logging.WARNING):
        assert runner(service).run(service.start) is service.jobs[-1]
    assert len(service.started) == 4
    assert caplog.text.count("busy with another writer") == 3


def test_a_syntax_error_is_not_retried() -> None:
    service = Service([FakeJob(TYPO), FakeJob()])
    with pytest.raises(BadRequest, match="Syntax error"):
        runner(service).run(service.start)
    assert len(service.started) == 1


def test_the_last_failure_is_raised_when_patience_ends() -> None:
    service = Service([FakeJob(ABORTED)] * 3)
    with pytest.raises(BadRequest, match="aborted due to concurrent update"):
        runner(service, patience=Patience(base=0)).run(service.start)
    assert len(service.started) == 1


def test_a_job_is_waited_for_again_after_a_lost_connection() -> None:
    service = Service([FakeJob(lost=3), FakeJob()])
    assert runner(service).run(service.start) is service.jobs[0]
    assert (len(service.started), service.jobs[0].waits) == (1, 4)


def test_a_job_whose_start_did_not_answer_is_found_by_its_id() -> None:
    service = Service([FakeJob(), FakeJob()], lost_answers=1)
    assert runner(service).run(service.start) is service.jobs[0]
    assert len(service.started) == 1


def test_a_job_whose_request_was_lost_is_started_again() -> None:
    service = Service([FakeJob()], lost_requests=2)
    assert runner(service).run(service.start) is service.jobs[0]
    assert len(service.started) == 1


def test_a_job_that_arrives_late_is_not_started_twice() -> None:
    class Late(Service):
        """A service that does not find the job yet at the first request."""

        lookups = 0

        def get_job(self, job_id: str, **options: Any) -> FakeJob:
            self.lookups += 1
            if self.lookups == 1:
                raise NotFound("not yet")
            return super().get_job(job_id, **options)

    service = Late([FakeJob(), FakeJob()], lost_answers=1)
    assert runner(service).run(service.start) is service.jobs[0]
    assert (len(service.started), service.lookups) == (1, 2)


def test_a_failed_job_is_started_again_under_another_id() -> None:
    service = Service([FakeJob(failure("backendError", "failed")), FakeJob()])
    assert runner(service).run(service.start) is service.jobs[1]
    assert len(service.started) == 2


def test_a_query_has_labels_a_location_and_a_byte_limit() -> None:
    call: dict[str, Any] = {}

    def query(sql: str, **options: Any) -> FakeJob:
        call.update(options, sql=sql)
        return FakeJob()

    labelled = runner(
        SimpleNamespace(query=query),
        labels={"team": "reach"},
        location="EU",
        maximum_bytes_billed=10**9,
    )
    labelled.query("SELECT 1")
    config = call["job_config"].to_api_repr()
    assert config["labels"] == {"team": "reach"}
    assert config["query"]["maximumBytesBilled"] == str(10**9)
    assert (call["location"], call["sql"]) == ("EU", "SELECT 1")


def test_a_query_over_the_byte_limit_is_refused_and_names_the_parameter() -> None:
    service = Service([FakeJob(OVER_LIMIT), FakeJob()])
    client = SimpleNamespace(query=lambda _, job_id, **__: service.start(job_id))
    with pytest.raises(
        RequestRejectedError, match=r"maximum_bytes_billed is 1000000: .*20971520 or higher"
    ):
        runner(client, maximum_bytes_billed=1_000_000).query("SELECT 1")
    assert len(service.started) == 1


def test_cancelling_ends_the_running_job_and_starts_no_other() -> None:
    service = Service([FakeJob(), FakeJob()])
    jobs = runner(service)
    stopped = failure("stopped", "Job execution was cancelled")

    class Running(FakeJob):
        def result(self) -> None:
            jobs.cancel()
            self.error = stopped
            raise stopped

    service.jobs[0] = Running()
    with pytest.raises(GoogleAPICallError, match="cancelled"):
        jobs.run(service.start)
    assert service.cancelled == [*service.started]
    with pytest.raises(ServiceError, match="cancelled before its BigQuery job started"):
        jobs.run(service.start)
    assert len(service.started) == 1


def test_cancelling_without_a_job_asks_for_nothing() -> None:
    service = Service([FakeJob()])
    jobs = runner(service)
    jobs.run(service.start)
    jobs.cancel()
    assert service.cancelled == []


def test_cancelling_never_raises(caplog: pytest.LogCaptureFixture) -> None:
    class Unreachable(Service):
        def cancel_job(self, job_id: str, **_: Any) -> None:
            raise requests.exceptions.ConnectionError(job_id)

    service = Unreachable([FakeJob()])
    jobs = runner(service)

    class Running(FakeJob):
        def result(self) -> None:
            jobs.cancel()

    service.jobs[0] = Running()
    jobs.run(service.start)
    assert "could not be cancelled" in caplog.text


def test_a_call_that_is_not_a_job_is_retried_too() -> None:
    failures = [ServiceUnavailable("down"), LOST]

    def upload() -> str:
        if failures:
            raise failures.pop()
        return "done"

    assert runner(Service([])).retry(upload) == "done"


def test_a_running_query_is_cancelled_in_bigquery(bigquery: BigQuery) -> None:
    cancelled = threading.Event()

    class Client:
        """Google's client, which reports the jobs that it cancels."""

        def __getattr__(self, name: str) -> Any:
            return getattr(bigquery.client, name)

        def cancel_job(self, job_id: str, **options: Any) -> Any:
            job = bigquery.client.cancel_job(job_id, **options)
            assert job.job_id == job_id
            cancelled.set()
            return job

    jobs = runner(Client())

    class Waiting:
        """The job of a query, cancelled as soon as something waits for it."""

        error_result = None

        def __init__(self, job: Any) -> None:
            self._job = job

        def result(self) -> None:
            jobs.cancel()
            self._job.result()

        def reload(self) -> None:
            self._job.reload()

    jobs.run(
        lambda job_id: Waiting(bigquery.client.query("SELECT 1", job_id=job_id, job_retry=None))
    )
    assert cancelled.is_set()
