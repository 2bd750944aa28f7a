"""Sample rows and coverage for the tests of sinks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
LATER = START + timedelta(hours=6)
EVEN_LATER = START + timedelta(hours=9, microseconds=123456)

_HOUR: dict[str, Any] = {
    "account": "acme",
    "access": "owner",
    "endpoint": "historical",
    "grouping": "tweet.id/engagement.type/engagement.day/engagement.hour",
    "tweet_id": "1994000000000000001",
    "engagement_type": "impressions",
    "granularity": "hour",
    "period_start": START,
    "period_end": START + timedelta(hours=1),
    "hour_of_day": None,
    "snapshot_at": None,
    "value": 1,
    "complete": True,
    "tweet_created_at": START - timedelta(days=3),
    "collected_at": LATER,
}
_LIFETIME: dict[str, Any] = _HOUR | {
    "endpoint": "totals",
    "grouping": "tweet.id/engagement.type",
    "granularity": "lifetime",
    "period_start": None,
    "period_end": None,
    "snapshot_at": START,
}
_COVERAGE: dict[str, Any] = {
    "account": "acme",
    "endpoint": "historical",
    "date": START.date(),
    "window_start": START,
    "window_end": START + timedelta(days=1),
    "snapshot_at": None,
    "tweet_id": "1994000000000000001",
    "status": "answered",
    "access": "owner",
    "reason": None,
    "missing_types": None,
    "collected_at": LATER,
}


def hour_row(**changes: Any) -> dict[str, Any]:
    """Return a row with the count of one hour."""
    return _dated(_HOUR | changes)


def lifetime_row(**changes: Any) -> dict[str, Any]:
    """Return a row with a lifetime count."""
    return _dated(_LIFETIME | changes)


def coverage_row(**changes: Any) -> dict[str, Any]:
    """Return a coverage row of one Tweet."""
    return _COVERAGE | changes


def rows_table(*rows: Mapping[str, Any]) -> pa.Table:
    """Return rows of the long layout as a table."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(LONG))


def coverage_table(*rows: Mapping[str, Any]) -> pa.Table:
    """Return coverage rows as a table."""
    return pa.Table.from_pylist(list(rows), schema=arrow_schema(COVERAGE))


def sorted_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows in a fixed order, so that tables can be compared."""
    return sorted(map(dict, rows), key=repr)


def _dated(row: dict[str, Any]) -> dict[str, Any]:
    moment = row["snapshot_at"] or row["period_start"] or START
    return {"date": moment.date(), **row}
