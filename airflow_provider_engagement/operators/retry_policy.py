"""When a failed task is retried: Airflow's retry policy for this service."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import DeadlineExceededError, EngagementError
from airflow_provider_engagement.compat import HAS_RETRY_POLICIES

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

if TYPE_CHECKING or HAS_RETRY_POLICIES:
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
else:
    RetryPolicy = object  # docs and tests import this module on every Airflow

__all__ = ["DEFAULT_RETRY_POLICY", "EngagementRetryPolicy"]

# The rate limit resets every minute; a later time is a wrong clock.
_MAX_DELAY: Final = timedelta(hours=1)


class EngagementRetryPolicy(RetryPolicy):
    """Retries a task at the time that the service names; its worker slot is free until then.

    If the service named a time, the next try starts then. If a try ended because its
    ``execution_timeout`` was near, the next one starts at once and continues it. An error that no
    retry can mend fails the task. Any other error is retried after the task's own ``retry_delay``.
    The number of retries is always the task's ``retries``.

    The operators have it by default. It also works for tasks of your own that use the hook::

        @task(retries=3, retry_policy=EngagementRetryPolicy())

    Needs Airflow 3.3.2; on an older one tasks wait for their ``retry_delay``.
    """

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002 - Airflow's signature
        max_tries: int,  # noqa: ARG002 - Airflow's signature
        context: Context | None = None,  # noqa: ARG002 - Airflow's signature
    ) -> RetryDecision:
        """Return when to retry after one failure.

        :param exception: the exception that the task raised.
        :param try_number: the number of the try.
        :param max_tries: the number of tries.
        :param context: the task's context.
        """
        if not isinstance(exception, EngagementError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail(reason="A retry cannot mend this.")
        if isinstance(exception, DeadlineExceededError):
            return RetryDecision.retry(
                delay=timedelta(0), reason="The next try continues this one."
            )
        if exception.retry_at is None:
            return RetryDecision.default()
        delay = timedelta(seconds=max(0.0, exception.retry_at - time.time()))
        delay = min(delay, _MAX_DELAY)
        seconds = delay.total_seconds()
        return RetryDecision.retry(delay=delay, reason=f"Rate limited for {seconds:.0f} s.")


DEFAULT_RETRY_POLICY: Final[Any] = EngagementRetryPolicy() if HAS_RETRY_POLICIES else None
"""The operators' default; None on an Airflow without retry policies."""
