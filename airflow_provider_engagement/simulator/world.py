"""The world behind the service: which Tweets there are, whose they are, and how they fare.

Nothing is stored. Whose a Tweet is, what became of it and how often it was seen all follow from
its id and the seed, so any id that could be a Tweet's is one, and every process that makes a world
from one seed sees the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.api.tweet_id import (
    FIRST_SNOWFLAKE_MS,
    LAST_SEQUENTIAL_ID,
    TIMESTAMP_SHIFT,
)
from airflow_provider_engagement.simulator import credentials as made
from airflow_provider_engagement.simulator.counts import Counts, Millis, cumulative
from airflow_provider_engagement.simulator.deterministic import Ids, ids_array, number, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["TweetOutcome", "World", "created", "milliseconds"]

TweetOutcome = Literal["served", "deleted", "protected"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Ids up to LAST_SEQUENTIAL_ID carry no time: theirs are spread evenly over the years before.
_FIRST_TWEET_MS: Final = 1_142_974_200_000

# Foreign Tweets belong to a few handles, so that a refusal names several ids for one author.
_STRANGERS: Final = 7

# Ids drawn for one Tweet until it is the right account's: plenty for a hundred accounts.
_ATTEMPTS: Final = 10_000

# The service has these types from this day on: what happened before counts as nothing in a time
# series, though not in /totals (documented: a condition on the event's date).
_RECORDED_SINCE_MS: Final = 1_442_275_200_000
_RECORDED_LATER: Final = ("favorites", "retweets", "replies")


def milliseconds(moment: datetime) -> int:
    """Turn a moment into Unix milliseconds.

    :raises ValueError: if it has no time zone: that of this machine would be a guess.
    """
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone; give one, such as datetime.UTC."
        raise ValueError(msg)
    return (moment - _EPOCH) // _MILLISECOND


class World:
    """What the simulated service knows.

    :param seed: all that is left to chance follows from this.
    :param accounts: the handles whose owners have granted the app access. They own all ids but
        the foreign ones, and share them out by the id's hash.
    :param now: None for the real clock, under which Tweets grow while they are watched; a moment
        freezes every count and age at it.
    :param deleted: ids of Tweets that are gone. This set and the next two may be changed later.
    :param protected: ids of Tweets that only their author's followers may see.
    :param foreign: ids of Tweets by others, who have granted nothing.
    :param deleted_share: share of all other ids that is gone too, chosen by the id's hash.
    :param protected_share: the same, protected.
    :param foreign_share: the same, by others.
    """

    def __init__(
        self,
        seed: int = 7,
        accounts: Iterable[str] = ("acme",),
        now: datetime | None = None,
        *,
        deleted: Iterable[str | int] = (),
        protected: Iterable[str | int] = (),
        foreign: Iterable[str | int] = (),
        deleted_share: float = 0.0,
        protected_share: float = 0.0,
        foreign_share: float = 0.0,
    ) -> None:
        self.seed = seed
        self.accounts = tuple(accounts)
        self.deleted = {str(tweet_id) for tweet_id in deleted}
        self.protected = {str(tweet_id) for tweet_id in protected}
        self.foreign = {str(tweet_id) for tweet_id in foreign}
        self.deleted_share = deleted_share
        self.protected_share = protected_share
        self.foreign_share = foreign_share
        if not self.accounts or len(set(self.accounts)) != len(self.accounts):
            msg = f"A world needs accounts, each once; got {list(self.accounts)}."
            raise ValueError(msg)
        self.app = made.app(seed)
        self.freeze(now)

    def now(self) -> datetime:
        """Tell the moment that the service's counts and ages are taken at."""
        return datetime.now(UTC) if self._now is None else self._now

    def freeze(self, moment: datetime | None) -> None:
        """Set the clock to a moment and stop it there, or let it run with the real one (None)."""
        if moment is not None:
            milliseconds(moment)
        self._now = moment

    def credentials(self, account: str) -> made.Credentials:
        """Give the keys and tokens to ask with as an account.

        :param account: one of the world's accounts. The consumer pair and the bearer are the
            app's, and so the same for all of them.
        """
        token = self.user_token(account)
        return {
            "consumer_key": self.app.key,
            "consumer_secret": self.app.secret,
            "access_token": token.token,
            "access_token_secret": token.secret,
            "bearer_token": self.app.bearer,
        }

    def user_token(self, account: str) -> made.UserToken:
        """Give what an account's owner has granted to the app."""
        if account not in self.accounts:
            msg = f"This world has no account {account!r}: it has {', '.join(self.accounts)}."
            raise ValueError(msg)
        return made.user_token(self.seed, account)

    def author_id(self, handle: str) -> int:
        """Give the number of a handle, which the service calls its author id."""
        return made.author_id(self.seed, handle)

    def owner_of(self, tweet_id: str) -> str:
        """Tell whose a Tweet is: one of the accounts, or the handle of a stranger."""
        if tweet_id in self.foreign or self._falls(tweet_id, "foreign", self.foreign_share):
            return f"stranger_{number(self.seed, 'stranger', tweet_id) % _STRANGERS}"
        if len(self.accounts) == 1:
            return self.accounts[0]
        return self.accounts[number(self.seed, "owner", tweet_id) % len(self.accounts)]

    def fate(self, tweet_id: str) -> TweetOutcome:
        """Tell what became of a Tweet. One that is not made yet counts as deleted."""
        if tweet_id in self.deleted:
            return "deleted"
        if tweet_id in self.protected:
            return "protected"
        if self._falls(tweet_id, "deleted", self.deleted_share):
            return "deleted"
        if self._falls(tweet_id, "protected", self.protected_share):
            return "protected"
        number_ = int(tweet_id)
        if number_ > LAST_SEQUENTIAL_ID:
            made_at = (number_ >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS
            if made_at > milliseconds(self.now()):
                return "deleted"
        return "served"

    def tweets(self, account: str | None, n: int, *, since: datetime, until: datetime) -> list[str]:
        """Make up ids of Tweets, spread evenly over a range of time.

        :param account: whose they shall be; None for anyone's, strangers' included if the world
            has a share of those.
        :param n: how many.
        :param since: the earliest that one may have been made.
        :param until: the end of the range, exclusive.
        :returns: distinct ids, oldest first: the same ones at every call with the same values.
            The world's shares say how many of them are deleted or protected.
        """
        if account is not None:
            self.user_token(account)
        first, last = milliseconds(since), milliseconds(until)
        if n and last <= first:
            msg = f"No Tweet can be made between {since.isoformat()} and {until.isoformat()}."
            raise ValueError(msg)
        found: set[int] = set()
        for place in range(n):
            for attempt in range(_ATTEMPTS):
                tweet_id = self._make((account, first, last, n, place, attempt))
                if tweet_id not in found and account in (None, self.owner_of(str(tweet_id))):
                    found.add(tweet_id)
                    break
            else:
                msg = f"Found no {n} Tweets of {account}: strangers have too large a share."
                raise ValueError(msg)
        return [str(tweet_id) for tweet_id in sorted(found)]

    def _make(self, draw: tuple[str | None, int, int, int, int, int]) -> int:
        """Make an id in one of n slices of a span of time."""
        _, first, last, n, place, _ = draw
        chance = number(self.seed, "tweet", *draw)
        low = first + (last - first) * place // n
        high = max(low + 1, first + (last - first) * (place + 1) // n)
        made_at = low + (chance >> TIMESTAMP_SHIFT) % (high - low)
        bits = chance & ((1 << TIMESTAMP_SHIFT) - 1)
        return (max(made_at - FIRST_SNOWFLAKE_MS, 1) << TIMESTAMP_SHIFT) | bits

    def count(self, tweet_id: str, engagement_type: str, at: datetime | None = None) -> int:
        """Tell a lifetime count, as ``/totals`` serves it.

        :param tweet_id: the Tweet.
        :param engagement_type: any of the 18 types.
        :param at: the moment; None is now. Nothing has happened after now.
        """
        self._check_type(engagement_type)
        moments = np.array([milliseconds(at or self.now())], dtype=np.int64)
        return int(self.counts([tweet_id], (engagement_type,), moments)[0, 0, 0])

    def count_between(
        self, tweet_id: str, engagement_type: str, start: datetime, end: datetime
    ) -> int:
        """Tell how many events fell into [start, end), as a time series serves it.

        May be negative: the service takes counts back when it removes false accounts.
        """
        self._check_type(engagement_type)
        edges = np.array([milliseconds(start), milliseconds(end)], dtype=np.int64)
        return int(self.series([tweet_id], (engagement_type,), edges)[0, 0, 0])

    def counts(self, tweet_ids: Sequence[str], types: tuple[str, ...], moments: Millis) -> Counts:
        """Give lifetime counts by Tweet, type and moment (Unix milliseconds), all at once."""
        ids = ids_array(tweet_ids)
        moments = np.minimum(moments, milliseconds(self.now()))
        return cumulative(self.seed, ids, created(ids), types, moments)

    def series(self, tweet_ids: Sequence[str], types: tuple[str, ...], edges: Millis) -> Counts:
        """Give the events by Tweet, type and period, all at once.

        :param edges: Unix milliseconds; each period runs from one edge to the next.
        """
        events = np.diff(self.counts(tweet_ids, types, edges), axis=2)
        if edges[0] < _RECORDED_SINCE_MS:
            recorded = self.counts(tweet_ids, types, np.maximum(edges, _RECORDED_SINCE_MS))
            for column, name in enumerate(types):
                if name in _RECORDED_LATER:
                    events[:, column, :] = np.diff(recorded[:, column, :], axis=1)
        return events

    def _falls(self, tweet_id: str, purpose: str, part: float) -> bool:
        # Most worlds have no such shares, and a hash for each of 250 ids adds up.
        return part > 0 and share(self.seed, purpose, tweet_id) < part

    @staticmethod
    def _check_type(engagement_type: str) -> None:
        if engagement_type not in ENGAGEMENT_TYPES:
            msg = f"{engagement_type!r} is no engagement type: see api/spec.py."
            raise ValueError(msg)


def created(ids: Ids) -> Millis:
    """Tell when Tweets were made, in Unix milliseconds, from their ids."""
    snowflakes = (ids >> np.uint64(TIMESTAMP_SHIFT)).astype(np.int64) + FIRST_SNOWFLAKE_MS
    years_before = FIRST_SNOWFLAKE_MS - _FIRST_TWEET_MS
    place = np.minimum(ids, np.uint64(LAST_SEQUENTIAL_ID)) / LAST_SEQUENTIAL_ID
    sequential = _FIRST_TWEET_MS + (place * years_before).astype(np.int64)
    return np.where(ids <= LAST_SEQUENTIAL_ID, sequential, snowflakes)
