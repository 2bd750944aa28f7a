"""Running BigQuery jobs: which failures pass by themselves, and how long to wait for that."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from google.api_core.exceptions import (
    GoogleAPICallError,
    GoogleAPIError,
    ServerError,
    TooManyRequests,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable

    from tenacity import RetryCallState
    from tenacity.wait import wait_base

__all__ = ["DEFAULT_WAIT", "is_passing", "run_job"]

log = logging.getLogger(__name__)

# https://cloud.google.com/bigquery/docs/error-messages, and the twins that a job's own status has.
_REASONS: Final = frozenset(
    {
        "backendError",
        "internalError",
        "rateLimitExceeded",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
    }
)

# These come as reason invalidQuery, status 400, so their words are all there is to go by:
#   Transaction is aborted due to concurrent update against table p:d.t. Transaction ID: ...
#   Could not serialize access to table p:d.t due to concurrent update
#   Resources exceeded during query execution: Too many DML statements outstanding against table
#   p:d.t, limit is 20.
# https://cloud.google.com/bigquery/docs/troubleshoot-queries and .../data-manipulation-language
_WORDS: Final = ("due to concurrent update", "too many dml statements outstanding against table")

_PATIENCE: Final = 600.0

DEFAULT_WAIT: Final = wait_random_exponential(multiplier=1, max=60)
"""Jittered, so that many mapped tasks which collided once do not collide again."""


class Job(Protocol):
    """What we need of a load or query job."""

    @property
    def error_result(self) -> dict[str, Any] | None:
        """Why the job failed, as far as its state is known here."""

    def result(self) -> object:
        """Wait for the end of the job."""

    def reload(self) -> object:
        """Ask for the job's state."""


AnyJob = TypeVar("AnyJob", bound=Job)


def is_passing(error: BaseException) -> bool:
    """Tell whether the same job may well succeed later."""
    if not isinstance(error, GoogleAPICallError):
        return False
    reasons = {detail.get("reason") for detail in error.errors if isinstance(detail, dict)}
    words = str(error).lower()
    return (
        isinstance(error, ServerError | TooManyRequests)
        or not reasons.isdisjoint(_REASONS)
        or any(phrase in words for phrase in _WORDS)
    )


def run_job(
    start: Callable[[], AnyJob],
    *,
    wait: wait_base = DEFAULT_WAIT,
    idempotent: bool = True,
    patience: float = _PATIENCE,
) -> AnyJob:
    """Start a job, wait for it, and start it anew while its failures are of the passing kind.

    :param start: starts the job.
    :param wait: how long to wait between tries.
    :param idempotent: whether the job may run twice. If not, it is only started anew once
        BigQuery itself has called the last one failed, which undoes all of it; a connection lost
        while waiting says nothing of the kind.
    :param patience: seconds after which the last failure stands.
    :returns: the job that succeeded.
    """
    last: list[AnyJob] = []

    def worth_another(error: BaseException) -> bool:
        return is_passing(error) and (idempotent or any(map(_has_failed, last)))

    def attempt() -> AnyJob:
        last.clear()
        last.append(start())
        last[-1].result()
        return last[-1]

    retrying = Retrying(
        retry=retry_if_exception(worth_another),
        wait=wait,
        stop=stop_after_delay(patience),
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(attempt)


def _has_failed(job: Job) -> bool:
    """Tell whether BigQuery itself says so. The failed wait may have been no word of the job."""
    with contextlib.suppress(GoogleAPIError):
        job.reload()
    return bool(job.error_result)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    log.warning("BigQuery job failed, trying again in %.1f s: %s", pause, error)
