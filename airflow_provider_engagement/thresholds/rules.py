"""What a sensor or a watcher waits for: which thresholds, and for how many Tweets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.thresholds.parsing import (
    Threshold,
    engagement_types_of,
    parse_thresholds,
    serialize_thresholds,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MATCHES", "SUM", "Condition", "Rule", "parse_rule"]

MATCHES: Final = ("any", "all")
"""The allowed values of ``match``."""

SUM: Final = "sum"
"""The value of ``require`` for the counts of the whole collection, added up."""

_REQUIREMENTS: Final = ("any", "all", SUM)


@dataclass(frozen=True, slots=True)
class Condition:
    """One or several thresholds that must be crossed together.

    :param thresholds: the thresholds.
    """

    thresholds: tuple[Threshold, ...]

    def __str__(self) -> str:
        return " and ".join(map(str, self.thresholds))


@dataclass(frozen=True, slots=True)
class Rule:
    """Which conditions count, and how many Tweets must meet one.

    :param conditions: with ``match="any"`` one for each threshold, else one of all thresholds.
    :param require: how many Tweets must meet one: ``any``, ``all``, a number; or ``sum``, where
        the added counts of the collection must.
    """

    conditions: tuple[Condition, ...]
    require: str | int

    @property
    def engagement_types(self) -> tuple[str, ...]:
        """The engagement types that the thresholds need."""
        return engagement_types_of(self._thresholds())

    def needed(self, tweets: int) -> int:
        """Return how many must meet a condition.

        :param tweets: the number of Tweets in the collection.
        """
        if self.require == "all":
            return max(1, tweets)
        return self.require if isinstance(self.require, int) else 1

    def serialize(self) -> dict[str, str]:
        """Return the thresholds as text, for :func:`parse_rule`."""
        return serialize_thresholds(self._thresholds())

    def _thresholds(self) -> Iterator[Threshold]:
        return (one for condition in self.conditions for one in condition.thresholds)


def parse_rule(thresholds: object, *, match: str, require: object, endpoint: str) -> Rule:
    """Read the parameters that say what is waited for.

    :param thresholds: as :func:`parse_thresholds` reads them.
    :param match: ``any`` if each threshold counts by itself, ``all`` if they must be crossed
        together.
    :param require: ``any``, ``all``, ``sum``, or a number of Tweets, which may be text.
    :param endpoint: where the counts come from.
    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    parsed = parse_thresholds(thresholds, endpoint=endpoint)
    check_one_of(match, MATCHES, name="match")
    groups = [parsed] if match == "all" else [(threshold,) for threshold in parsed]
    return Rule(tuple(map(Condition, groups)), _parse_requirement(require))


def _parse_requirement(value: object) -> str | int:
    text = "" if isinstance(value, bool) else str(value).strip()
    if text in _REQUIREMENTS:
        return text
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    msg = (
        f"require is {value!r}; it must be one of: {', '.join(map(repr, _REQUIREMENTS))}; "
        "or a number of Tweets, from 1."
    )
    raise InvalidArgumentError(msg)
