"""Run BigQuery jobs: retry transient failures, label the jobs, cap their cost, cancel them."""

from __future__ import annotations

import contextlib
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from google.api_core.exceptions import Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY
from tenacity import Retrying, retry_if_exception

from airflow_provider_engagement.api.errors import RequestRejectedError, ServiceError
from airflow_provider_engagement.sinks.bigquery.retries import (
    DEFAULT_WAIT,
    Patience,
    RetryClock,
    is_over_byte_limit,
    is_transient,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tenacity.wait import wait_base

__all__ = ["JobRunner"]

log = logging.getLogger(__name__)

# on_kill runs while Airflow waits for the task to end.
_CANCEL_TIMEOUT: Final = 10.0


class Job(Protocol):
    """What a load job and a query job have in common."""

    @property
    def error_result(self) -> dict[str, Any] | None:
        """Why the job failed, as far as its state was read."""

    def result(self) -> object:
        """Wait for the end of the job."""

    def reload(self) -> object:
        """Read the job's state."""


AnyJob = TypeVar("AnyJob", bound=Job)
_Result = TypeVar("_Result")


@dataclass(slots=True)
class JobRunner:
    """Runs the jobs of one sink, one at a time.

    :param client: the BigQuery client.
    :param location: where the jobs run; set once the dataset's location is known.
    :param labels: the labels of every job, valid for BigQuery.
    :param maximum_bytes_billed: the bytes that one query may bill; None for no limit.
    :param wait: the pause between tries.
    :param patience: how long a failing job is repeated.
    """

    client: bigquery.Client
    location: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    maximum_bytes_billed: int | None = None
    wait: wait_base = DEFAULT_WAIT
    patience: Patience = field(default_factory=Patience)
    _running: str | None = None
    _is_cancelled: bool = False

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> bigquery.QueryJob:
        """Run a statement or a script, and return its finished job.

        :param sql: the text.
        :param parameters: the values of its named parameters.
        :raises RequestRejectedError: if it would bill more than ``maximum_bytes_billed``.
        """
        try:
            return self.run(lambda job_id: self._start_query(sql, parameters, job_id))
        except GoogleAPICallError as error:
            if not is_over_byte_limit(error):
                raise
            message = f"maximum_bytes_billed is {self.maximum_bytes_billed}: {error.message}"
            advice = "Raise it, or leave it out."
            raise RequestRejectedError(message, advice=advice) from error

    def run(self, start: Callable[[str], AnyJob]) -> AnyJob:
        """Start a job, wait for its end, and repeat it while its failures are transient.

        A job is started again only after BigQuery has reported its failure, which undoes all of
        it. Where a request fails, whether it arrived is unknown: the job is looked up by its id
        before it is started, so that no job runs twice.

        :param start: starts the job under an id.
        :returns: the job that succeeded.
        """
        attempts = _Attempts(self, start)
        try:
            return self.retry(attempts.run)
        finally:
            self._running = None

    def retry(self, call: Callable[[], _Result]) -> _Result:
        """Call a function until it succeeds, fails for good, or patience ends.

        :param call: a function that can be called any number of times.
        """
        clock = RetryClock(self.patience)
        retrying = Retrying(
            retry=retry_if_exception(self._can_retry),
            wait=self.wait,
            stop=clock.has_ended,
            before_sleep=clock.log_retry,
            reraise=True,
        )
        return retrying(call)

    def cancel(self) -> None:
        """End the job that runs now, and start no further one. Never raises."""
        self._is_cancelled = True
        job_id = self._running
        if job_id is None:
            return
        try:
            self.client.cancel_job(
                job_id,
                location=self.location,
                retry=DEFAULT_RETRY.with_timeout(_CANCEL_TIMEOUT),
                timeout=_CANCEL_TIMEOUT,
            )
        except Exception:
            # The task ends in any case; a job that goes on writes what the task would have.
            log.warning("BigQuery job %s could not be cancelled.", job_id, exc_info=True)
        else:
            log.info("BigQuery job %s was cancelled.", job_id)

    def begin(self, job_id: str) -> None:
        """Note the job that is about to start.

        :raises ServiceError: if the task was cancelled.
        """
        if self._is_cancelled:
            message = "The task was cancelled before its BigQuery job started."
            raise ServiceError(message, advice="Clear the task to run it again.")
        self._running = job_id

    def _can_retry(self, error: BaseException) -> bool:
        return not self._is_cancelled and is_transient(error)

    def _start_query(self, sql: str, parameters: Sequence[Any], job_id: str) -> bigquery.QueryJob:
        config = bigquery.QueryJobConfig(labels=self.labels, use_legacy_sql=False)
        if parameters:
            config.query_parameters = list(parameters)
        if self.maximum_bytes_billed is not None:
            # Google's setter would send None as the text "None".
            config.maximum_bytes_billed = self.maximum_bytes_billed
        return self.client.query(
            sql,
            job_id=job_id,
            job_config=config,
            location=self.location,
            # JobRunner.run alone decides about retries, because it knows of conflicts.
            job_retry=None,
        )


class _Attempts(Generic[AnyJob]):
    """Repeats a job. A new one is started only after the last one is known to have failed."""

    def __init__(self, runner: JobRunner, start: Callable[[str], AnyJob]) -> None:
        self._runner = runner
        self._start = start
        self._job: AnyJob | None = None
        self._job_id: str | None = None

    def run(self) -> AnyJob:
        """Wait for the job, which is started or found first where necessary."""
        if self._job is not None and _has_failed(self._job):
            self._job = self._job_id = None
        job = self._job = self._job or self._find() or self._started()
        job.result()
        return job

    def _find(self) -> AnyJob | None:
        """Return the job of an earlier attempt whose start did not answer; None if it has none."""
        if self._job_id is None:
            return None
        with contextlib.suppress(NotFound):
            return self._existing(self._job_id)
        return None

    def _started(self) -> AnyJob:
        self._job_id = self._job_id or f"engagement-{uuid.uuid4().hex}"
        self._runner.begin(self._job_id)
        try:
            return self._start(self._job_id)
        except Conflict:
            # The request of an earlier attempt arrived after all.
            return self._existing(self._job_id)

    def _existing(self, job_id: str) -> AnyJob:
        client, location = self._runner.client, self._runner.location
        return cast("AnyJob", client.get_job(job_id, location=location))


def _has_failed(job: Job) -> bool:
    """Return whether BigQuery reports that the job failed; waiting for it may have failed alone."""
    if not job.error_result:
        with contextlib.suppress(Exception):
            job.reload()
    return bool(job.error_result)
