"""What a pull asks of the service, checked against the table of limits before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError
from airflow_provider_engagement.api.spec import (
    ENDPOINTS,
    ENGAGEMENT_TYPES,
    FOUR_LEVEL_ORDERS,
    GROUP_BY_ORDER,
    MAX_GROUPINGS,
    RESERVED_GROUPING_NAMES,
    RESERVED_GROUPING_PREFIX,
    Access,
    Endpoint,
    EndpointName,
    GroupBy,
    check_one_of,
)

if TYPE_CHECKING:
    from airflow_provider_engagement.api.window import Window

__all__ = ["GRANULARITIES", "Grouping", "PlannedRequest", "Query", "build_query"]

_BY_TWEET: Final = (GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE)

# The group_by of each granularity, by endpoint. The first granularity is the default.
GRANULARITIES: Final[Mapping[EndpointName, Mapping[str, tuple[GroupBy, ...]]]] = {
    EndpointName.TOTALS: {"total": _BY_TWEET},
    EndpointName.LAST_28_HOURS: {
        "hour": (*_BY_TWEET, GroupBy.DAY, GroupBy.HOUR),
        "total": _BY_TWEET,
    },
    EndpointName.HISTORICAL: {
        "day": (*_BY_TWEET, GroupBy.DAY),
        "hour": (*_BY_TWEET, GroupBy.DAY, GroupBy.HOUR),
        "total": _BY_TWEET,
    },
}


@dataclass(frozen=True, slots=True)
class Grouping:
    """One grouping of a response.

    :param name: the key under which the response holds it.
    :param group_by: its levels, outermost first, in the order of the request.
    """

    name: str
    group_by: tuple[GroupBy, ...]

    @property
    def canonical(self) -> str:
        """The levels in canonical order, joined with ``/``, as in the column ``grouping``."""
        return "/".join(level for level in GROUP_BY_ORDER if level in self.group_by)


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request to send.

    :param tweet_ids: the Tweets, at most as many as the endpoint takes.
    :param engagement_types: the engagement types.
    :param access: ``owner`` (OAuth 1.0a) or ``public`` (app-only).
    :param window: the time that it asks about; None if the endpoint takes no window.
    :param parts: by id, the part of the window whose counts are wanted; empty for all of it.
    """

    tweet_ids: tuple[str, ...]
    engagement_types: tuple[str, ...]
    access: Access
    window: Window | None = None
    parts: Mapping[str, Window] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Query:
    """What to ask, whichever Tweets it is about.

    :param endpoint: the endpoint.
    :param engagement_types: the engagement types, each once.
    :param groupings: how the counts are grouped.
    :param access: ``owner`` (OAuth 1.0a) or ``public`` (app-only).
    """

    endpoint: Endpoint
    engagement_types: tuple[str, ...]
    groupings: tuple[Grouping, ...]
    access: Access

    def body(self, request: PlannedRequest) -> dict[str, Any]:
        """Return the JSON body of a request: ids as text, as the API reference documents them."""
        return {
            "tweet_ids": list(request.tweet_ids),
            "engagement_types": list(request.engagement_types),
            "groupings": {
                grouping.name: {"group_by": [str(level) for level in grouping.group_by]}
                for grouping in self.groupings
            },
            **(request.window.body() if request.window else {}),
        }


def build_query(
    endpoint: str,
    *,
    has_owner: bool,
    engagement_types: object = None,
    granularity: str | None = None,
    groupings: object = None,
) -> Query:
    """Check what is asked, and choose the access that it needs.

    :param endpoint: ``totals``, ``28hr`` or ``historical``.
    :param has_owner: whether the connection holds the owner's tokens.
    :param engagement_types: a list of engagement types; None for all that the endpoint has and the
        credentials allow.
    :param granularity: a key of :data:`GRANULARITIES`; None for the endpoint's default.
    :param groupings: the API's own object, ``{name: {"group_by": [...]}}``, instead of a
        granularity.
    :raises InvalidArgumentError: if the service would refuse it.
    :raises AuthenticationError: if it needs the owner's tokens and the connection has none.
    """
    check_one_of(endpoint, EndpointName, name="endpoint")
    spec = ENDPOINTS[EndpointName(endpoint)]
    allowed = spec.engagement_types if has_owner else spec.public_types
    if not allowed:
        raise _needs_owner(f"endpoint {spec.name!s}", spec)
    types = _engagement_types(engagement_types, spec) or allowed
    private = [name for name in types if name not in spec.public_types]
    if private and not has_owner:
        raise _needs_owner(f"engagement_types {', '.join(private)}", spec)
    return Query(
        endpoint=spec,
        engagement_types=types,
        groupings=_groupings(spec, granularity, groupings),
        access=Access.OWNER if private else Access.PUBLIC,
    )


def _needs_owner(what: str, spec: Endpoint) -> AuthenticationError:
    public = f", or ask for public types only ({', '.join(spec.public_types)})"
    return AuthenticationError(
        f"{what} needs the tokens of the Tweets' owner, and the connection holds none.",
        advice="Set access_token and access_token_secret in the connection's extra"
        f"{public if spec.public_types else ''}.",
    )


def _engagement_types(given: object, spec: Endpoint) -> tuple[str, ...]:
    if given is None:
        return ()
    if not isinstance(given, Sequence) or isinstance(given, str):
        msg = f"engagement_types is of type {type(given).__name__}; it must be a list."
        raise InvalidArgumentError(msg)
    names = [
        _text(name, where=f"engagement_types[{index}]").strip() for index, name in enumerate(given)
    ]
    if not names:
        msg = "engagement_types is empty. Leave it out for all that the endpoint has."
        raise InvalidArgumentError(msg)
    for name in names:
        if name not in spec.engagement_types:
            known = name in ENGAGEMENT_TYPES
            fault = f"is not served by {spec.name}" if known else "is not an engagement type"
            msg = (
                f"engagement_types holds {name!r}, which {fault}. "
                f"{spec.name} serves: {', '.join(spec.engagement_types)}."
            )
            raise InvalidArgumentError(msg)
    return tuple(dict.fromkeys(names))


def _groupings(spec: Endpoint, granularity: str | None, groupings: object) -> tuple[Grouping, ...]:
    choices = GRANULARITIES[spec.name]
    if groupings is None:
        chosen = granularity or next(iter(choices))
        check_one_of(chosen, choices, name=f"granularity on {spec.name}")
        return (Grouping(name=chosen, group_by=choices[chosen]),)
    if granularity is not None:
        msg = "granularity and groupings are both given. Give one of them."
        raise InvalidArgumentError(msg)
    return _own_groupings(spec, groupings)


def _own_groupings(spec: Endpoint, given: object) -> tuple[Grouping, ...]:
    if not isinstance(given, Mapping) or not 1 <= len(given) <= MAX_GROUPINGS:
        what = f"{len(given)} groupings" if isinstance(given, Mapping) else type(given).__name__
        msg = (
            f"groupings is {what}; it must be an object of 1 to {MAX_GROUPINGS} entries "
            'such as {"by-type": {"group_by": ["engagement.type"]}}.'
        )
        raise InvalidArgumentError(msg)
    result = tuple(_one_grouping(spec, name, body) for name, body in given.items())
    by_canonical: dict[str, str] = {}
    for grouping in result:
        other = by_canonical.setdefault(grouping.canonical, grouping.name)
        if other != grouping.name:
            msg = (
                f"groupings {other!r} and {grouping.name!r} have the same levels: they would "
                "count everything twice. Keep one of them."
            )
            raise InvalidArgumentError(msg)
    return result


def _one_grouping(spec: Endpoint, name: object, body: object) -> Grouping:
    label = _text(name, where="a grouping's name")
    where = f"groupings[{label!r}]"
    _check_grouping_name(label, where)
    levels = body.get("group_by") if isinstance(body, Mapping) else None
    if not isinstance(levels, (list, tuple)) or not levels:
        msg = f'{where} must be an object like {{"group_by": ["tweet.id", "engagement.type"]}}.'
        raise InvalidArgumentError(msg)
    allowed = ", ".join(spec.group_by)
    for level in levels:
        if level not in spec.group_by:
            msg = f"{where} groups by {level!r}; on {spec.name} a level is one of: {allowed}."
            raise InvalidArgumentError(msg)
    group_by = tuple(GroupBy(level) for level in levels)
    if len(set(group_by)) != len(group_by):
        msg = f"{where} names a level twice: {', '.join(group_by)}."
        raise InvalidArgumentError(msg)
    if len(group_by) == len(GroupBy) and group_by not in FOUR_LEVEL_ORDERS:
        orders = " or ".join(", ".join(order) for order in FOUR_LEVEL_ORDERS)
        msg = f"{where} has its four levels in the order {', '.join(group_by)}; use {orders}."
        raise InvalidArgumentError(msg)
    return Grouping(name=label, group_by=group_by)


def _check_grouping_name(label: str, where: str) -> None:
    is_reserved = label in RESERVED_GROUPING_NAMES or label.startswith(RESERVED_GROUPING_PREFIX)
    if is_reserved or not label.strip():
        reserved = ", ".join(sorted(RESERVED_GROUPING_NAMES))
        msg = (
            f"{where} cannot have this name: it becomes a key of the response, beside {reserved} "
            f"and {RESERVED_GROUPING_PREFIX}*. Choose another."
        )
        raise InvalidArgumentError(msg)


def _text(value: object, *, where: str) -> str:
    if not isinstance(value, str):
        msg = f"{where} is of type {type(value).__name__}; it must be text."
        raise InvalidArgumentError(msg)
    return value
