"""Says what became of each Tweet, from what each request brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.spec import Access
from airflow_provider_engagement.rows.coverage import Coverage, Status, TweetOutcome

if TYPE_CHECKING:
    from airflow_provider_engagement.api.plan import Plan
    from airflow_provider_engagement.pull.fetched import Fetched

__all__ = ["settle", "settle_unasked"]

_TOO_OLD: Final = "too old for some types"
_TOO_YOUNG: Final = "made after the range that was asked for"
_UNSUPPORTED: Final = "the service lists it as unsupported for some types"
_UNAVAILABLE: Final = "deleted, protected or suspended"
_FOREIGN: Final = "belongs to another account"
_FOREIGN_PUBLIC: Final = "belongs to another account: public counts only"
_NOT_TOLD_APART: Final = "refused together with others, and not told apart within bounds"
_ABSENT: Final = "absent from the answer"
_PARTLY_ABSENT: Final = "some types are absent from the answer"


def settle_unasked(plan: Plan, coverage: Coverage) -> None:
    """Say what becomes of the Tweets that no request is worth sending for."""
    types = plan.query.engagement_types
    old = [item for item, spared in plan.too_old.items() if set(types).issubset(spared)]
    coverage.settle(old, TweetOutcome(Status.UNSUPPORTED, reason=_TOO_OLD, missing_types=types))
    young = TweetOutcome(Status.UNSUPPORTED, reason=_TOO_YOUNG, missing_types=types)
    coverage.settle(plan.too_young, young)


def settle(fetched: Fetched, plan: Plan, coverage: Coverage) -> None:
    """Say what became of the Tweets of one request.

    What an app-only request brings of a foreign Tweet stands over what was known of it.
    """
    request = fetched.request
    second_look = request.access is not plan.query.access
    for tweet_id in request.tweet_ids:
        fate = _fate(tweet_id, fetched, plan)
        if second_look:
            coverage.outcomes[tweet_id] = fate
        else:
            coverage.add(tweet_id, fate)


def _fate(tweet_id: str, fetched: Fetched, plan: Plan) -> TweetOutcome:
    request, asked = fetched.request, fetched.asked
    wanted = plan.query.engagement_types
    listed = fetched.unsupported.get(tweet_id, frozenset())
    if tweet_id in asked.unavailable:
        return TweetOutcome(Status.UNAVAILABLE, _UNAVAILABLE, None, wanted)
    if tweet_id in asked.forbidden:
        return TweetOutcome(Status.FORBIDDEN, _FOREIGN, None, wanted)
    if tweet_id in asked.unanswered:
        return TweetOutcome(Status.UNANSWERED, _NOT_TOLD_APART, None, wanted)
    lacking = fetched.lacking.get(tweet_id, frozenset())
    if tweet_id not in fetched.seen:
        if listed and not lacking:
            return TweetOutcome(Status.UNSUPPORTED, _UNSUPPORTED, None, wanted)
        return TweetOutcome(Status.UNANSWERED, _ABSENT, None, wanted)
    missing = tuple(
        name
        for name in wanted
        if name in listed or name in lacking or name not in request.engagement_types
    )
    reason = None
    if missing:
        reason = _PARTLY_ABSENT if lacking else _UNSUPPORTED if listed else _TOO_OLD
    if request.access is Access.PUBLIC and plan.query.access is Access.OWNER:
        reason = _FOREIGN_PUBLIC
    told = tuple(name for name in missing if name in lacking)
    return TweetOutcome(Status.ANSWERED, reason, request.access, missing, told)
