"""What Airflow sets a pull: until when it may go on, and where its progress is shown."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.pull.deadline import PullLimits, end_before_timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from airflow_provider_engagement.operators.task_run import TaskRun

__all__ = ["PROGRESS_KEY", "set_course"]

log = logging.getLogger(__name__)

PROGRESS_KEY: Final = "engagement_progress"


def set_course(job: TaskRun, execution_timeout: timedelta | None, *, resumes: bool) -> PullLimits:
    """Tell a pull until when it may go on, and whom it tells how far it has come.

    It stops early only where a retry goes on from there: where nothing is kept, or nobody comes
    back, it takes all the time there is.

    :param job: what is pulled.
    :param execution_timeout: the task's, None if it has none.
    :param resumes: whether finished requests are kept for a retry.
    """
    end_by = None
    if execution_timeout is not None and resumes and not job.is_last_try:
        end_by = end_before_timeout(
            began=job.began,
            timeout=execution_timeout.total_seconds(),
            request_timeout=job.settings.timeout,
        )
    return PullLimits(end_by=end_by, report=_teller(job.context.get("task_state_store")))


def _teller(store: Any) -> Callable[[dict[str, int | str]], None] | None:
    """Show progress in Airflow's task state store, which Airflow 3.3 has."""
    if store is None:
        return None

    def tell(progress: dict[str, int | str]) -> None:
        try:
            store.set(PROGRESS_KEY, progress)
        except Exception as error:  # noqa: BLE001 - whatever ails the store, the pull goes on
            log.warning("Progress cannot be shown: %s", type(error).__name__)

    return tell
