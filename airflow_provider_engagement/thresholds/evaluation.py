"""Compare observed counts with thresholds, whole columns at a time and without rounding."""

from __future__ import annotations

import json
import operator
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from airflow_provider_engagement.api.plan import utc_text
from airflow_provider_engagement.thresholds.rules import SUM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_engagement.thresholds.observation import Observation
    from airflow_provider_engagement.thresholds.parsing import Threshold
    from airflow_provider_engagement.thresholds.rules import Rule

    Flags = NDArray[np.bool_]

__all__ = ["Crossing", "Evaluation", "Verdict", "compare", "decide", "evaluate"]

_COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}

# The sensor returns an XCom, which is not a place for thousands of rows.
_MAX_RESULT_BYTES: Final = 9_000
_MAX_EXAMPLES: Final = 3

# Products of factors below this fit into 64 bits.
_MAX_FACTOR: Final = 2**31


@dataclass(frozen=True, slots=True)
class Crossing:
    """A Tweet, or the sum of the collection, beyond a threshold.

    :param tweet_id: the Tweet; None for the sum.
    :param threshold: the threshold; with ``match="all"`` all of them, joined with ``and``.
    :param value: the count or rate; with several thresholds, each by its metric.
    :param counts: the counts behind it, by engagement type.
    :param seen_at: when they were seen, UTC.
    """

    tweet_id: str | None
    threshold: str
    value: float | dict[str, float]
    counts: Mapping[str, int]
    seen_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return what an event says of it, ready for JSON."""
        return {
            "tweet_id": self.tweet_id,
            "threshold": self.threshold,
            "value": self.value,
            "seen_at": utc_text(self.seen_at),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An observation compared with the conditions of a rule.

    Its tables have a row for each Tweet, or one row for the sum of the collection, and a column
    for each condition.

    :param rule: the rule.
    :param observation: the counts of the collection.
    :param readings: for each condition, the reading of each of its thresholds.
    :param known: whether all counts that a condition needs were answered.
    :param crossed: whether a condition is met.
    :param reachable: whether a condition can be met by this or a later poll: for each of its
        thresholds some counts are available.
    """

    rule: Rule
    observation: Observation
    readings: Sequence[Sequence[_Reading]]
    known: Flags
    crossed: Flags
    reachable: Flags

    @property
    def keys(self) -> Sequence[str | None]:
        """The Tweet of each row; None for the sum."""
        return [None] if self.rule.require == SUM else self.observation.tweet_ids

    @property
    def met(self) -> int:
        """How many rows meet a condition."""
        return int(self.crossed.any(axis=1).sum())

    @property
    def can_meet(self) -> int:
        """How many rows can meet a condition, now or later."""
        return int(self.reachable.any(axis=1).sum())

    def crossing(self, row: int, column: int) -> Crossing:
        """Return one cell of the table as a crossing."""
        readings = self.readings[column]
        values = {one.threshold.metric: one.value(row) for one in readings}
        return Crossing(
            self.keys[row],
            str(self.rule.conditions[column]),
            next(iter(values.values())) if len(values) == 1 else values,
            {name: count for one in readings for name, count in one.counts_of(row).items()},
            self.observation.seen_at,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether enough Tweets have crossed, and whether they still can.

    :param crossings: the first crossings, as far as :meth:`to_dict` shows them.
    :param crossings_found: how many there are.
    :param crossed: how many Tweets meet a condition.
    :param needed: how many must.
    :param unreachable_reason: why so many never will; None while they can.
    """

    crossings: tuple[Crossing, ...]
    crossings_found: int
    crossed: int
    needed: int
    unreachable_reason: str | None = None

    @property
    def met(self) -> bool:
        """Whether enough Tweets have crossed."""
        return self.crossed >= self.needed

    def to_dict(self) -> dict[str, Any]:
        """Return what the sensor returns, below 10 kB whatever the number of crossings."""
        return {
            "crossed": self.crossed,
            "needed": self.needed,
            "crossings": [_with_counts(crossing) for crossing in self.crossings],
            "crossings_not_shown": self.crossings_found - len(self.crossings),
        }


def evaluate(rule: Rule, observation: Observation) -> Evaluation:
    """Compare each Tweet of an observation, or their sum, with the conditions of a rule."""
    read = _read_sum if rule.require == SUM else _read_each
    readings = [[read(one, observation) for one in c.thresholds] for c in rule.conditions]

    known = _table([[one.known for one in group] for group in readings])
    crossed = _table([[one.crossed for one in group] for group in readings])
    reachable = _table([[one.reachable for one in group] for group in readings])
    return Evaluation(rule, observation, readings, known, known & crossed, reachable)


def decide(rule: Rule, observation: Observation) -> Verdict:
    """Decide whether an observation of the whole collection is what is waited for."""
    found = evaluate(rule, observation)
    needed = rule.needed(len(observation.tweet_ids))
    cells = np.argwhere(found.crossed)
    possible = found.can_meet
    return Verdict(
        _as_many_as_fit(found, cells),
        len(cells),
        found.met,
        needed,
        None if possible >= needed else _unreachable_reason(found, needed, possible),
    )


def compare(threshold: Threshold, upper: NDArray[Any], lower: NDArray[Any] | None = None) -> Flags:
    """Compare counts, or rates of two counts, with the bound of a threshold.

    The comparison is exact, so that a rate on its bound is not missed by a rounding error:
    fractions are compared by their cross products, which are integers.

    :param upper: the counts; for a rate its numerators.
    :param lower: for a rate its denominators. A rate over zero is never crossed.
    """
    bound = threshold.exact_bound
    if lower is None:
        lower = np.ones_like(upper)
    factors = (abs(bound.numerator), bound.denominator, _largest(upper), _largest(lower))
    if max(factors) >= _MAX_FACTOR:
        # Python's integers have no limit, and are slower.
        upper, lower = upper.astype(object), lower.astype(object)
    is_beyond = _COMPARISONS[threshold.comparison]
    crossed = is_beyond(upper * bound.denominator, lower * bound.numerator) & (lower > 0)
    return np.asarray(crossed, np.bool_)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one threshold finds in each row: see :class:`Evaluation`."""

    threshold: Threshold
    columns: Sequence[NDArray[Any]]
    known: Flags
    crossed: Flags
    reachable: Flags

    def counts_of(self, row: int) -> dict[str, int]:
        """Return the counts of a row by engagement type."""
        names = self.threshold.engagement_types
        return {name: int(column[row]) for name, column in zip(names, self.columns, strict=True)}

    def value(self, row: int) -> float:
        """Return the count or rate of a row that is crossed."""
        upper, *lower = self.counts_of(row).values()
        return upper / lower[0] if lower else upper


def _read_each(threshold: Threshold, observation: Observation) -> _Reading:
    counts = [observation.counts[name] for name in threshold.engagement_types]
    columns = [one.values for one in counts]
    return _Reading(
        threshold,
        columns,
        known=_all_of([one.answered for one in counts]),
        crossed=compare(threshold, *columns),
        reachable=_all_of([one.available for one in counts]),
    )


def _read_sum(threshold: Threshold, observation: Observation) -> _Reading:
    """Read the sum over the Tweets that have all counts of a threshold.

    It is not known while one of these counts may still be answered.
    """
    each = _read_each(threshold, observation)
    # As Python's integers, because a sum may need more than 64 bits.
    columns = [np.array([sum(one[each.reachable].tolist())], object) for one in each.columns]
    reachable = bool(each.reachable.any())
    return _Reading(
        threshold,
        columns,
        known=np.array([reachable and bool(each.known[each.reachable].all())]),
        crossed=compare(threshold, *columns),
        reachable=np.array([reachable]),
    )


def _table(groups: Sequence[Sequence[Flags]]) -> Flags:
    """Return a column for each condition: where all of its thresholds agree."""
    return np.stack([_all_of(group) for group in groups], axis=1)


def _all_of(columns: Sequence[Flags]) -> Flags:
    agreed: Flags = np.logical_and.reduce(columns)
    return agreed


def _largest(column: NDArray[Any]) -> int:
    return max(abs(int(column.min())), abs(int(column.max()))) if column.size else 0


def _with_counts(crossing: Crossing) -> dict[str, Any]:
    return {**crossing.to_dict(), "counts": dict(crossing.counts)}


def _as_many_as_fit(found: Evaluation, cells: NDArray[np.intp]) -> tuple[Crossing, ...]:
    shown: list[Crossing] = []
    size = 0
    for row, column in cells:
        crossing = found.crossing(int(row), int(column))
        size += len(json.dumps(_with_counts(crossing))) + 2
        if size > _MAX_RESULT_BYTES:
            break
        shown.append(crossing)
    return tuple(shown)


def _unreachable_reason(found: Evaluation, needed: int, possible: int) -> str:
    number = len(found.observation.tweet_ids)
    if not number:
        return "tweet_ids holds no ids: no threshold can be crossed."
    if found.rule.require == SUM:
        summary = (
            "The sum of the collection must cross, and none of its "
            f"{number:,} Tweets has the counts"
        )
    else:
        summary = (
            f"{needed:,} Tweets must cross, and of {number:,} Tweets only {possible:,} still can"
        )
    reasons = _reasons(found)
    return f"{summary}: {reasons}." if reasons else f"{summary}."


def _reasons(found: Evaluation) -> str:
    """Return why counts are unavailable, with the number of Tweets and some examples of each."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    needed = found.rule.engagement_types
    for tweet_id, counts in found.observation.unavailable.items():
        if not counts.engagement_types.isdisjoint(needed):
            by_reason[counts.reason].append(tweet_id)
    return "; ".join(
        f"{len(ids):,} {reason}, such as {', '.join(ids[:_MAX_EXAMPLES])}"
        for reason, ids in sorted(by_reason.items(), key=lambda item: -len(item[1]))
    )
