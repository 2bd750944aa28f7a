"""When a task that has failed is tried again: Airflow's retry policy for this service."""

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
    RetryPolicy = object  # docs and tests import all modules alike

__all__ = ["DEFAULT_RETRY_POLICY", "EngagementRetryPolicy"]

# Nothing believable lies further off; a wrong clock is no reason to wait a day.
_LONGEST: Final = timedelta(hours=1)


class EngagementRetryPolicy(RetryPolicy):
    """Tries a task again when the service says that it may, so that its slot is free meanwhile.

    Where the service told until when to wait, the next try starts then. A try that ended since
    its ``execution_timeout`` was near is gone on with at once, as its finished requests are kept.
    What no retry can mend fails the task without another try. All else is left to the task's own
    ``retry_delay``. The number of tries is always the task's ``retries``.

    The operators have it by default. It serves tasks of your own that use the hook as well::

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
        """Decide about one failure.

        :param exception: what the task failed with.
        :param try_number: which try it was.
        :param max_tries: how many tries there are.
        :param context: the task's context.
        """
        if not isinstance(exception, EngagementError):
            return RetryDecision.default()
        if not exception.retryable:
            return RetryDecision.fail(reason="No retry can mend this.")
        if isinstance(exception, DeadlineExceededError):
            return RetryDecision.retry(
                delay=timedelta(0), reason="The next try takes up what this one has got."
            )
        if exception.retry_at is None:
            return RetryDecision.default()
        delay = timedelta(seconds=max(0.0, exception.retry_at - time.time()))
        delay = min(delay, _LONGEST)
        seconds = delay.total_seconds()
        return RetryDecision.retry(delay=delay, reason=f"The service has us wait {seconds:.0f} s.")


DEFAULT_RETRY_POLICY: Final[Any] = EngagementRetryPolicy() if HAS_RETRY_POLICIES else None
"""What the operators have where they are given no other; None where Airflow knows no policies."""
