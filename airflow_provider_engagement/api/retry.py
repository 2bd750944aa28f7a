"""How long a request is retried, by the clock, and what requests in flight share of an outage."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import tenacity

from airflow_provider_engagement.api.errors import EngagementError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PullStoppedError", "Retrier", "RetryPolicy"]

log = logging.getLogger(__name__)

# The statuses of refusals that the rate limiter learns from; it raises one without a status.
_PACED: Final = frozenset({None, HTTPStatus.TOO_MANY_REQUESTS})


class PullStoppedError(EngagementError):
    """The pull was stopped while this request waited for its turn or its retry."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient a request is.

    :param budget: seconds after a request's first failure during which it is retried.
    :param first_wait: seconds before the first retry, at most; doubled each time, with jitter.
    :param max_wait: seconds between two attempts, at most.
    """

    budget: float = 300.0
    first_wait: float = 0.5
    max_wait: float = 30.0


class Retrier:
    """Retries the requests of one client, and ends their waits when the service is back.

    :param policy: how patient a request is.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._changed = threading.Condition()
        self._successes = 0
        self._stopped = False

    def attempts(self) -> Iterator[tenacity.AttemptManager]:
        """Return the attempts of one request, as tenacity does: ``for ...: with attempt: ...``."""
        backoff = tenacity.wait_random_exponential(
            multiplier=self._policy.first_wait, max=self._policy.max_wait
        )
        give_up_at: list[float] = []

        def wait(state: tenacity.RetryCallState) -> float:
            # After a 429 the rate limiter holds every request back. A second wait is not needed.
            failure = _failure(state)
            if isinstance(failure, RateLimitError) and failure.status in _PACED:
                return 0.0
            return float(backoff(state))

        def budget_is_spent(_: tenacity.RetryCallState) -> bool:
            now = time.monotonic()
            # From the first failure on: waiting for a turn is no failure.
            give_up_at[:] = give_up_at or [now + self._policy.budget]
            return now >= give_up_at[0]

        return iter(
            tenacity.Retrying(
                retry=tenacity.retry_if_exception(
                    lambda error: isinstance(error, EngagementError) and error.retryable
                ),
                wait=wait,
                stop=budget_is_spent,
                sleep=self._wait_for_recovery,
                before_sleep=_log_retry,
                reraise=True,
            )
        )

    def record_success(self) -> None:
        """Let every request that waits for its retry try again: the service answers."""
        with self._changed:
            self._successes += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """End every wait with an error."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait.

        :raises PullStoppedError: if the pull is stopped meanwhile.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped, timeout=seconds)
            self._check_stopped()

    def _wait_for_recovery(self, seconds: float) -> None:
        """Wait, at most until another request has succeeded."""
        with self._changed:
            before = self._successes
            self._changed.wait_for(
                lambda: self._stopped or self._successes > before, timeout=seconds
            )
            self._check_stopped()

    def _check_stopped(self) -> None:
        if self._stopped:
            msg = "The pull was stopped."
            raise PullStoppedError(msg)


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _log_retry(state: tenacity.RetryCallState) -> None:
    failure: Any = _failure(state)
    log.warning("Attempt %d failed and is repeated: %s", state.attempt_number, failure)
