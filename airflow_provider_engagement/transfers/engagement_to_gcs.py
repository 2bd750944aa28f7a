"""From the Engagement API to objects in Google Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.operators.parameters import ENGAGEMENT_CONN_ID, MAX_SNAPSHOT_AGE
from airflow_provider_engagement.transfers.base import EngagementTransfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.destination import Destination
    from airflow_provider_engagement.operators.parameters import (
        DateTimeLike,
        Duration,
        Endpoint,
        EngagementTypes,
        FileFormat,
        Flag,
        Granularity,
        Groupings,
        Incomplete,
        Layout,
        Share,
        TaskParameters,
        Text,
        TextList,
        TweetIds,
    )

__all__ = ["EngagementToGCSOperator"]

_FORMATS = ("parquet", "jsonl", "jsonl.gz")
_DEFAULT_PREFIX = "engagement"


class EngagementToGCSOperator(EngagementTransfer):
    """Pulls engagement counts into a bucket.

    The objects belong to their task: they lie in
    ``{object_prefix}/{endpoint}/{account}/{snapshot}/{task hash}/``, parts first, then the status
    of every id, and last ``manifest.json``, which says that the folder is complete. A re-run owns
    exactly that folder. The folder of a mapped task's instance is named by what the instance asks,
    not by its map index; that of a shard ends with it, such as ``-2-of-8``. A snapshot of counts to
    date is taken once: where the folder already holds it, nothing is asked.

    :param bucket: the bucket's name (templated).
    :param object_prefix: the folder to write below (templated); ``"/"`` for the bucket itself.
    :param file_format: ``"parquet"``, ``"jsonl"`` or ``"jsonl.gz"``.

    The other parameters are those of :class:`EngagementTransfer` and of every pull.
    """

    template_fields: Sequence[str] = (
        *EngagementTransfer.template_fields,
        "bucket",
        "object_prefix",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint = "totals",
        tweet_ids: TweetIds,
        id_column: Text | None = None,
        shard: Text | None = None,
        bucket: Text,
        object_prefix: Text = _DEFAULT_PREFIX,
        file_format: FileFormat = "parquet",
        layout: Layout = "long",
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
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        check_one_of(file_format, _FORMATS, name="file_format")
        super().__init__(
            endpoint=endpoint,
            tweet_ids=tweet_ids,
            id_column=id_column,
            shard=shard,
            layout=layout,
            engagement_types=engagement_types,
            granularity=granularity,
            groupings=groupings,
            start=start,
            end=end,
            lookback=lookback,
            since_posting=since_posting,
            incomplete=incomplete,
            max_missing_share=max_missing_share,
            max_snapshot_age=max_snapshot_age,
            plan_only=plan_only,
            engagement_conn_id=engagement_conn_id,
            gcp_conn_id=gcp_conn_id,
            impersonation_chain=impersonation_chain,
            **kwargs,
        )
        self.bucket = bucket
        self.object_prefix = object_prefix
        self.file_format = file_format

    def destination(self) -> Destination:
        """Return the task's folder."""
        from airflow_provider_engagement.operators.coercion import or_default
        from airflow_provider_engagement.transfers.destinations import GcsDestination

        return GcsDestination(
            bucket=str(self.bucket),
            object_prefix=str(or_default(self.object_prefix, _DEFAULT_PREFIX)),
            layout=self.layout,
            file_format=self.file_format,
            google_access=self.google_access,
        )
