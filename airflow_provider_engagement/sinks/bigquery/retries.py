"""Which failures of BigQuery are transient, and how long they are retried."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import requests
from google.api_core.exceptions import (
    GoogleAPICallError,
    RetryError,
    ServerError,
    TooManyRequests,
)
from google.auth.exceptions import TransportError
from tenacity import wait_random_exponential

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = [
    "DEFAULT_WAIT",
    "Patience",
    "RetryClock",
    "is_conflict",
    "is_over_byte_limit",
    "is_transient",
]

log = logging.getLogger(__name__)

# https://cloud.google.com/bigquery/docs/error-messages, and the same reasons in a job's status.
_TRANSIENT_REASONS: Final = frozenset(
    {
        "backendError",
        "internalError",
        "rateLimitExceeded",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
    }
)

# Seen with HTTP status 500, which would otherwise count as transient.
_OVER_BYTE_LIMIT: Final = "bytesBilledLimitExceeded"

# These failures have the reason invalidQuery and status 400, so only the text identifies them:
#   Transaction is aborted due to concurrent update against table p:d.t. Transaction ID: ...
#   Could not serialize access to table p:d.t due to concurrent update
#   Resources exceeded during query execution: Too many DML statements outstanding against table
#   p:d.t, limit is 20.
# https://cloud.google.com/bigquery/docs/troubleshoot-queries and .../data-manipulation-language
_CONFLICT_TEXTS: Final = (
    "due to concurrent update",
    "too many dml statements outstanding against table",
)

_CONNECTION_ERRORS: Final = (
    ConnectionError,
    RetryError,
    TransportError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
)

DEFAULT_WAIT: Final = wait_random_exponential(multiplier=1, max=60)
"""The pause between tries, in seconds. It is random, so that tasks that collided spread out."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a failing job is repeated, counted from its first failure.

    A conflict means that another task has written to the table, so that waiting helps: each
    conflict adds ``base`` seconds, up to ``most``. An outage shows no progress and adds nothing.

    :param base: seconds for a job that meets no conflict.
    :param most: seconds at most, with any number of conflicts.
    """

    base: float = 900.0
    most: float = 7200.0

    def seconds(self, conflicts: int) -> float:
        """Return the seconds allowed after some number of conflicts."""
        return min(self.base * (1 + conflicts), max(self.base, self.most))


def is_conflict(error: BaseException) -> bool:
    """Return whether a job failed because another one wrote to the same table."""
    text = str(error).lower()
    return isinstance(error, GoogleAPICallError) and any(part in text for part in _CONFLICT_TEXTS)


def is_transient(error: BaseException) -> bool:
    """Return whether the same call can succeed later without a change."""
    if isinstance(error, requests.exceptions.SSLError):
        return False
    if not isinstance(error, GoogleAPICallError):
        return isinstance(error, _CONNECTION_ERRORS)
    if is_over_byte_limit(error):
        return False
    reasons = _reasons(error)
    return (
        isinstance(error, ServerError | TooManyRequests)
        or not reasons.isdisjoint(_TRANSIENT_REASONS)
        or is_conflict(error)
    )


def is_over_byte_limit(error: GoogleAPICallError) -> bool:
    """Return whether a query would bill more than its ``maximum_bytes_billed``."""
    return _OVER_BYTE_LIMIT in _reasons(error)


def _reasons(error: GoogleAPICallError) -> set[str]:
    return {str(detail.get("reason")) for detail in error.errors if isinstance(detail, dict)}


@dataclass(slots=True)
class RetryClock:
    """Counts the conflicts and the seconds since the first failure of a call that is repeated."""

    patience: Patience
    _first_failure: float | None = None
    _conflicts: int = 0

    def has_ended(self, state: RetryCallState) -> bool:
        """Return whether the last failure stands."""
        now = time.monotonic()
        if self._first_failure is None:
            self._first_failure = now
        error = state.outcome.exception() if state.outcome else None
        self._conflicts += error is not None and is_conflict(error)
        return now - self._first_failure >= self._allowed

    def log_retry(self, state: RetryCallState) -> None:
        """Log a failure that is retried."""
        log.warning(
            "BigQuery %s, attempt %d. The next one is in %.1f s, and the last one at most %.0f "
            "minutes after the first failure: %s",
            "is busy with another writer of the table" if self._conflicts else "failed",
            state.attempt_number,
            state.next_action.sleep if state.next_action else 0.0,
            self._allowed / 60,
            state.outcome.exception() if state.outcome else None,
        )

    @property
    def _allowed(self) -> float:
        return self.patience.seconds(self._conflicts)
