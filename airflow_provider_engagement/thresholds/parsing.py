"""Read thresholds as users write them: ``{"favorites": 100, "replies": "< 5"}``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import (
    ENDPOINTS,
    ENGAGEMENT_TYPES,
    EndpointName,
    check_one_of,
)
from airflow_provider_engagement.collections.parsing import parse_literal

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "POLLABLE_ENDPOINTS",
    "Threshold",
    "engagement_types_of",
    "parse_thresholds",
    "serialize_thresholds",
]

POLLABLE_ENDPOINTS: Final = (EndpointName.TOTALS, EndpointName.LAST_28_HOURS)
"""The endpoints that report the counts of now. ``historical`` does not."""

_BOUND: Final = re.compile(r"\s*(>=|<=|>|<)?\s*([+-]?\d+(?:\.\d+)?)\s*", re.ASCII)
_EXAMPLE: Final = '{"favorites": 100, "replies": "< 5", "engagements/impressions": ">= 0.05"}'
_RENAMED: Final = {"likes": "favorites"}


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound on a count, or on the rate of two counts.

    :param engagement_types: the count; for a rate its numerator and its denominator.
    :param comparison: ``>=``, ``>``, ``<=`` or ``<``.
    :param bound: a decimal number, as text.
    """

    engagement_types: tuple[str, ...]
    comparison: str
    bound: str

    @property
    def metric(self) -> str:
        """The left side of the comparison, such as ``favorites`` or ``engagements/impressions``."""
        return "/".join(self.engagement_types)

    @property
    def exact_bound(self) -> Fraction:
        """The bound without a rounding error."""
        return Fraction(self.bound)

    def __str__(self) -> str:
        return f"{self.metric} {self.comparison} {self.bound}"


def parse_thresholds(value: object, *, endpoint: str) -> tuple[Threshold, ...]:
    """Read the parameter ``thresholds``.

    :param value: a dictionary, or a JSON or Python text of one. Each key is an engagement type,
        or a rate such as ``engagements/impressions``. Each value is a number, which means "at
        least", or text of a comparison and a number.
    :param endpoint: where the counts come from, one of :data:`POLLABLE_ENDPOINTS`.
    :raises InvalidArgumentError: naming the parameter, what was given and what is allowed.
    """
    check_one_of(endpoint, POLLABLE_ENDPOINTS, name="endpoint")
    parsed = parse_literal(value) if isinstance(value, str) else value
    if not isinstance(parsed, Mapping) or not parsed:
        what = "empty" if isinstance(parsed, Mapping) else f"of type {type(parsed).__name__}"
        msg = f"thresholds is {what}; it must be a dictionary such as {_EXAMPLE}."
        raise InvalidArgumentError(msg)
    return tuple(_parse_one(metric, bound, endpoint) for metric, bound in parsed.items())


def engagement_types_of(thresholds: Iterable[Threshold]) -> tuple[str, ...]:
    """Return the engagement types that thresholds need, each once, in the order of the table."""
    needed = {name for threshold in thresholds for name in threshold.engagement_types}
    return tuple(name for name in ENGAGEMENT_TYPES if name in needed)


def serialize_thresholds(thresholds: Iterable[Threshold]) -> dict[str, str]:
    """Return a dictionary of text that :func:`parse_thresholds` reads as the same thresholds."""
    return {one.metric: f"{one.comparison} {one.bound}" for one in thresholds}


def _parse_one(metric: object, bound: object, endpoint: str) -> Threshold:
    types = tuple(part.strip() for part in str(metric).split("/"))
    if len(types) > 2 or len(set(types)) < len(types):  # noqa: PLR2004 - a rate has two parts
        msg = (
            f"thresholds holds {metric!r}; a metric is an engagement type, or a rate of two "
            "different ones such as 'engagements/impressions'."
        )
        raise InvalidArgumentError(msg)
    for name in types:
        _check_served(name, endpoint)
    match = _BOUND.fullmatch(_bound_as_text(bound))
    if match is None:
        msg = (
            f"thresholds[{metric!r}] is {bound!r}; it must be a number, which means at least, or "
            "text of >=, >, <= or < and a number, such as '< 5'."
        )
        raise InvalidArgumentError(msg)
    return Threshold(types, match[1] or ">=", match[2].lstrip("+"))


def _check_served(name: str, endpoint: str) -> None:
    served = ENDPOINTS[EndpointName(endpoint)].engagement_types
    if name in served:
        return
    if name in ENGAGEMENT_TYPES:
        fault = f"{name!r} is not served by {endpoint}"
    elif name in _RENAMED:
        fault = f"{name!r} is not an engagement type; it is called {_RENAMED[name]!r}"
    else:
        fault = f"{name!r} is not an engagement type"
    msg = f"thresholds: {fault}. {endpoint} serves: {', '.join(served)}."
    raise InvalidArgumentError(msg)


def _bound_as_text(bound: object) -> str:
    if isinstance(bound, bool) or not isinstance(bound, (str, int, float)):
        return ""
    if isinstance(bound, float):
        # All digits and no exponent, which the pattern of a bound does not allow.
        return f"{Decimal(repr(bound)).normalize():f}" if math.isfinite(bound) else ""
    return str(bound)
