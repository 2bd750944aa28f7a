"""Operators that pull counts and return them, or write them to one file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.operators.base import EngagementPullOperator, refuse_two_windows
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID, MAX_SNAPSHOT_AGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from airflow_provider_engagement.operators.destination import Destination
    from airflow_provider_engagement.operators.parameters import (
        DateTimeLike,
        Duration,
        EngagementTypes,
        Flag,
        Granularity,
        Groupings,
        Incomplete,
        Share,
        TaskParameters,
        Text,
        TweetIds,
    )
    from airflow_provider_engagement.operators.run_window import WindowParameters

__all__ = [
    "Engagement28HrOperator",
    "EngagementHistoricalOperator",
    "EngagementTotalsOperator",
]


class _FileOrXComOperator(EngagementPullOperator):
    """A pull that returns its rows, or writes them to one file.

    :param output_path: where to write the rows (templated).
    """

    template_fields: Sequence[str] = (*EngagementPullOperator.template_fields, "output_path")

    def __init__(self, *, output_path: Text | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_path = output_path
        self._output_template = output_path

    def destination(self) -> Destination:
        """Return the file, or the return value."""
        from airflow_provider_engagement.operators.coercion import or_default
        from airflow_provider_engagement.operators.destination import (
            FileDestination,
            XComDestination,
        )

        path = or_default(self.output_path, None)
        if path is None:
            return XComDestination()
        return FileDestination(str(path), template=self._output_template)


class EngagementTotalsOperator(_FileOrXComOperator):
    """Pulls the counts of Tweets to date, from ``/totals``.

    Seven types: ``impressions`` and ``engagements`` of the owner's own Tweets up to 90 days old,
    and ``favorites``, ``retweets``, ``replies``, ``quote_tweets`` and ``video_views`` of any
    public Tweet. Of Tweets that the owner does not own, the public counts are asked for app-only.

    :param output_path: where to write the rows (templated): an ``ObjectStoragePath`` URI ending in
        ``.parquet``, ``.jsonl`` or ``.jsonl.gz``. Without it up to 10,000 rows are returned, as a
        list of objects; a larger result fails before the first request.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    def __init__(
        self,
        *,
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        engagement_types: EngagementTypes = None,
        granularity: Literal["total"] | None = None,
        groupings: Groupings = None,
        incomplete: Incomplete = "keep",
        max_missing_share: Share = 1.0,
        max_snapshot_age: Duration = MAX_SNAPSHOT_AGE,
        plan_only: Flag = False,
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        output_path: Text | None = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(
            endpoint=EndpointName.TOTALS,
            tweet_ids=tweet_ids,
            id_column=id_column,
            shard=shard,
            engagement_types=engagement_types,
            granularity=granularity,
            groupings=groupings,
            incomplete=incomplete,
            max_missing_share=max_missing_share,
            max_snapshot_age=max_snapshot_age,
            plan_only=plan_only,
            engagement_conn_id=engagement_conn_id,
            output_path=output_path,
            **kwargs,
        )


class Engagement28HrOperator(_FileOrXComOperator):
    """Pulls the counts of the last 28 hours, from ``/28hr``: seventeen types of own Tweets.

    :param granularity: ``"hour"`` or ``"total"``.
    :param output_path: as for :class:`EngagementTotalsOperator`.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    def __init__(
        self,
        *,
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        engagement_types: EngagementTypes = None,
        granularity: Literal["hour", "total"] | None = None,
        groupings: Groupings = None,
        incomplete: Incomplete = "keep",
        max_missing_share: Share = 1.0,
        max_snapshot_age: Duration = MAX_SNAPSHOT_AGE,
        plan_only: Flag = False,
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        output_path: Text | None = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(
            endpoint=EndpointName.LAST_28_HOURS,
            tweet_ids=tweet_ids,
            id_column=id_column,
            shard=shard,
            engagement_types=engagement_types,
            granularity=granularity,
            groupings=groupings,
            incomplete=incomplete,
            max_missing_share=max_missing_share,
            max_snapshot_age=max_snapshot_age,
            plan_only=plan_only,
            engagement_conn_id=engagement_conn_id,
            output_path=output_path,
            **kwargs,
        )


class EngagementHistoricalOperator(_FileOrXComOperator):
    """Pulls the counts of any window, from ``/historical``: seventeen types of own Tweets.

    A window of any length is split into windows that the service accepts. No Tweet is asked for
    before it was created.

    :param granularity: ``"day"``, ``"hour"`` or ``"total"``.
    :param start: the first moment of the window (templated), of any precision: a datetime, a date,
        or ISO 8601 text. By default the run's partition, else its data interval.
    :param end: the first moment after the window (templated).
    :param lookback: how far to move the start back (templated), so that late corrections are
        pulled: a request costs the same for 1 day as for 28.
    :param since_posting: instead of ``start`` and ``end`` (templated): count each Tweet from its
        posting for this long, a timedelta or an ISO 8601 duration such as ``P28D``. For
        ``granularity`` ``"day"`` and ``"hour"``.
    :param output_path: as for :class:`EngagementTotalsOperator`.

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    template_fields: Sequence[str] = (
        *_FileOrXComOperator.template_fields,
        "start",
        "end",
        "lookback",
        "since_posting",
    )

    def __init__(
        self,
        *,
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        engagement_types: EngagementTypes = None,
        granularity: Granularity | None = None,
        groupings: Groupings = None,
        start: DateTimeLike = None,
        end: DateTimeLike = None,
        lookback: Duration = None,
        since_posting: Duration = None,
        incomplete: Incomplete = "keep",
        max_missing_share: Share = 1.0,
        max_snapshot_age: Duration = MAX_SNAPSHOT_AGE,
        plan_only: Flag = False,
        engagement_conn_id: Text = ENGAGEMENT_CONN_ID,
        output_path: Text | None = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        super().__init__(
            endpoint=EndpointName.HISTORICAL,
            tweet_ids=tweet_ids,
            id_column=id_column,
            shard=shard,
            engagement_types=engagement_types,
            granularity=granularity,
            groupings=groupings,
            incomplete=incomplete,
            max_missing_share=max_missing_share,
            max_snapshot_age=max_snapshot_age,
            plan_only=plan_only,
            engagement_conn_id=engagement_conn_id,
            output_path=output_path,
            **kwargs,
        )
        self.start = start
        self.end = end
        self.lookback = lookback
        self.since_posting = since_posting
        refuse_two_windows(self)

    def window_parameters(self) -> WindowParameters:
        """Return ``start``, ``end``, ``lookback`` and ``since_posting``."""
        from airflow_provider_engagement.operators.run_window import WindowParameters

        return WindowParameters(self.start, self.end, self.lookback, self.since_posting)
