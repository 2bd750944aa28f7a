"""What one request brought."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from airflow_provider_engagement.rows.schema import LONG, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_engagement.api.query import PlannedRequest

__all__ = ["NO_ROWS", "RequestResult"]

NO_ROWS: Final = arrow_schema(LONG).empty_table()


@dataclass(slots=True)
class RequestResult:
    """What one request brought: rows, and what happened to its Tweets.

    :param request: the request.
    :param rows: final rows, in the long layout.
    :param partial_sums: rows that are summed with those of other requests.
    :param counted: ids that have at least one count.
    :param unavailable: ids that are deleted, protected or suspended.
    :param forbidden: ids that belong to another account.
    :param unresolved: ids of batches that were refused, and not narrowed down within bounds.
    :param unsupported: by id, the types that the service lists as unsupported.
    :param missing: by id, types of the request that the response does not contain; under None
        those of sums over all Tweets.
    :param unrequested: how many counts the response has that the request did not ask for.
    :param resumed: whether an earlier try of the task fetched it.
    """

    request: PlannedRequest
    rows: pa.Table = field(default_factory=lambda: NO_ROWS)
    partial_sums: pa.Table = field(default_factory=lambda: NO_ROWS)
    counted: set[str] = field(default_factory=set)
    unavailable: set[str] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    unresolved: set[str] = field(default_factory=set)
    unsupported: dict[str, frozenset[str]] = field(default_factory=dict)
    missing: dict[str | None, frozenset[str]] = field(default_factory=dict)
    unrequested: int = 0
    resumed: bool = False

    def add_missing(self, tweet_id: str | None, types: Collection[str]) -> None:
        """Record types that the response does not contain."""
        self.missing[tweet_id] = self.missing.get(tweet_id, frozenset()).union(types)

    def merge(self, other: RequestResult) -> None:
        """Add what a part of the same request brought."""
        self.rows = pa.concat_tables([self.rows, other.rows])
        self.partial_sums = pa.concat_tables([self.partial_sums, other.partial_sums])
        self.counted |= other.counted
        self.unavailable |= other.unavailable
        self.forbidden |= other.forbidden
        self.unresolved |= other.unresolved
        self.unsupported |= other.unsupported
        self.unrequested += other.unrequested
        for tweet_id, types in other.missing.items():
            self.add_missing(tweet_id, types)
