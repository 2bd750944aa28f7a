"""The columns that we write: what each means, and its type in BigQuery and in Arrow."""

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
    """One column of a table that we write.

    :param name: its name.
    :param type: its BigQuery type.
    :param required: whether it is never null.
    :param description: what it holds; written to the table as well.
    """

    name: str
    type: str
    required: bool
    description: str


LONG: Final = (
    Column("account", "STRING", True, "The owner whose connection asked."),
    Column("access", "STRING", True, "owner, or public where it was fetched app-only."),
    Column("endpoint", "STRING", True, "totals, 28hr or historical."),
    Column("grouping", "STRING", True, "The canonical group_by, joined with /."),
    Column("tweet_id", "STRING", False, "Null for grand totals."),
    Column("engagement_type", "STRING", False, "Null where the grouping sums types."),
    Column("granularity", "STRING", True, "lifetime, window, day, hour or hour_of_day."),
    Column("date", "DATE", True, "UTC date of period_start, or of snapshot_at where there is one."),
    Column("period_start", "TIMESTAMP", False, "UTC; null for lifetime."),
    Column("period_end", "TIMESTAMP", False, "UTC, exclusive; null for lifetime."),
    Column("hour_of_day", "INT64", False, "0 to 23, for granularity hour_of_day alone."),
    Column("snapshot_at", "TIMESTAMP", False, "The moment that a count to date stands for."),
    Column("value", "INT64", True, "The count. Signed: the service corrects itself."),
    Column("complete", "BOOL", True, "The period had ended and was wholly covered when answered."),
    Column("tweet_created_at", "TIMESTAMP", False, "From the id; null before 2010-11-04."),
    Column("collected_at", "TIMESTAMP", True, "When the service answered."),
)

# What makes two long rows the same count. `endpoint` counts only for counts to date (lifetime,
# window), so that 28hr and historical share their hours: data/merge.py knows how.
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

# One row a Tweet and period: the types side by side, all of them, in place of type and value.
WIDE: Final = (
    *(column for column in LONG[:_VALUE] if column.name != "engagement_type"),
    *(
        Column(name, "INT64", False, f"The count of {name}; null where it was not given.")
        for name in ENGAGEMENT_TYPES
    ),
    *LONG[_VALUE + 1 :],
)
WIDE_KEY: Final = tuple(name for name in LONG_KEY if name != "engagement_type")

COVERAGE: Final = (
    Column("account", "STRING", True, "The owner whose connection asked."),
    Column("endpoint", "STRING", True, "totals, 28hr or historical."),
    Column("date", "DATE", True, "UTC date of window_start, or of snapshot_at."),
    Column("window_start", "TIMESTAMP", False, "Start of the range that was pulled."),
    Column("window_end", "TIMESTAMP", False, "End of the range that was pulled, exclusive."),
    Column("snapshot_at", "TIMESTAMP", False, "The moment that counts to date stand for."),
    Column("tweet_id", "STRING", True, "The id asked for."),
    Column(
        "status",
        "STRING",
        True,
        "answered, unavailable, forbidden, unsupported or unanswered.",
    ),
    Column("access", "STRING", False, "owner or public; null where nothing was answered."),
    Column("reason", "STRING", False, "Why something is missing; null where nothing is."),
    Column("missing_types", "STRING", False, "Engagement types not given, joined with commas."),
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
    """Give the Arrow schema of a table's columns."""
    return pa.schema(
        pa.field(column.name, BIGQUERY_TO_ARROW[column.type], nullable=not column.required)
        for column in columns
    )
