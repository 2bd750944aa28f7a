"""Operators that pull counts and return them, or write them to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.operators.base import EngagementPullOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.sinks.base import Sink, WriteResult

__all__ = [
    "Engagement28HrOperator",
    "EngagementHistoricalOperator",
    "EngagementTotalsOperator",
]

# What is returned goes through Airflow's metadata database, which is no place for tables.
_MAX_RETURNED_ROWS = 10_000


class _ToFileOrRows(EngagementPullOperator):
    """A pull that returns its rows, or writes them to one file.

    :param output_path: where to write the rows (templated): an ``ObjectStoragePath`` URI ending in
        ``.parquet``, ``.jsonl`` or ``.jsonl.gz``. Without it up to 10,000 rows are returned, as a
        list of objects; a larger result fails before the first request.
    """

    template_fields: Sequence[str] = (*EngagementPullOperator.template_fields, "output_path")

    def __init__(self, *, output_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path

    def make_sink(self, job: TaskRun) -> Sink:
        """Give the file's sink, or one that keeps the rows."""
        from airflow_provider_engagement.hooks.storage import put_file
        from airflow_provider_engagement.sinks.files import FileSink
        from airflow_provider_engagement.sinks.memory import MemorySink

        if self.output_path:
            return FileSink(self.output_path, put_file)
        if job.plan.max_rows > _MAX_RETURNED_ROWS:
            raise InvalidArgumentError(
                f"The plan gives up to {job.plan.max_rows} rows, and at most {_MAX_RETURNED_ROWS} "
                "can be returned through XCom.",
                advice="Set output_path, or use EngagementToBigQueryOperator "
                "or EngagementToGCSOperator.",
            )
        return MemorySink()

    def result(self, job: TaskRun, landed: WriteResult, sink: Sink) -> Any:
        """Give the file's URI, or the rows themselves."""
        rows = getattr(sink, "rows", None)
        return super().result(job, landed, sink) if rows is None else rows()

    def nothing(self, window: dict[str, str]) -> Any:
        """Give no rows."""
        return super().nothing(window) if self.output_path else []


class EngagementTotalsOperator(_ToFileOrRows):
    """Pulls the counts of Tweets to date, from ``/totals``.

    Seven types: ``impressions`` and ``engagements`` of the owner's own Tweets up to 90 days old,
    and ``favorites``, ``retweets``, ``replies``, ``quote_tweets`` and ``video_views`` of any
    public Tweet. Private counts of foreign Tweets are left out, and their public counts fetched
    app-only; no Tweet costs another its counts.

    :param output_path: where to write the rows (templated): an ``ObjectStoragePath`` URI ending in
        ``.parquet``, ``.jsonl`` or ``.jsonl.gz``. Without it up to 10,000 rows are returned, as a
        list of objects; a larger result fails before the first request.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(endpoint=EndpointName.TOTALS, **kwargs)


class Engagement28HrOperator(_ToFileOrRows):
    """Pulls the counts of the last 28 hours, from ``/28hr``: seventeen types of own Tweets.

    :param granularity: ``"hour"`` or ``"total"``.
    :param output_path: as :class:`EngagementTotalsOperator` has it.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(endpoint=EndpointName.LAST_28_HOURS, **kwargs)


class EngagementHistoricalOperator(_ToFileOrRows):
    """Pulls the counts of any range, from ``/historical``: seventeen types of own Tweets.

    A range of any length becomes windows that the service accepts; no Tweet is asked for before
    it was made.

    :param granularity: ``"day"``, ``"hour"`` or ``"total"``.
    :param output_path: as :class:`EngagementTotalsOperator` has it.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(endpoint=EndpointName.HISTORICAL, **kwargs)
