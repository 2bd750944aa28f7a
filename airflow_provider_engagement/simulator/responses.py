"""Makes responses: checks the sender's permissions, then counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.simulator import cube, error_responses
from airflow_provider_engagement.simulator.deterministic import ids_array, number
from airflow_provider_engagement.simulator.world import World, created, milliseconds

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator.auth import Caller
    from airflow_provider_engagement.simulator.request_validation import ValidRequest

__all__ = ["respond"]


def respond(world: World, caller: Caller, request: ValidRequest) -> dict[str, Any]:
    """Return the body of the response to a valid request.

    :param world: the Tweets and their counts.
    :param caller: the sender of the request.
    :param request: the request.
    :raises ErrorResponse: if the sender may not see the counts, or no Tweet is available.
    """
    _check_types(caller, request)
    _check_owners(world, caller, request)
    outcomes = {tweet_id: world.outcome(tweet_id) for tweet_id in request.tweet_ids}
    unavailable = [tweet_id for tweet_id, outcome in outcomes.items() if outcome != "served"]
    missing = _unavailable(unavailable)
    # With user tokens one protected Tweet fails the request; a deleted one is left out.
    fails = caller.access is Access.OWNER and "protected" in outcomes.values()
    if fails or len(unavailable) == len(outcomes):
        other_fields = {key: value for key, value in missing.items() if key != "errors"}
        raise error_responses.UNAVAILABLE.error(other_fields, count=len(unavailable))
    served = tuple(tweet_id for tweet_id in request.tweet_ids if outcomes[tweet_id] == "served")
    return _shuffled(world, _counted(world, replace(request, tweet_ids=served), missing))


def _check_types(caller: Caller, request: ValidRequest) -> None:
    """Refuse private types and time series to app-only access."""
    if caller.access is Access.OWNER:
        return
    if not request.endpoint.public_types:
        raise error_responses.NO_USER_CONTEXT.error()
    public = request.endpoint.public_types
    private = [name for name in request.engagement_types if name not in public]
    if private:
        raise error_responses.FORBIDDEN_METRICS.error(types=", ".join(private))


def _check_owners(world: World, caller: Caller, request: ValidRequest) -> None:
    """Refuse the request if it has Tweets of other authors: one message for each author."""
    if caller.access is not Access.OWNER:
        return
    foreign: dict[str, list[str]] = {}
    for tweet_id in request.tweet_ids:
        owner = world.owner_of(tweet_id)
        # The author of a deleted Tweet is no longer known.
        if owner != caller.account and world.outcome(tweet_id) != "deleted":
            foreign.setdefault(owner, []).append(tweet_id)
    if foreign:
        template = error_responses.FORBIDDEN_TWEETS
        errors: list[str | dict[str, object]] = [
            template.message(author=world.author_id(owner), ids=", ".join(ids))
            for owner, ids in foreign.items()
        ]
        raise error_responses.ErrorResponse(template.status, errors, invented=not template.known)


def _unavailable(tweet_ids: list[str]) -> dict[str, Any]:
    if not tweet_ids:
        return {}
    return {
        "unavailable_tweet_ids": tweet_ids,
        "errors": [error_responses.UNAVAILABLE.message(count=len(tweet_ids))],
    }


def _counted(world: World, request: ValidRequest, missing: dict[str, Any]) -> dict[str, Any]:
    """Count, and put the parts of the response together."""
    # The service orders ids and types in its own way.
    ids = sorted(request.tweet_ids, key=lambda tweet_id: number(world.seed, "order", tweet_id))
    types = tuple(sorted(request.engagement_types, key=lambda name: number(world.seed, name)))
    if request.window is None:
        now = world.now()
        counts = cube.of_lifetime(world, ids, types, milliseconds(now))
        fields = _too_old(request, counts, milliseconds(now))
    else:
        counts = cube.of_window(world, ids, types, request.window)
        fields = request.window.echo()
    errors = [*missing.pop("errors", []), *fields.pop("errors", [])]
    grouped = {name: counts.grouped(levels) for name, levels in request.groupings.items()}
    return {**fields, **missing, **({"errors": errors} if errors else {}), **grouped}


def _too_old(request: ValidRequest, counts: cube.Cube, now: int) -> dict[str, Any]:
    """Set counts of Tweets that are too old to 0, and return the lists of these Tweets.

    The service was seen to send ``"0"`` for old video views. What it sends for impressions and
    engagements is not known; ``"0"`` is the harder case for a client, which must ignore it.
    """
    tweet_ids, types = counts.labels[:2]
    ages = now - created(ids_array(tweet_ids))
    fields: dict[str, Any] = {}
    for name, limit in request.endpoint.age_limits.items():
        if name not in types:
            continue
        old = ages > limit // timedelta(milliseconds=1)
        counts.values[old, types.index(name)] = 0
        listed = [tweet_id for tweet_id, is_old in zip(tweet_ids, old, strict=True) if is_old]
        if not listed:
            continue
        if name == "video_views":
            fields["unsupported_for_video_views_tweet_ids"] = listed
            continue
        fields["unsupported_for_impressions_engagements_tweet_ids"] = listed
        # The real text in the brackets is unknown.
        fields["errors"] = [error_responses.TOO_OLD.message(period=f"{limit.days} days")]
    return fields


def _shuffled(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in sorted(body, key=lambda key: number(world.seed, key))}
