"""Thresholds as users write them: ``{"favorites": 100, "replies": "< 5"}``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, ENGAGEMENT_TYPES, EndpointName
from airflow_provider_engagement.collections.parsing import parse_literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["POLLABLE_ENDPOINTS", "Reading", "Threshold", "as_plain", "parse_thresholds", "types_of"]

POLLABLE_ENDPOINTS: Final = (EndpointName.TOTALS, EndpointName.LAST_28_HOURS)
"""The endpoints whose counts can be watched: historical has no count of now."""

_COMPARISONS: Final[Mapping[str, Callable[[Fraction, Fraction], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
_BOUND: Final = re.compile(r"\s*(>=|<=|>|<)?\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)
_EXAMPLE: Final = '{"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}'


@dataclass(frozen=True, slots=True)
class Reading:
    """What a threshold finds.

    :param value: the count, or the rate; None for a rate over zero, which is never crossed.
    :param crossed: whether it is crossed.
    """

    value: float | None
    crossed: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on a count, or on the rate of two.

    :param types: the count; for a rate the upper one and the lower one.
    :param comparison: ``>=``, ``>``, ``<=`` or ``<``.
    :param bound: a decimal number, as text.
    """

    types: tuple[str, ...]
    comparison: str
    bound: str

    @property
    def metric(self) -> str:
        """What is compared, such as ``favorites`` or ``engagements/impressions``."""
        return "/".join(self.types)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound}"

    def read(self, counts: Mapping[str, int]) -> Reading | None:
        """Compare counts with the bound.

        :param counts: by engagement type.
        :returns: None if a count that it needs is not there.
        """
        found = [counts[name] for name in self.types if name in counts]
        if len(found) < len(self.types):
            return None
        upper, *lower = found
        if lower and lower[0] <= 0:
            return Reading(value=None, crossed=False)
        # As a fraction, since a rate that lies on the bound must not miss it by a rounding.
        exact = Fraction(upper, lower[0]) if lower else Fraction(upper)
        crossed = _COMPARISONS[self.comparison](exact, Fraction(self.bound))
        return Reading(value=float(exact) if lower else upper, crossed=crossed)


def parse_thresholds(given: object, *, endpoint: str) -> tuple[Threshold, ...]:
    """Read thresholds.

    :param given: by metric, a number for at least that, or text of a comparison and a number; or
        JSON or Python text of such a dictionary, as a template renders it.
    :param endpoint: where the counts are from.
    :raises InvalidArgumentError: naming the threshold, what was given and what is allowed.
    """
    if endpoint not in POLLABLE_ENDPOINTS:
        msg = f"endpoint is {endpoint!r}; what can be watched is: {', '.join(POLLABLE_ENDPOINTS)}."
        raise InvalidArgumentError(msg)
    if isinstance(given, str):
        given = parse_literal(given)
    if not isinstance(given, Mapping) or not given:
        what = "empty" if isinstance(given, Mapping) else f"of type {type(given).__name__}"
        msg = f"thresholds is {what}; it must be a dictionary such as {_EXAMPLE}."
        raise InvalidArgumentError(msg)
    served = ENDPOINTS[EndpointName(endpoint)].engagement_types
    return tuple(_parsed(metric, bound, endpoint, served) for metric, bound in given.items())


def types_of(thresholds: Iterable[Threshold]) -> tuple[str, ...]:
    """Give the engagement types that thresholds need, each once, in the order of the table."""
    needed = {name for threshold in thresholds for name in threshold.types}
    return tuple(name for name in ENGAGEMENT_TYPES if name in needed)


def as_plain(thresholds: Iterable[Threshold]) -> dict[str, str]:
    """Give thresholds as a dictionary of text, from which they can be read again."""
    return {one.metric: f"{one.comparison} {one.bound}" for one in thresholds}


def _parsed(metric: object, given: object, endpoint: str, served: tuple[str, ...]) -> Threshold:
    types = tuple(part.strip() for part in str(metric).split("/"))
    if len(types) > 2 or len(set(types)) < len(types):  # noqa: PLR2004 - a rate is of two
        msg = (
            f"thresholds holds {metric!r}; a metric is an engagement type, or a rate of two "
            "different ones such as 'engagements/impressions'."
        )
        raise InvalidArgumentError(msg)
    for name in types:
        if name not in served:
            fault = f"is not served by {endpoint}" if name in ENGAGEMENT_TYPES else "is none"
            msg = (
                f"thresholds names the engagement type {name!r}, which {fault}. "
                f"{endpoint} serves: {', '.join(served)}."
            )
            raise InvalidArgumentError(msg)
    match = _BOUND.fullmatch(_as_text(given))
    if match is None:
        msg = (
            f"thresholds[{metric!r}] is {given!r}; it must be a number, which means at least, or "
            f"text of {', '.join(_COMPARISONS)} and a number, such as '< 5'."
        )
        raise InvalidArgumentError(msg)
    return Threshold(types, match[1] or ">=", match[2].lstrip("+"))


def _as_text(given: object) -> str:
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):
        return ""
    if isinstance(given, float):
        # Never in scientific notation, which nobody writes a bound in.
        return f"{given:f}".rstrip("0").rstrip(".") if math.isfinite(given) else ""
    return str(given)
