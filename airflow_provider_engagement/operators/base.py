"""The base of all operators that pull: their parameters, and the steps from them to rows."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    BaseOperator,
)

from airflow_provider_engagement.api.errors import EngagementError, InvalidArgumentError
from airflow_provider_engagement.api.query import GRANULARITIES
from airflow_provider_engagement.api.spec import EndpointName, check_one_of
from airflow_provider_engagement.compat import DefaultsWhenMapped, retry_policy_kwargs
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID, MAX_SNAPSHOT_AGE
from airflow_provider_engagement.operators.retry_policy import DEFAULT_RETRY_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.operators.destination import Destination
    from airflow_provider_engagement.operators.execution import PullExecution
    from airflow_provider_engagement.operators.parameters import (
        Duration,
        EngagementTypes,
        Flag,
        Groupings,
        Share,
        Text,
        TweetIds,
    )
    from airflow_provider_engagement.operators.run_window import WindowParameters
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = [
    "EngagementPullOperator",
    "WithLineage",
    "fail_for_good",
    "refuse_empty_list",
    "refuse_two_windows",
]


class WithLineage:
    """A task that reports what it read and wrote to OpenLineage."""

    _lineage: tuple[str | Sequence[str], WriteResult] | None = None

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Return what was read and written; OpenLineage's provider calls this after the task."""
        from airflow_provider_engagement.operators import reporting

        return reporting.openlineage_facets(self._lineage)


class EngagementPullOperator(DefaultsWhenMapped, BaseOperator):
    """Pulls engagement counts of Tweets. The base of the operators and transfers.

    A templated parameter that renders to ``None`` or to an empty text has its default.

    :param endpoint: ``"totals"``, ``"28hr"`` or ``"historical"``.
    :param tweet_ids: the Tweets (templated): a list of ids, the output of another task, text that
        holds a JSON or Python list or separated ids, or the URI of a file, a folder or a pattern.
        Use ids as text, not numbers: spreadsheets and JavaScript round numbers. For more than
        10,000 ids use a URI or the output of another task.
    :param id_column: the column of a table, or the key of JSON objects, that holds the ids
        (templated). By default it is found by its name, such as ``tweet_id`` or ``Post id``.
    :param shard: which part of the collection to pull (templated): ``"2/8"`` is the third of eight,
        so that ``.expand(shard=[f"{i}/8" for i in range(8)])`` pulls all of it, each Tweet once. A
        hash of its id decides which shard a Tweet is in, whatever its place in the collection.
        Folders and checkpoints are named by it. By default the whole collection is pulled.
    :param engagement_types: the counts to ask for (templated); by default all that the endpoint
        has and the credentials allow.
    :param granularity: ``"total"``, ``"day"`` or ``"hour"``; by default ``"total"`` on totals,
        ``"day"`` on historical and ``"hour"`` on 28hr. historical has all three, 28hr ``"hour"``
        and ``"total"``. In the rows, the column of that name says ``lifetime`` for ``"total"`` on
        totals, ``window`` for ``"total"`` on the others, and ``day`` or ``hour``.
    :param groupings: the API's own object, ``{name: {"group_by": [...]}}`` (templated), instead
        of ``granularity``.
    :param incomplete: ``"keep"``, or ``"drop"`` for rows of periods that had not ended, or were
        not wholly covered, when the service answered.
    :param max_missing_share: the share of ids, 0 to 1, that may have no count before the task
        fails (templated). It always fails if no id has one.
    :param max_snapshot_age: for counts to date and of the 28 hours as a whole (templated): a
        scheduled or backfilled run of a moment longer ago is skipped, because the API returns the
        counts of now only. A timedelta, or an ISO 8601 duration.
    :param plan_only: log and return the plan, and send nothing (templated).
    :param engagement_conn_id: the connection, which is one owner of Tweets (templated).
    :param retries: the number of retries, as on every Airflow task; 3 unless the DAG's
        ``default_args`` say otherwise. An error that no retry can mend fails the task at once.
    :param retry_policy: when to retry, as on every Airflow task from 3.3.2 on; by default
        ``EngagementRetryPolicy()``, which waits as long as the service asks for.
    """

    template_fields: Sequence[str] = (
        "tweet_ids",
        "id_column",
        "shard",
        "engagement_types",
        "groupings",
        "max_missing_share",
        "max_snapshot_age",
        "plan_only",
        "engagement_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "tweet_ids": "json",
        "engagement_types": "json",
        "groupings": "json",
    }
    ui_color = "#e8f5fd"

    _execution: PullExecution | None = None

    def __init__(
        self,
        *,
        endpoint: str,
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        engagement_types: EngagementTypes = None,
        granularity: str | None = None,
        groupings: Groupings = None,
        incomplete: str = "keep",
        max_missing_share: Share = 1.0,
        max_snapshot_age: Duration = MAX_SNAPSHOT_AGE,
        plan_only: Flag = False,
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        retries: int = DefaultsWhenMapped.default_retries,
        retry_policy: Any = DEFAULT_RETRY_POLICY,
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, **retry_policy_kwargs(retry_policy), **kwargs)
        refuse_empty_list(self, tweet_ids)
        _check_granularity(endpoint, granularity)
        check_one_of(incomplete, ("keep", "drop"), name="incomplete")
        self.endpoint = endpoint
        self.tweet_ids = tweet_ids
        self.id_column = id_column
        self.shard = shard
        self.engagement_types = engagement_types
        self.granularity = granularity
        self.groupings = groupings
        self.incomplete = incomplete
        self.max_missing_share = max_missing_share
        self.max_snapshot_age = max_snapshot_age
        self.plan_only = plan_only
        self.engagement_conn_id = engagement_conn_id

    def destination(self) -> Destination:
        """Return where the rows go. Subclasses implement it."""
        raise NotImplementedError

    def window_parameters(self) -> WindowParameters:
        """Return the parameters that choose the window; none on endpoints that take no window."""
        from airflow_provider_engagement.operators.run_window import WindowParameters

        return WindowParameters()

    def read_tweet_ids(self) -> list[str]:
        """Read the collection that ``tweet_ids`` holds or names."""
        from airflow_provider_engagement.hooks.storage import read_tweet_ids

        return read_tweet_ids(self.tweet_ids, id_column=self.chosen_id_column)

    @property
    def chosen_id_column(self) -> str | None:
        """The column of the ids that was chosen; None to go by the known names."""
        from airflow_provider_engagement.operators.coercion import or_default

        chosen = or_default(self.id_column, None)
        return None if chosen is None else str(chosen)

    def execute(self, context: Context) -> Any:
        """Pull, and write all rows or none.

        :returns: ``{"table" or "uris", "rows", "window"}``; the XCom ``summary`` holds the rest.
        """
        began = time.monotonic()
        from airflow_provider_engagement.operators.execution import PullExecution

        self._execution = PullExecution(self, context, began)
        with fail_for_good():
            return self._execution.run()

    def on_kill(self) -> None:
        """Cancel what runs outside this process, such as a BigQuery job."""
        if self._execution is not None:
            self._execution.cancel()

    def get_openlineage_facets_on_complete(self, _task_instance: Any) -> Any:
        """Return what was read and written; OpenLineage's provider calls this after the task."""
        from airflow_provider_engagement.operators import reporting

        return reporting.openlineage_facets(self._execution.lineage if self._execution else None)


@contextmanager
def fail_for_good() -> Iterator[None]:
    """Fail the task without a retry, where the error is one that no retry can mend.

    :raises AirflowFailException: instead of such an error.
    """
    try:
        yield
    except EngagementError as error:
        if error.retryable:
            raise
        raise AirflowFailException(str(error)) from error


def refuse_empty_list(operator: BaseOperator, value: object, *, name: str = "tweet_ids") -> None:
    """Refuse an empty list when the DAG is parsed.

    Mapped tasks are created at run time, when an empty list is valid.

    :param operator: the operator.
    :param value: its parameter.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is an empty list.
    """
    mapped = getattr(operator, "_BaseOperator__from_mapped", False)
    if not mapped and isinstance(value, (list, tuple)) and not value:
        msg = f"{name} is an empty list: this task would have nothing to do."
        raise InvalidArgumentError(msg)


def refuse_two_windows(operator: Any) -> None:
    """Refuse ``since_posting`` together with another window when the DAG is parsed.

    Text is checked when the task runs, because a template in it may render to no value.

    :param operator: an operator that has these parameters.
    :raises InvalidArgumentError: if both are given.
    """
    given = [
        name
        for name in ("start", "end", "lookback")
        if isinstance(getattr(operator, name), (date, timedelta))
    ]
    if given and isinstance(operator.since_posting, timedelta):
        from airflow_provider_engagement.operators.run_window import two_windows

        raise two_windows(given)


def _check_granularity(endpoint: str, granularity: str | None) -> None:
    """Refuse a wrong granularity when the DAG is parsed: neither parameter is templated."""
    choices: Mapping[str, Any] = GRANULARITIES.get(EndpointName(endpoint), {})
    if granularity is not None and granularity not in choices:
        msg = (
            f"granularity is {granularity!r}; on {endpoint} it must be one of: "
            f"{', '.join(choices)}."
        )
        raise InvalidArgumentError(msg)
