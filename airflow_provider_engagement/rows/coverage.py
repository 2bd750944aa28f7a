"""What became of every id that was asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_engagement.api.window import Window

__all__ = ["Coverage", "Status", "TweetOutcome"]

_EXAMPLES: Final = 20


class Status(StrEnum):
    """What became of an id, the best first."""

    ANSWERED = "answered"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    UNANSWERED = "unanswered"


_BADNESS: Final = {status: badness for badness, status in enumerate(Status)}


@dataclass(frozen=True, slots=True)
class TweetOutcome:
    """What became of one id.

    :param status: in a word.
    :param reason: why something is missing; None where nothing is.
    :param access: with whose eyes it was counted; None where it was not.
    :param missing_types: types that were asked for and not given.
    :param lacking_types: those of them that the answer just did not speak of: a later one may.
    """

    status: Status
    reason: str | None = None
    access: Access | None = None
    missing_types: tuple[str, ...] = ()
    lacking_types: tuple[str, ...] = ()


def _both(one: TweetOutcome, other: TweetOutcome) -> TweetOutcome:
    """Give what is missing in either of two fates of the same status."""
    return replace(
        one,
        reason=one.reason or other.reason,
        missing_types=_union(one.missing_types, other.missing_types),
        lacking_types=_union(one.lacking_types, other.lacking_types),
    )


def _union(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *others)))


@dataclass(slots=True)
class Coverage:
    """The fates of a collection.

    :param tweet_ids: every id asked for, in its order.
    :param fates: what became of each, by id.
    :param gone: ids that are known by now to give nothing to the connection's access.
    :param torn: ids that some requests gave counts of, and others did not.
    """

    tweet_ids: Sequence[str]
    outcomes: dict[str, TweetOutcome] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    torn: set[str] = field(default_factory=set)

    def add(self, tweet_id: str, fate: TweetOutcome) -> None:
        """Say what one request gave of an id; over several requests the worst stands."""
        known = self.outcomes.setdefault(tweet_id, fate)
        if known is not fate and known != fate:
            if fate.status is known.status:
                self.outcomes[tweet_id] = _both(known, fate)
            else:
                self.torn.add(tweet_id)
                if _BADNESS[fate.status] > _BADNESS[known.status]:
                    self.outcomes[tweet_id] = fate
        if fate.status in {Status.UNAVAILABLE, Status.FORBIDDEN}:
            self.gone.add(tweet_id)

    def settle(self, tweet_ids: Iterable[str], fate: TweetOutcome) -> None:
        """Say what became of some ids. A later word stands over an earlier one."""
        self.outcomes.update(dict.fromkeys(tweet_ids, fate))

    def count(self, status: Status) -> int:
        """Count the ids of one status."""
        return sum(fate.status is status for fate in self.outcomes.values())

    def with_status(self, status: Status) -> set[str]:
        """Give the ids of one status."""
        return {tweet_id for tweet_id, fate in self.outcomes.items() if fate.status is status}

    def describe(self) -> dict[str, object]:
        """Tell it in figures, with some examples of each kind that is not whole.

        The size does not grow with the number of ids.
        """
        statuses = Counter(str(fate.status) for fate in self.outcomes.values())
        notes: dict[str, list[str]] = {}
        reasons: Counter[str] = Counter()
        for tweet_id, fate in self.outcomes.items():
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
                for fate in self.outcomes.values()
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
        period: Window | None,
        collected_at: datetime,
    ) -> pa.Table:
        """Give the rows of the coverage table.

        :param span: the range that was pulled; None for counts to date, which ``snapshot_at``
            dates.
        """
        outcomes = [self.outcomes[tweet_id] for tweet_id in self.tweet_ids]
        constant: Mapping[str, object] = {
            "account": account,
            "endpoint": str(endpoint),
            "date": (period.start if period else snapshot_at).date(),
            "window_start": period.start if period else None,
            "window_end": period.end if period else None,
            "snapshot_at": None if period else snapshot_at,
            "collected_at": collected_at,
        }
        varying: Mapping[str, list[str | None]] = {
            "tweet_id": list(self.tweet_ids),
            "status": [str(fate.status) for fate in outcomes],
            "access": [None if fate.access is None else str(fate.access) for fate in outcomes],
            "reason": [fate.reason for fate in outcomes],
            "missing_types": [",".join(fate.missing_types) or None for fate in outcomes],
        }
        schema = arrow_schema(COVERAGE)
        arrays = [
            pa.array(varying[column.name], type=column.type)
            if column.name in varying
            else pa.repeat(pa.scalar(constant.get(column.name), type=column.type), len(outcomes))
            for column in schema
        ]
        return pa.table(arrays, schema=schema)
