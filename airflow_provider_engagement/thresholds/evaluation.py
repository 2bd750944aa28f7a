"""Which Tweets have crossed which threshold, and whether that is what is waited for."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.thresholds.parsing import Threshold, parse_thresholds, types_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

__all__ = [
    "MATCHES",
    "Condition",
    "Crossing",
    "Observation",
    "Rule",
    "Subject",
    "UnavailableCounts",
    "Verdict",
    "judge",
    "make_rule",
]

MATCHES: Final = ("any", "all")
_REQUIREMENTS: Final = ("any", "all", "sum")

# What a sensor returns is an XCom: a record of what was seen, not a place for thousands of rows.
_LONGEST_RESULT: Final = 9_000
_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class UnavailableCounts:
    """Counts that a Tweet gives no more.

    :param types: which ones.
    :param reason: why.
    """

    types: frozenset[str]
    reason: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What the service said of some Tweets at one moment.

    A count that is neither there nor closed was not answered, and may be the next time.

    :param seen_at: the moment, UTC.
    :param counts: by id and engagement type.
    :param closed: by id, what it will not give.
    """

    seen_at: datetime
    counts: Mapping[str, Mapping[str, int]]
    closed: Mapping[str, UnavailableCounts] = field(default_factory=dict)

    def gives(self, tweet_id: str, types: Iterable[str]) -> bool:
        """Tell whether a Tweet may ever give some types."""
        closed = self.closed.get(tweet_id)
        return closed is None or closed.types.isdisjoint(types)

    def has(self, tweet_id: str, types: Iterable[str]) -> bool:
        """Tell whether a Tweet's counts of some types are there."""
        counts = self.counts.get(tweet_id, {})
        return all(name in counts for name in types)


@dataclass(frozen=True, slots=True)
class Condition:
    """One or several thresholds that are crossed together.

    :param thresholds: all of which must be.
    """

    thresholds: tuple[Threshold, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.thresholds))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is held against the thresholds: a Tweet, or the sum of the collection.

    :param tweet_id: the Tweet; None for the sum.
    :param tweet_ids: whose counts it has.
    """

    tweet_id: str | None
    tweet_ids: tuple[str, ...]

    def gives(self, condition: Condition, look: Observation) -> bool:
        """Tell whether a condition may ever be met: some Tweet gives counts for each threshold."""
        return all(
            any(look.gives(tweet_id, threshold.types) for tweet_id in self.tweet_ids)
            for threshold in condition.thresholds
        )

    def hold(self, condition: Condition, look: Observation) -> tuple[bool, Crossing] | None:
        """Hold a condition against the counts.

        :returns: whether it is crossed, and with what; None if counts are missing. A sum is not
            known as long as one of its parts may still be answered.
        """
        values: dict[str, float | None] = {}
        counts: dict[str, int] = {}
        crossed = True
        for threshold in condition.thresholds:
            giving = [i for i in self.tweet_ids if look.gives(i, threshold.types)]
            if not giving or not all(look.has(i, threshold.types) for i in giving):
                return None
            summed = {
                name: sum(look.counts[tweet_id][name] for tweet_id in giving)
                for name in threshold.types
            }
            reading = threshold.read(summed)
            if reading is None:  # pragma: no cover - all of its types are there
                return None
            crossed = crossed and reading.crossed
            values[threshold.metric] = reading.value
            counts |= summed
        value = next(iter(values.values())) if len(values) == 1 else values
        return crossed, Crossing(self.tweet_id, str(condition), value, counts, look.seen_at)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A Tweet, or the sum of the collection, beyond a threshold.

    :param tweet_id: the Tweet; None for the sum.
    :param threshold: which one; with ``match="all"`` all of them, joined with ``and``.
    :param value: the count or rate seen; with several thresholds, each by its metric.
    :param counts: the counts behind it.
    :param seen_at: when.
    """

    tweet_id: str | None
    threshold: str
    value: float | dict[str, float | None] | None
    counts: Mapping[str, int]
    seen_at: datetime

    def describe(self) -> dict[str, Any]:
        """Tell it in what turns into JSON."""
        return {
            "tweet_id": self.tweet_id,
            "threshold": self.threshold,
            "value": self.value,
            "seen_at": self.seen_at.isoformat().replace("+00:00", "Z"),
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """What is watched for.

    :param conditions: with ``match="any"`` one for each threshold, else one of all.
    :param require: how many Tweets must meet one: ``any``, ``all``, ``sum`` or a number.
    """

    conditions: tuple[Condition, ...]
    require: str | int

    @property
    def types(self) -> tuple[str, ...]:
        """The engagement types that it needs."""
        return types_of(one for condition in self.conditions for one in condition.thresholds)

    def subjects(self, tweet_ids: Sequence[str]) -> Iterator[Subject]:
        """Give what is held against the conditions."""
        if self.require == "sum":
            yield Subject(None, tuple(tweet_ids))
        else:
            yield from (Subject(tweet_id, (tweet_id,)) for tweet_id in tweet_ids)

    def needed(self, tweet_ids: Sequence[str]) -> int:
        """Tell how many subjects must meet a condition."""
        if self.require == "all":
            return max(1, len(tweet_ids))
        return self.require if isinstance(self.require, int) else 1


def make_rule(thresholds: object, *, match: str, require: object, endpoint: str) -> Rule:
    """Read what is watched for.

    :param thresholds: as :func:`parse_thresholds` reads them.
    :param match: whether any threshold is enough, or all have to be crossed.
    :param require: ``any``, ``all``, ``sum``, or a number of Tweets, which may be text.
    :param endpoint: where the counts are from.
    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    parsed = parse_thresholds(thresholds, endpoint=endpoint)
    if match not in MATCHES:
        msg = f"match is {match!r}; it must be one of: {', '.join(MATCHES)}."
        raise InvalidArgumentError(msg)
    together = [parsed] if match == "all" else [(threshold,) for threshold in parsed]
    return Rule(tuple(map(Condition, together)), _requirement(require))


def _requirement(given: object) -> str | int:
    text = "" if isinstance(given, bool) else str(given).strip()
    if text in _REQUIREMENTS:
        return text
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    msg = (
        f"require is {given!r}; it must be one of: {', '.join(_REQUIREMENTS)}; "
        "or a number of Tweets, from 1."
    )
    raise InvalidArgumentError(msg)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How it stands.

    :param crossings: what is beyond a threshold.
    :param crossed: how many subjects have crossed one.
    :param needed: how many must.
    :param hopeless: why it can no longer come to that; None while it can.
    """

    crossings: tuple[Crossing, ...]
    crossed: int
    needed: int
    unreachable_reason: str | None = None

    @property
    def met(self) -> bool:
        """Whether enough have crossed."""
        return self.crossed >= self.needed

    def describe(self) -> dict[str, Any]:
        """Tell it in what turns into JSON, below 10 kB whatever the number of crossings."""
        shown: list[dict[str, Any]] = []
        size = 0
        for crossing in self.crossings:
            told = {**crossing.describe(), "counts": dict(crossing.counts)}
            size += len(json.dumps(told)) + 2
            if size > _LONGEST_RESULT:
                break
            shown.append(told)
        return {
            "crossed": self.crossed,
            "needed": self.needed,
            "crossings": shown,
            "crossings_not_shown": len(self.crossings) - len(shown),
        }


def judge(rule: Rule, look: Observation, tweet_ids: Sequence[str]) -> Verdict:
    """Hold a rule against what was seen.

    :param rule: what is watched for.
    :param look: what was seen.
    :param tweet_ids: the collection.
    """
    crossings: list[Crossing] = []
    crossed = possible = 0
    for subject in rule.subjects(tweet_ids):
        found = [subject.hold(condition, look) for condition in rule.conditions]
        hits = [one[1] for one in found if one is not None and one[0]]
        crossings += hits
        crossed += bool(hits)
        possible += any(subject.gives(condition, look) for condition in rule.conditions)
    needed = rule.needed(tweet_ids)
    unreachable_reason = (
        None if possible >= needed else _why_not(rule, look, tweet_ids, needed, possible)
    )
    return Verdict(tuple(crossings), crossed, needed, unreachable_reason)


def _why_not(
    rule: Rule, look: Observation, tweet_ids: Sequence[str], needed: int, possible: int
) -> str:
    if not tweet_ids:
        return "tweet_ids holds no ids: no threshold can be crossed."
    what = "The sum of the collection" if rule.require == "sum" else f"{needed:,} Tweets"
    told = f"{what} must cross, and of {len(tweet_ids):,} Tweets only {possible:,} still can"
    if rule.require == "sum":
        told = f"{what} must cross, and none of its {len(tweet_ids):,} Tweets can be counted"
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    for tweet_id in tweet_ids:
        closed = look.closed.get(tweet_id)
        if closed is not None and not closed.types.isdisjoint(rule.types):
            reasons[closed.reason] += 1
            known = examples.setdefault(closed.reason, [])
            known += [tweet_id] * (len(known) < _EXAMPLES)
    why = "; ".join(
        f"{count:,} {reason}, such as {', '.join(examples[reason])}"
        for reason, count in reasons.most_common()
    )
    return f"{told}: {why}." if why else f"{told}."
