"""The generated parts of docs/ about limits: endpoints, types, groupings, figures and hours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api import spec
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.api.query import GRANULARITIES, Grouping
from airflow_provider_engagement.api.rate_stores.base import MAX_WAIT
from airflow_provider_engagement.api.settings import Settings
from airflow_provider_engagement.api.transport import MAX_RESPONSE_BYTES
from airflow_provider_engagement.rows.build import granularity_of
from airflow_provider_engagement.sinks.bigquery.loads import LoadBudget
from tools.hours import CONTRACTS, rows
from tools.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime, timedelta

__all__ = ["LIMIT_PARTS"]


def _endpoints() -> str:
    ends = spec.ENDPOINTS.values()
    rows: list[tuple[object, ...]] = [
        ("path", *(f"`{end.path}`" for end in ends)),
        ("Tweets per request", *(end.max_tweet_ids for end in ends)),
        ("engagement types", *(len(end.engagement_types) for end in ends)),
        (
            "of them public (app-only, of any public Tweet)",
            *(len(end.public_types) or "none" for end in ends),
        ),
        ("longest window of a request", *map(_window, ends)),
        ("levels of a grouping", *(code(end.group_by) for end in ends)),
    ]
    return table(("", *(f"`{end.name}`" for end in ends)), rows)


def _window(end: spec.Endpoint) -> str:
    return _days(end.max_window) if end.max_window else "takes no window"


def _days(period: timedelta) -> str:
    return f"{period.days} days"


def _types() -> str:
    ends = spec.ENDPOINTS.values()
    rows = [(f"`{name}`", *(_given(end, name) for end in ends)) for name in spec.ENGAGEMENT_TYPES]
    return table(("type", *(f"`{end.name}`" for end in ends)), rows)


def _given(end: spec.Endpoint, name: str) -> str:
    if name not in end.engagement_types:
        return ""
    whose = "public" if name in end.public_types else "owner"
    limit = end.age_limits.get(name)
    return f"{whose}, Tweets up to {_days(limit)} old" if limit else whose


def _groupings() -> str:
    orders = " or ".join(code(order) for order in spec.FOUR_LEVEL_ORDERS)
    reserved = code(sorted(spec.RESERVED_GROUPING_NAMES))
    prefix = spec.RESERVED_GROUPING_PREFIX
    zeros = " and ".join(
        f"{code(names)} before {day:%Y-%m-%d}" for day, names in _by_value(spec.FALSE_ZEROS_BEFORE)
    )
    reach, margin = _days(spec.HISTORICAL_REACH), _days(spec.AGE_MARGIN)
    rules = (
        f"A request has at most {spec.MAX_GROUPINGS} groupings. Their levels must differ.",
        f"Four levels must be in one of these orders: {orders}.",
        f"A grouping must not be named {reserved}.",
        f"The name of a grouping must not begin with `{prefix}`.",
        f"`historical` holds nothing before {spec.HISTORICAL_FLOOR:%Y-%m-%d}.",
        f"A window that begins over {reach} ago is requested with a warning.",
        f"`historical` returns a wrong 0 for {zeros}. Such counts are absent.",
        f"A type is requested until {margin} after a Tweet has passed its age limit.",
    )
    return "\n".join(f"- {rule}" for rule in rules)


def _by_value(mapping: Mapping[str, datetime]) -> Iterator[tuple[datetime, list[str]]]:
    """Yield each value with its keys."""
    for value in sorted(set(mapping.values())):
        yield value, [key for key, other in mapping.items() if other == value]


def _granularities() -> str:
    rows = [
        (
            f"`{end}`",
            f'`"{name}"`' + (" (default)" if place == 0 else ""),
            code(levels),
            f"`{granularity_of(Grouping(end, levels), end)}`",
        )
        for end, choices in GRANULARITIES.items()
        for place, (name, levels) in enumerate(choices.items())
    ]
    rows.append(
        ("`28hr`, `historical`", "`groupings` with hour and without day", "", "`hour_of_day`")
    )
    head = ("endpoint", "parameter `granularity`", "groups by", "column `granularity`")
    return table(head, rows)


def _figures() -> str:
    retry, budget, settings = RetryPolicy(), LoadBudget(), Settings.__dataclass_fields__
    rows = [
        ("time in which a request is retried, from its first failure on", f"{retry.budget:g} s"),
        (
            "longest pause after the first failure",
            f"{retry.first_wait:g} s, doubled each time",
        ),
        ("longest pause between two tries", f"{retry.max_wait:g} s"),
        (
            "longest wait for the rate limit in a pull",
            f"{MAX_WAIT:g} s; Airflow retries the task after a longer one",
        ),
        ("timeout of one request (`extra.timeout`)", f"{settings['timeout'].default:g} s"),
        ("concurrent requests (`extra.max_concurrency`)", settings["max_concurrency"].default),
        ("largest response, decompressed", f"{MAX_RESPONSE_BYTES // 2**20} MiB"),
        ("load jobs of a task, at most", budget.most_loads),
        ("smallest load job, except the last", f"{budget.least_bytes // 2**20} MiB"),
    ]
    return table(("figure", "value"), rows)


def _hours() -> str:
    head = ["endpoint", "Tweets", "requests", *(f"{limit} a minute" for limit in CONTRACTS)]
    return table(head, rows())


LIMIT_PARTS: Final[dict[str, Callable[[], str]]] = {
    "endpoints": _endpoints,
    "types": _types,
    "groupings": _groupings,
    "granularities": _granularities,
    "figures": _figures,
    "hours": _hours,
}
