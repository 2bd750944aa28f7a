from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    InternalServerError,
    ServiceUnavailable,
)
from tenacity import wait_none

from airflow_provider_engagement.sinks.bigquery.jobs import is_passing, run_job


def failure(reason: str, words: str) -> GoogleAPICallError:
    """Fail as a job does: the reason decides the status, the words stand in the message."""
    kind = {"rateLimitExceeded": Forbidden, "invalidQuery": BadRequest, "accessDenied": Forbidden}
    return kind.get(reason, InternalServerError)(words, errors=[{"reason": reason}])


ABORTED = failure(
    "invalidQuery",
    "Query error: Transaction is aborted due to concurrent update against table p:d.counts. "
    "Transaction ID: 68381985-0000-235c-aa1e-089e0822be6c at [4:1]",
)
SERIALIZE = failure(
    "invalidQuery", "Could not serialize access to table p:d.counts due to concurrent update"
)
OUTSTANDING = failure(
    "resourcesExceeded",
    "Resources exceeded during query execution: Too many DML statements outstanding against "
    "table p:d.counts, limit is 20.",
)
TYPO = failure("invalidQuery", "Syntax error: Unexpected identifier at [1:1]")


@dataclass
class FakeJob:
    """A job that fails, or does not."""

    error: GoogleAPICallError | None = None
    known: bool = True
    job_id: str = "job"
    reloads: int = 0

    @property
    def error_result(self) -> dict[str, Any] | None:
        return {"reason": "any"} if self.error and self.known and self.reloads else None

    def result(self) -> None:
        if self.error:
            raise self.error

    def reload(self) -> None:
        self.reloads += 1


@dataclass
class Script:
    """Starts the jobs of a list, one after another."""

    jobs: list[FakeJob]
    started: list[FakeJob] = field(default_factory=list)

    def __call__(self) -> FakeJob:
        self.started.append(self.jobs[len(self.started)])
        return self.started[-1]


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (ABORTED, True),
        (SERIALIZE, True),
        (OUTSTANDING, True),
        (failure("backendError", "Error encountered during execution."), True),
        (failure("internalError", "An internal error occurred."), True),
        (failure("rateLimitExceeded", "Exceeded rate limits: too many table updates"), True),
        (ServiceUnavailable("try again"), True),
        (TYPO, False),
        (failure("accessDenied", "Access Denied: Table p:d.counts"), False),
        (ValueError("due to concurrent update"), False),
    ],
)
def test_what_passes_by_itself(error: Exception, passing: bool) -> None:
    assert is_passing(error) is passing


def test_a_conflict_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([FakeJob(ABORTED), FakeJob(SERIALIZE), FakeJob(OUTSTANDING), FakeJob()])
    with caplog.at_level(logging.WARNING):
        assert run_job(script, wait=wait_none()) is script.jobs[-1]
    assert len(script.started) == 4
    assert caplog.text.count("trying again") == 3


def test_a_mistake_is_not_tried_again() -> None:
    script = Script([FakeJob(TYPO), FakeJob()])
    with pytest.raises(BadRequest, match="Syntax error"):
        run_job(script, wait=wait_none())
    assert len(script.started) == 1


def test_patience_ends() -> None:
    script = Script([FakeJob(ABORTED)] * 3)
    with pytest.raises(BadRequest, match="aborted due to concurrent update"):
        run_job(script, wait=wait_none(), patience=0)
    assert len(script.started) == 1


def test_what_may_not_run_twice_is_started_anew_only_when_it_is_known_to_have_failed() -> None:
    torn = ServiceUnavailable("connection reset")

    unknown = Script([FakeJob(torn, known=False), FakeJob()])
    with pytest.raises(ServiceUnavailable):
        run_job(unknown, wait=wait_none(), idempotent=False)
    assert len(unknown.started) == 1

    known = Script([FakeJob(failure("backendError", "failed")), FakeJob()])
    assert run_job(known, wait=wait_none(), idempotent=False) is known.jobs[-1]


def test_a_start_that_fails_is_tried_again_only_where_it_may_run_twice() -> None:
    answers = iter([ServiceUnavailable("torn"), FakeJob()])

    def start() -> FakeJob:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert run_job(start, wait=wait_none())
    answers = iter([ServiceUnavailable("torn"), FakeJob()])
    with pytest.raises(ServiceUnavailable):
        run_job(start, wait=wait_none(), idempotent=False)
