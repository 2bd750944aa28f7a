"""What became of every id that was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.data.schema import COVERAGE, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["Coverage", "Fate", "Status"]

_EXAMPLES: Final = 20


class Status(StrEnum):
    """What became of an id."""

    ANSWERED = "answered"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one id.

    :param status: in a word.
    :param reason: why something is missing; None where nothing is.
    :param access: with whose eyes it was counted; None where it was not.
    :param missing_types: types that were asked for and not given.
    """

    status: Status
    reason: str | None = None
    access: Access | None = None
    missing_types: tuple[str, ...] = ()


@dataclass(slots=True)
class Coverage:
    """The fates of a collection.

    :param tweet_ids: every id asked for, in its order.
    :param fates: what became of each, by id.
    """

    tweet_ids: Sequence[str]
    fates: dict[str, Fate] = field(default_factory=dict)

    def settle(self, tweet_ids: Iterable[str], fate: Fate) -> None:
        """Say what became of some ids. A later word stands over an earlier one."""
        self.fates.update(dict.fromkeys(tweet_ids, fate))

    def count(self, status: Status) -> int:
        """Count the ids of one status."""
        return sum(fate.status is status for fate in self.fates.values())

    @property
    def missing_share(self) -> float:
        """The share of ids that no count came for."""
        asked = len(self.tweet_ids)
        return 1 - self.count(Status.ANSWERED) / asked if asked else 0.0

    def describe(self) -> dict[str, object]:
        """Tell it in figures, with some examples of each kind that is not whole.

        The size does not grow with the number of ids.
        """
        statuses = Counter(str(fate.status) for fate in self.fates.values())
        notes: dict[str, list[str]] = {}
        reasons: Counter[str] = Counter()
        for tweet_id, fate in self.fates.items():
            if fate.reason is None:
                continue
            reasons[fate.reason] += 1
            examples = notes.setdefault(fate.reason, [])
            if len(examples) < _EXAMPLES:
                examples.append(tweet_id)
        return {
            "asked": len(self.tweet_ids),
            **{str(status): statuses[status] for status in Status},
            "answered_public_only": sum(
                fate.access is Access.PUBLIC and bool(fate.missing_types)
                for fate in self.fates.values()
            ),
            "reasons": [
                {"reason": reason, "tweets": count, "examples": notes[reason]}
                for reason, count in reasons.most_common()
            ],
        }

    def table(
        self,
        *,
        account: str,
        endpoint: EndpointName,
        snapshot_at: datetime,
        collected_at: datetime,
    ) -> pa.Table:
        """Give the rows of the coverage table."""
        fates = [self.fates[tweet_id] for tweet_id in self.tweet_ids]
        constant: Mapping[str, object] = {
            "account": account,
            "endpoint": str(endpoint),
            "date": snapshot_at.date(),
            "snapshot_at": snapshot_at,
            "collected_at": collected_at,
        }
        varying: Mapping[str, list[str | None]] = {
            "tweet_id": list(self.tweet_ids),
            "status": [str(fate.status) for fate in fates],
            "access": [None if fate.access is None else str(fate.access) for fate in fates],
            "reason": [fate.reason for fate in fates],
            "missing_types": [",".join(fate.missing_types) or None for fate in fates],
        }
        schema = arrow_schema(COVERAGE)
        arrays = [
            pa.array(varying[column.name], type=column.type)
            if column.name in varying
            else pa.repeat(pa.scalar(constant.get(column.name), type=column.type), len(fates))
            for column in schema
        ]
        return pa.table(arrays, schema=schema)
