"""Sample rows, coverage and errors of BigQuery for the tests of sinks."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import requests
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GoogleAPICallError,
    InternalServerError,
)

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


def failure(reason: str, text: str) -> GoogleAPICallError:
    """Return the error of a failed job: the reason decides the status."""
    kind = {"rateLimitExceeded": Forbidden, "invalidQuery": BadRequest, "accessDenied": Forbidden}
    return kind.get(reason, InternalServerError)(text, errors=[{"reason": reason}])


ABORTED = failure(
    "invalidQuery",
    "Query error: Transaction is aborted due to concurrent update against table p:d.counts. "
    "Transaction ID: 68381985-0000-235c-aa1e-089e0822be6c at [4:1]",
)
SERIALIZE = failure(
    "invalidQuery", "Could not serialize access to table p:d.counts due to concurrent update"
)
OUTSTANDING = failure(
    "resourcesExceeded",
    "Resources exceeded during query execution: Too many DML statements outstanding against "
    "table p:d.counts, limit is 20.",
)
TYPO = failure("invalidQuery", "Syntax error: Unexpected identifier at [1:1]")
OVER_LIMIT = failure(
    "bytesBilledLimitExceeded",
    "Query exceeded limit for bytes billed: 1000000. 20971520 or higher required.",
)


class Recording:
    """A client that records its calls."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._client, name)
        if not callable(real):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append((name, args, kwargs))
            return real(*args, **kwargs)

        return call

    def count(self, name: str) -> int:
        return sum(called == name for called, _, _ in self.calls)


class Refusing:
    """A client that fails at some calls."""

    def __init__(self, client: Any, **errors: list[Exception]) -> None:
        self._client = client
        self._errors = errors

    def __getattr__(self, name: str) -> Any:
        if self._errors.get(name):
            error = self._errors[name].pop(0)

            def fail(*_: Any, **__: Any) -> None:
                raise error

            return fail
        return getattr(self._client, name)


def http_response(method: str, url: str, status: int, body: object) -> requests.Response:
    """Return what Google's clients receive for a request."""
    response = requests.Response()
    response.request = requests.Request(method, url).prepare()
    response.status_code = status
    response.raw = io.BytesIO(json.dumps(body).encode())
    response.headers["content-type"] = "application/json"
    return response
