"""What happened to every id that was requested."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.rows.schema import COVERAGE, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
    from airflow_provider_engagement.rows.flatten import RequestResult

__all__ = ["Coverage", "Status", "TweetOutcome"]

_MAX_EXAMPLES: Final = 20

# Rows of the coverage that are in memory at once.
_ROWS_AT_ONCE: Final = 65_536

_TOO_OLD: Final = "too old for some types"
_CREATED_LATER: Final = "created after the requested window"
_BEFORE_HISTORY: Final = "posted before the days that the service holds"
_TOO_YOUNG: Final = "no hour has ended since it was posted"
_UNSUPPORTED: Final = "the service lists it as unsupported for some types"
_UNAVAILABLE: Final = "deleted, protected or suspended"
_FOREIGN: Final = "belongs to another account"
_FOREIGN_PUBLIC: Final = "belongs to another account: public counts only"
_UNRESOLVED: Final = "refused together with other Tweets, and not narrowed down within bounds"
_ABSENT: Final = "absent from the response"
_PARTLY_ABSENT: Final = "some types are absent from the response"


class Status(StrEnum):
    """What happened to an id, the best first."""

    ANSWERED = "answered"
    UNSUPPORTED = "unsupported"
    UNAVAILABLE = "unavailable"
    FORBIDDEN = "forbidden"
    UNANSWERED = "unanswered"


_RANK: Final = {status: rank for rank, status in enumerate(Status)}


@dataclass(frozen=True, slots=True)
class TweetOutcome:
    """What happened to one id.

    :param status: in one word.
    :param reason: why counts are missing; None if none are.
    :param access: the access that it was counted with; None if it was not.
    :param missing_types: requested types that have no count.
    :param absent_types: those of them that the response does not mention: a later one may.
    """

    status: Status
    reason: str | None = None
    access: Access | None = None
    missing_types: tuple[str, ...] = ()
    absent_types: tuple[str, ...] = ()

    def combined_with(self, other: TweetOutcome) -> TweetOutcome:
        """Return an outcome of the same status that misses what either of both misses."""
        return replace(
            self,
            reason=self.reason or other.reason,
            missing_types=_union(self.missing_types, other.missing_types),
            absent_types=_union(self.absent_types, other.absent_types),
        )


# A million Tweets share a few outcomes, so that each costs a reference and no object.
_outcome: Final = lru_cache(maxsize=4096)(TweetOutcome)


def _union(some: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *others)))


@dataclass(slots=True)
class Coverage:
    """The outcomes of a collection.

    :param tweet_ids: every requested id, in its order.
    :param outcomes: what happened to each, by id.
    :param unavailable: ids that are known by now to have no counts for the connection's access.
    :param inconsistent: ids that some requests have counts of, and others do not.
    """

    tweet_ids: Sequence[str]
    outcomes: dict[str, TweetOutcome] = field(default_factory=dict)
    unavailable: set[str] = field(default_factory=set)
    inconsistent: set[str] = field(default_factory=set)

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Read the outcomes from rows of the coverage table."""
        columns = ("tweet_id", "status", "reason", "access", "missing_types")
        rows = list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))
        outcomes = {
            tweet_id: _outcome(
                Status(status),
                reason,
                access and Access(access),
                tuple(types.split(",")) if types else (),
            )
            for tweet_id, status, reason, access, types in rows
        }
        return cls(list(outcomes), outcomes)

    def record_plan(self, plan: Plan) -> None:
        """Record the Tweets that the plan sends no request for."""
        types = plan.query.engagement_types
        if plan.since_posting is None:
            old_reason, young_reason = _TOO_OLD, _CREATED_LATER
        else:
            old_reason, young_reason = _BEFORE_HISTORY, _TOO_YOUNG
        too_old = _outcome(Status.UNSUPPORTED, old_reason, None, types)
        too_young = _outcome(Status.UNSUPPORTED, young_reason, None, types)
        old = [item for item, skipped in plan.too_old.items() if set(types).issubset(skipped)]
        self.outcomes.update(dict.fromkeys(old, too_old))
        self.outcomes.update(dict.fromkeys(plan.too_young, too_young))

    def record(self, result: RequestResult, plan: Plan) -> None:
        """Record what happened to the Tweets of one request.

        The result of an app-only request for a foreign Tweet replaces the earlier outcome.
        """
        replaces = result.request.access is not plan.query.access
        for tweet_id in result.request.tweet_ids:
            outcome = _outcome_of(tweet_id, result, plan)
            if replaces:
                self.outcomes[tweet_id] = outcome
            else:
                self.add(tweet_id, outcome)

    def add(self, tweet_id: str, outcome: TweetOutcome) -> None:
        """Record the outcome of one request. Of several, the worst remains."""
        known = self.outcomes.setdefault(tweet_id, outcome)
        if known is not outcome and known != outcome:
            if outcome.status is known.status:
                self.outcomes[tweet_id] = known.combined_with(outcome)
            else:
                self.inconsistent.add(tweet_id)
                if _RANK[outcome.status] > _RANK[known.status]:
                    self.outcomes[tweet_id] = outcome
        if outcome.status in {Status.UNAVAILABLE, Status.FORBIDDEN}:
            self.unavailable.add(tweet_id)

    def count(self, status: Status) -> int:
        """Return how many ids have a status."""
        return sum(outcome.status is status for outcome in self.outcomes.values())

    def with_status(self, status: Status) -> list[str]:
        """Return the ids that have a status, in their order."""
        return [item for item in self.tweet_ids if self.outcomes[item].status is status]

    def describe(self) -> dict[str, object]:
        """Return the figures, with some examples of each reason. It is small at any size."""
        statuses = Counter(str(outcome.status) for outcome in self.outcomes.values())
        examples: dict[str, list[str]] = {}
        reasons: Counter[str] = Counter()
        for tweet_id, outcome in self.outcomes.items():
            if outcome.reason is None:
                continue
            reasons[outcome.reason] += 1
            shown = examples.setdefault(outcome.reason, [])
            if len(shown) < _MAX_EXAMPLES:
                shown.append(tweet_id)
        return {
            "asked": len(self.tweet_ids),
            **{str(status): statuses[status] for status in Status},
            "answered_public_only": sum(
                outcome.access is Access.PUBLIC and bool(outcome.missing_types)
                for outcome in self.outcomes.values()
            ),
            "reasons": [
                {"reason": reason, "tweets": count, "examples": examples[reason]}
                for reason, count in reasons.most_common()
            ],
        }

    def tables(
        self,
        *,
        account: str,
        endpoint: EndpointName,
        period: ReportingPeriod,
        collected_at: datetime,
    ) -> Iterator[pa.Table]:
        """Yield the rows of the coverage table, some ten thousand at a time.

        :param account: the owner.
        :param endpoint: the endpoint.
        :param period: what the pull is about.
        :param collected_at: when the pull ended, UTC.
        """
        window = period.period
        constants: Mapping[str, object] = {
            "account": account,
            "endpoint": str(endpoint),
            "date": (window.start if window else period.snapshot_at).date(),
            "window_start": window.start if window else None,
            "window_end": window.end if window else None,
            "snapshot_at": None if window else period.snapshot_at,
            "collected_at": collected_at,
        }
        for start in range(0, len(self.tweet_ids), _ROWS_AT_ONCE):
            yield self._table(self.tweet_ids[start : start + _ROWS_AT_ONCE], constants)

    def _table(self, tweet_ids: Sequence[str], constants: Mapping[str, object]) -> pa.Table:
        outcomes = [self.outcomes[tweet_id] for tweet_id in tweet_ids]
        varying: Mapping[str, Iterable[str | None]] = {
            "tweet_id": tweet_ids,
            "status": [str(outcome.status) for outcome in outcomes],
            "access": [outcome.access and str(outcome.access) for outcome in outcomes],
            "reason": [outcome.reason for outcome in outcomes],
            "missing_types": [",".join(outcome.missing_types) or None for outcome in outcomes],
        }
        schema = arrow_schema(COVERAGE)
        arrays = [
            pa.array(varying[column.name], type=column.type)
            if column.name in varying
            else pa.repeat(pa.scalar(constants.get(column.name), type=column.type), len(outcomes))
            for column in schema
        ]
        return pa.table(arrays, schema=schema)


def _outcome_of(tweet_id: str, result: RequestResult, plan: Plan) -> TweetOutcome:
    wanted = plan.query.engagement_types
    for ids, status, reason in (
        (result.unavailable, Status.UNAVAILABLE, _UNAVAILABLE),
        (result.forbidden, Status.FORBIDDEN, _FOREIGN),
        (result.unresolved, Status.UNANSWERED, _UNRESOLVED),
    ):
        if tweet_id in ids:
            return _outcome(status, reason, None, wanted)
    unsupported = result.unsupported.get(tweet_id, frozenset())
    absent = result.missing.get(tweet_id, frozenset())
    if tweet_id not in result.counted:
        if unsupported and not absent:
            return _outcome(Status.UNSUPPORTED, _UNSUPPORTED, None, wanted)
        return _outcome(Status.UNANSWERED, _ABSENT, None, wanted)
    return _answered(
        result.request.access, result.request.engagement_types, unsupported, absent, plan
    )


def _answered(
    access: Access,
    requested: Sequence[str],
    unsupported: frozenset[str],
    absent: frozenset[str],
    plan: Plan,
) -> TweetOutcome:
    wanted = plan.query.engagement_types
    missing = tuple(
        name for name in wanted if name in unsupported or name in absent or name not in requested
    )
    reason = None
    if missing:
        reason = _PARTLY_ABSENT if absent else _UNSUPPORTED if unsupported else _TOO_OLD
    if access is Access.PUBLIC and plan.query.access is Access.OWNER:
        reason = _FOREIGN_PUBLIC
    absent_types = tuple(name for name in missing if name in absent)
    return _outcome(Status.ANSWERED, reason, access, missing, absent_types)
