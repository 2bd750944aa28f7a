"""The columns of rows and coverage, with their types in BigQuery and in Arrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES

__all__ = [
    "BIGQUERY_TO_ARROW",
    "COVERAGE",
    "COVERAGE_KEY",
    "LONG",
    "LONG_KEY",
    "WIDE",
    "WIDE_KEY",
    "Column",
    "arrow_schema",
]

BIGQUERY_TO_ARROW: Final = {
    "STRING": pa.string(),
    "INT64": pa.int64(),
    "BOOL": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    :param name: the name.
    :param type: the BigQuery type.
    :param required: whether the column is never null.
    :param description: what the column holds. BigQuery stores it with the table.
    :param repeated: whether the column holds an array of that type.
    """

    name: str
    type: str
    required: bool
    description: str
    repeated: bool = False


LONG: Final = (
    Column("account", "STRING", True, "The account of the connection."),
    Column("access", "STRING", True, "owner, or public if the count was fetched app-only."),
    Column("endpoint", "STRING", True, "totals, 28hr or historical."),
    Column("grouping", "STRING", True, "The canonical group_by, joined with /."),
    Column("tweet_id", "STRING", False, "The Tweet, as text. Null for totals of all Tweets."),
    Column("engagement_type", "STRING", False, "The type. Null for sums of all types."),
    Column("granularity", "STRING", True, "lifetime, window, day, hour or hour_of_day."),
    Column("date", "DATE", True, "UTC date of snapshot_at, or else of period_start."),
    Column("period_start", "TIMESTAMP", False, "UTC. Null for lifetime."),
    Column("period_end", "TIMESTAMP", False, "UTC, exclusive. Null for lifetime."),
    Column("hour_of_day", "INT64", False, "0 to 23. Only for granularity hour_of_day."),
    Column("snapshot_at", "TIMESTAMP", False, "The time of a snapshot. Null for days and hours."),
    Column("value", "INT64", True, "The count. Can be negative: the API corrects counts."),
    Column("complete", "BOOL", True, "Whether the period had ended and was wholly covered."),
    Column("tweet_created_at", "TIMESTAMP", False, "From the id. Null before 2010-11-04."),
    Column("collected_at", "TIMESTAMP", True, "When the API responded."),
)

# Two long rows with the same key are the same count. `endpoint` matters only for `lifetime` and
# `window`, so that 28hr and historical share their hours: see sinks/bigquery/rows.py.
LONG_KEY: Final = (
    "account",
    "endpoint",
    "grouping",
    "tweet_id",
    "engagement_type",
    "granularity",
    "date",
    "period_start",
    "period_end",
    "hour_of_day",
    "snapshot_at",
)

_VALUE: Final = [column.name for column in LONG].index("value")

# One row per Tweet and period. A column per type replaces engagement_type and value.
WIDE: Final = (
    *(column for column in LONG[:_VALUE] if column.name != "engagement_type"),
    *(
        Column(name, "INT64", False, f"The count of {name}. Null if the API did not return it.")
        for name in ENGAGEMENT_TYPES
    ),
    *LONG[_VALUE + 1 :],
)
WIDE_KEY: Final = tuple(name for name in LONG_KEY if name != "engagement_type")

COVERAGE: Final = (
    Column("account", "STRING", True, "The account of the connection."),
    Column("endpoint", "STRING", True, "totals, 28hr or historical."),
    Column("date", "DATE", True, "UTC date of window_start, or of snapshot_at."),
    Column("window_start", "TIMESTAMP", False, "Start of the window that was requested."),
    Column("window_end", "TIMESTAMP", False, "End of the window that was requested, exclusive."),
    Column("snapshot_at", "TIMESTAMP", False, "The time of a snapshot. Null for a window."),
    Column("tweet_id", "STRING", True, "The requested id, as text."),
    Column(
        "status",
        "STRING",
        True,
        "answered, unavailable, forbidden, unsupported or unanswered.",
    ),
    Column("access", "STRING", False, "owner or public. Null if nothing was answered."),
    Column("reason", "STRING", False, "Why counts are missing. Null if all are present."),
    Column("missing_types", "STRING", False, "Types without a count, joined with commas."),
    Column("collected_at", "TIMESTAMP", True, "When the pull ended."),
)

COVERAGE_KEY: Final = (
    "account",
    "endpoint",
    "date",
    "window_start",
    "window_end",
    "snapshot_at",
    "tweet_id",
)


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the Arrow schema of some columns."""
    return pa.schema(
        pa.field(column.name, BIGQUERY_TO_ARROW[column.type], nullable=not column.required)
        for column in columns
    )
