"""What the service answers: who may see which Tweets, and their counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.simulator import cube, error_responses
from airflow_provider_engagement.simulator.deterministic import ids_array, number
from airflow_provider_engagement.simulator.world import World, created, milliseconds

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator.auth import Asker
    from airflow_provider_engagement.simulator.request_validation import Asked

__all__ = ["answer"]


def answer(world: World, asker: Asker, asked: Asked) -> dict[str, Any]:
    """Answer a request that breaks no rule.

    :param world: what there is to know.
    :param asker: whom the request comes from.
    :param asked: what it asks for.
    :raises Refused: if the asker may not see what it asks for, or nothing of it is there.
    """
    _check_types(asker, asked)
    _check_owners(world, asker, asked)
    outcomes = {tweet_id: world.fate(tweet_id) for tweet_id in asked.tweet_ids}
    unavailable = [tweet_id for tweet_id, fate in outcomes.items() if fate != "served"]
    missing = _unavailable(unavailable)
    # A protected Tweet sinks a request made with user tokens; a deleted one is left out.
    sinks = asker.access is Access.OWNER and "protected" in outcomes.values()
    if sinks or len(unavailable) == len(outcomes):
        beside = {key: value for key, value in missing.items() if key != "errors"}
        raise error_responses.UNAVAILABLE.refuse(beside, count=len(unavailable))
    served = tuple(tweet_id for tweet_id in asked.tweet_ids if outcomes[tweet_id] == "served")
    return _shuffled(world, _counted(world, replace(asked, tweet_ids=served), missing))


def _check_types(asker: Asker, asked: Asked) -> None:
    """Refuse types that only a Tweet's owner may see, and time series, to the app itself."""
    if asker.access is Access.OWNER:
        return
    if not asked.endpoint.public_types:
        raise error_responses.NO_USER_CONTEXT.refuse()
    private = [name for name in asked.engagement_types if name not in asked.endpoint.public_types]
    if private:
        raise error_responses.FORBIDDEN_METRICS.refuse(types=", ".join(private))


def _check_owners(world: World, asker: Asker, asked: Asked) -> None:
    """Refuse the whole request if a Tweet is not the owner's: one message for each author."""
    if asker.access is not Access.OWNER:
        return
    foreign: dict[str, list[str]] = {}
    for tweet_id in asked.tweet_ids:
        owner = world.owner_of(tweet_id)
        # Whose a deleted Tweet was is no longer known.
        if owner != asker.account and world.fate(tweet_id) != "deleted":
            foreign.setdefault(owner, []).append(tweet_id)
    if foreign:
        words = error_responses.FORBIDDEN_TWEETS
        errors: list[str | dict[str, object]] = [
            words.say(author=world.author_id(owner), ids=", ".join(ids))
            for owner, ids in foreign.items()
        ]
        raise error_responses.Refused(words.status, errors, invented=not words.known)


def _unavailable(tweet_ids: list[str]) -> dict[str, Any]:
    if not tweet_ids:
        return {}
    return {
        "unavailable_tweet_ids": tweet_ids,
        "errors": [error_responses.UNAVAILABLE.say(count=len(tweet_ids))],
    }


def _counted(world: World, asked: Asked, missing: dict[str, Any]) -> dict[str, Any]:
    """Count, and put everything that an answer has together."""
    # Neither order of an answer is the request's.
    ids = sorted(asked.tweet_ids, key=lambda tweet_id: number(world.seed, "order", tweet_id))
    types = tuple(sorted(asked.engagement_types, key=lambda name: number(world.seed, name)))
    if asked.window is None:
        now = world.now()
        counts = cube.of_lifetime(world, ids, types, milliseconds(now))
        notes = _too_old(asked, counts, milliseconds(now))
    else:
        counts = cube.of_window(world, ids, types, asked.window)
        notes = asked.window.echo()
    errors = [*missing.pop("errors", []), *notes.pop("errors", [])]
    grouped = {name: counts.grouped(levels) for name, levels in asked.groupings.items()}
    return {**notes, **missing, **({"errors": errors} if errors else {}), **grouped}


def _too_old(asked: Asked, counts: cube.Cube, now: int) -> dict[str, Any]:
    """Take out what ``/totals`` no longer gives, and list it.

    The service was seen to send ``"0"`` for old video views. For impressions and engagements that
    is not known; it is the harder of the two for a client, which must not believe it.
    """
    tweet_ids, types = counts.labels[:2]
    ages = now - created(ids_array(tweet_ids))
    notes: dict[str, Any] = {}
    for name, limit in asked.endpoint.age_limits.items():
        if name not in types:
            continue
        old = ages > limit // timedelta(milliseconds=1)
        counts.values[old, types.index(name)] = 0
        listed = [tweet_id for tweet_id, is_old in zip(tweet_ids, old, strict=True) if is_old]
        if not listed:
            continue
        if name == "video_views":
            notes["unsupported_for_video_views_tweet_ids"] = listed
            continue
        notes["unsupported_for_impressions_engagements_tweet_ids"] = listed
        # What really stands in the brackets is unknown.
        notes["errors"] = [error_responses.TOO_OLD.say(period=f"{limit.days} days")]
    return notes


def _shuffled(world: World, body: dict[str, Any]) -> dict[str, Any]:
    return {key: body[key] for key in sorted(body, key=lambda key: number(world.seed, key))}
