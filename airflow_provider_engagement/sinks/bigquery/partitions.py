"""What the partitioning of an existing table means for a write."""

from __future__ import annotations

import logging
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from google.cloud import bigquery

    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = [
    "MAX_PARTITIONS",
    "check_no_partition_filter",
    "check_partition_filter",
    "max_days",
    "warn_of_expiration",
]

log = logging.getLogger(__name__)

MAX_PARTITIONS: Final = 4000
"""The partitions that one statement can change.

https://cloud.google.com/bigquery/quotas#partitioned_tables
"""

_HOURS: Final = 24


def max_days(table: bigquery.Table) -> int:
    """Return the number of days whose rows one statement can write.

    :param table: the table as BigQuery describes it.
    """
    partitioning = table.time_partitioning
    is_hourly = partitioning is not None and partitioning.type_ == "HOUR"
    return MAX_PARTITIONS // _HOURS if is_hourly else MAX_PARTITIONS


def check_partition_filter(table: bigquery.Table, name: TableName) -> None:
    """Refuse a table that requires a partition filter which a MERGE does not have.

    A MERGE filters the target by ``date`` with literals, which satisfies a table that is
    partitioned by ``date``. Statements that only insert or truncate need no filter.

    :param table: the table as BigQuery describes it.
    :param name: its name, for the message.
    :raises InvalidArgumentError: if it is partitioned by anything else.
    """
    if not _requires_filter(table):
        return
    partitioning = table.time_partitioning or table.range_partitioning
    column = getattr(partitioning, "field", None) or "_PARTITIONTIME"
    if column.lower() == "date":
        return
    message = (
        f"destination_table: {name} requires a partition filter on {column}, "
        "and an upsert filters by date."
    )
    advice = f"{_drop_requirement(name)} Or use a table that is partitioned by date."
    raise InvalidArgumentError(message, advice=advice)


def check_no_partition_filter(
    table: bigquery.Table, name: TableName, *, parameter: str = "destination_table"
) -> None:
    """Refuse a table that requires a partition filter, because all of it is read.

    :param table: the table as BigQuery describes it.
    :param name: its name, for the message.
    :param parameter: the parameter that names it.
    :raises InvalidArgumentError: if it requires a filter.
    """
    if _requires_filter(table):
        message = f"{parameter}: {name} requires a partition filter, and all of it is read."
        raise InvalidArgumentError(message, advice=_drop_requirement(name))


def warn_of_expiration(table: bigquery.Table, name: TableName, first_date: date) -> None:
    """Warn if BigQuery deletes some of the written rows at once, because their date has expired.

    :param table: the table as BigQuery describes it.
    :param name: its name, for the message.
    :param first_date: the first date that is written.
    """
    partitioning = table.time_partitioning
    if partitioning is None or partitioning.field != "date" or not partitioning.expiration_ms:
        return
    lifetime = timedelta(milliseconds=int(partitioning.expiration_ms))
    oldest = (datetime.now(UTC) - lifetime).date()
    if first_date < oldest:
        log.warning(
            "Partitions of %s expire after %.0f days: BigQuery deletes rows before %s, and this "
            "pull writes rows from %s on. To keep them, raise the table's "
            "partition_expiration_days.",
            name,
            lifetime / timedelta(days=1),
            oldest,
            first_date,
        )


def _drop_requirement(name: TableName) -> str:
    return (
        f"Drop the requirement: ALTER TABLE `{name}` SET OPTIONS (require_partition_filter = "
        "FALSE)."
    )


def _requires_filter(table: bigquery.Table) -> bool:
    # Older tables have the flag at their partitioning.
    older = table.to_api_repr().get("timePartitioning", {}).get("requirePartitionFilter")
    return bool(table.require_partition_filter or older)
