"""What one request of a pull brought."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.schema import LONG, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_provider_engagement.api.client import Asked
    from airflow_provider_engagement.api.plan import PlannedRequest
    from airflow_provider_engagement.api.response import EngagementResponse
    from airflow_provider_engagement.rows.flatten import Flattened

__all__ = ["NO_ROWS", "Fetched"]

NO_ROWS: Final = arrow_schema(LONG).empty_table()


@dataclass(slots=True)
class Fetched:
    """What one request brought.

    :param request: the request.
    :param asked: what became of its Tweets.
    :param rows: rows that stand as they are.
    :param parts: rows that are summed with those of other requests.
    :param seen: ids that have a count.
    :param unsupported: by id, the types that the service lists as unsupported.
    :param lacking: by id, the types that an answer does not speak of, though they were asked for;
        under None those of sums over all Tweets.
    :param strangers: counts that were never asked for.
    :param kept: whether an earlier try of the task got it.
    """

    request: PlannedRequest
    asked: Asked
    rows: pa.Table = field(default_factory=lambda: NO_ROWS)
    parts: pa.Table = field(default_factory=lambda: NO_ROWS)
    seen: set[str] = field(default_factory=set)
    unsupported: dict[str, frozenset[str]] = field(default_factory=dict)
    lacking: dict[str | None, frozenset[str]] = field(default_factory=dict)
    strangers: int = 0
    kept: bool = False

    def add(self, flat: Flattened, answer: EngagementResponse) -> None:
        """Note what stands in an answer beside its rows."""
        self.seen |= flat.seen
        self.strangers += flat.strangers
        self.unsupported.update(answer.unsupported)
        for whom, types in flat.lacking.items():
            self.lacking[whom] = self.lacking.get(whom, frozenset()) | types
