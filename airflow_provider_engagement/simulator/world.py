"""The simulated Tweets: their authors, their state and their counts.

Nothing is stored. The author, the state and the counts of a Tweet all follow from its id and the
seed. Every valid id is a Tweet, and every process with the same seed sees the same world.
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

# Ids up to LAST_SEQUENTIAL_ID hold no time; their times are spread evenly over the years before.
_FIRST_TWEET_MS: Final = 1_142_974_200_000

# Foreign Tweets have few authors, so that an error names several ids of one author.
_FOREIGN_ACCOUNTS: Final = 7

_SAMPLE_PERIOD: Final = timedelta(days=30)

# How many ids to try for one Tweet of an account; enough for a hundred accounts.
_ATTEMPTS: Final = 10_000

# Time series count events of these types from this day on; /totals counts all (documented).
_RECORDED_SINCE_MS: Final = 1_442_275_200_000
_RECORDED_LATER: Final = ("favorites", "retweets", "replies")


def milliseconds(moment: datetime) -> int:
    """Return a moment in Unix milliseconds.

    :raises ValueError: if it has no time zone.
    """
    if moment.tzinfo is None:
        msg = f"{moment.isoformat()} has no time zone; give one, such as datetime.UTC."
        raise ValueError(msg)
    return (moment - _EPOCH) // _MILLISECOND


class World:
    """The Tweets and accounts of the simulated service.

    :param seed: the seed of every random choice.
    :param accounts: the handles whose owners granted access to the app. They own all ids except
        the foreign ones; the owner follows from the id's hash.
    :param now: None for the real clock, so that counts grow; a moment freezes counts and ages.
    :param deleted: the ids of deleted Tweets. This set and the next two can be changed later.
    :param protected: the ids of Tweets that only followers of their author may see.
    :param foreign: the ids of Tweets by authors who granted no access.
    :param deleted_share: the share of the other ids that is deleted, chosen by the id's hash.
    :param protected_share: the share that is protected.
    :param foreign_share: the share that is foreign.
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
        """Return the current time of the service."""
        return datetime.now(UTC) if self._now is None else self._now

    def freeze(self, moment: datetime | None) -> None:
        """Stop the clock at a moment; None makes it follow the real clock again."""
        if moment is not None:
            milliseconds(moment)
        self._now = moment

    def credentials(self, account: str) -> made.Credentials:
        """Return the keys and tokens of an account.

        :param account: one of the world's accounts. The consumer key, its secret and the bearer
            token belong to the app and are the same for all accounts.
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
        """Return the token that an account's owner granted to the app."""
        if account not in self.accounts:
            msg = f"This world has no account {account!r}; it has {', '.join(self.accounts)}."
            raise ValueError(msg)
        return made.user_token(self.seed, account)

    def author_id(self, handle: str) -> int:
        """Return the numeric id of a handle, which the service calls author id."""
        return made.author_id(self.seed, handle)

    def owner_of(self, tweet_id: str) -> str:
        """Return the handle of a Tweet's author: one of the accounts, or a foreign one."""
        if tweet_id in self.foreign or self._is_chosen(tweet_id, "foreign", self.foreign_share):
            return f"foreign_{number(self.seed, 'foreign account', tweet_id) % _FOREIGN_ACCOUNTS}"
        if len(self.accounts) == 1:
            return self.accounts[0]
        return self.accounts[number(self.seed, "owner", tweet_id) % len(self.accounts)]

    def outcome(self, tweet_id: str) -> TweetOutcome:
        """Return whether a Tweet is served; one from the future counts as deleted."""
        if tweet_id in self.deleted:
            return "deleted"
        if tweet_id in self.protected:
            return "protected"
        if self._is_chosen(tweet_id, "deleted", self.deleted_share):
            return "deleted"
        if self._is_chosen(tweet_id, "protected", self.protected_share):
            return "protected"
        number_ = int(tweet_id)
        if number_ > LAST_SEQUENTIAL_ID:
            made_at = (number_ >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS
            if made_at > milliseconds(self.now()):
                return "deleted"
        return "served"

    def tweets(
        self,
        account: str | None,
        n: int,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[str]:
        """Return sample ids of Tweets, created evenly over a period.

        :param account: their author; None for any, foreign ones included.
        :param n: how many.
        :param since: the start of the period; by default 30 days before its end.
        :param until: its end, exclusive; by default the world's present.
        :returns: distinct ids, oldest first; the same for the same arguments. The world's shares
            of them are deleted, protected or foreign.
        """
        if account is not None:
            self.user_token(account)
        until = until or self.now()
        since = since or until - _SAMPLE_PERIOD
        first, last = milliseconds(since), milliseconds(until)
        if n and last <= first:
            msg = f"until must be after since; got {since.isoformat()} and {until.isoformat()}."
            raise ValueError(msg)
        found: set[int] = set()
        for place in range(n):
            for attempt in range(_ATTEMPTS):
                tweet_id = self._make((account, first, last, n, place, attempt))
                if tweet_id not in found and account in (None, self.owner_of(str(tweet_id))):
                    found.add(tweet_id)
                    break
            else:
                msg = f"Found fewer than {n} Tweets of {account}; lower foreign_share."
                raise ValueError(msg)
        return [str(tweet_id) for tweet_id in sorted(found)]

    def _make(self, draw: tuple[str | None, int, int, int, int, int]) -> int:
        """Return an id whose time is in one of n equal parts of a period."""
        _, first, last, n, place, _ = draw
        chance = number(self.seed, "tweet", *draw)
        low = first + (last - first) * place // n
        high = max(low + 1, first + (last - first) * (place + 1) // n)
        made_at = low + (chance >> TIMESTAMP_SHIFT) % (high - low)
        bits = chance & ((1 << TIMESTAMP_SHIFT) - 1)
        return (max(made_at - FIRST_SNOWFLAKE_MS, 1) << TIMESTAMP_SHIFT) | bits

    def count(self, tweet_id: str, engagement_type: str, at: datetime | None = None) -> int:
        """Return a lifetime count, as ``/totals`` does.

        :param tweet_id: the Tweet.
        :param engagement_type: any of the 18 types.
        :param at: the moment; None is now. Later moments count as now.
        """
        self._check_type(engagement_type)
        moments = np.array([milliseconds(at or self.now())], dtype=np.int64)
        return int(self.counts([tweet_id], (engagement_type,), moments)[0, 0, 0])

    def count_between(
        self, tweet_id: str, engagement_type: str, start: datetime, end: datetime
    ) -> int:
        """Return the count of [start, end), as a time series does.

        It can be negative, because the service removes the counts of false accounts.
        """
        self._check_type(engagement_type)
        edges = np.array([milliseconds(start), milliseconds(end)], dtype=np.int64)
        return int(self.series([tweet_id], (engagement_type,), edges)[0, 0, 0])

    def counts(self, tweet_ids: Sequence[str], types: tuple[str, ...], moments: Millis) -> Counts:
        """Return lifetime counts by Tweet, type and moment (Unix milliseconds)."""
        ids = ids_array(tweet_ids)
        moments = np.minimum(moments, milliseconds(self.now()))
        return cumulative(self.seed, ids, created(ids), types, moments)

    def series(self, tweet_ids: Sequence[str], types: tuple[str, ...], edges: Millis) -> Counts:
        """Return the counts of periods, by Tweet, type and period.

        :param edges: Unix milliseconds; each period is from one edge to the next.
        """
        events = np.diff(self.counts(tweet_ids, types, edges), axis=2)
        if edges[0] < _RECORDED_SINCE_MS:
            recorded = self.counts(tweet_ids, types, np.maximum(edges, _RECORDED_SINCE_MS))
            for column, name in enumerate(types):
                if name in _RECORDED_LATER:
                    events[:, column, :] = np.diff(recorded[:, column, :], axis=1)
        return events

    def _is_chosen(self, tweet_id: str, purpose: str, part: float) -> bool:
        # Skip the hash where the share is 0, because a request has up to 250 ids.
        return part > 0 and share(self.seed, purpose, tweet_id) < part

    @staticmethod
    def _check_type(engagement_type: str) -> None:
        if engagement_type not in ENGAGEMENT_TYPES:
            msg = f"{engagement_type!r} is not an engagement type; see api/spec.py."
            raise ValueError(msg)


def created(ids: Ids) -> Millis:
    """Return when Tweets were created, in Unix milliseconds, from their ids."""
    snowflakes = (ids >> np.uint64(TIMESTAMP_SHIFT)).astype(np.int64) + FIRST_SNOWFLAKE_MS
    years_before = FIRST_SNOWFLAKE_MS - _FIRST_TWEET_MS
    place = np.minimum(ids, np.uint64(LAST_SEQUENTIAL_ID)) / LAST_SEQUENTIAL_ID
    sequential = _FIRST_TWEET_MS + (place * years_before).astype(np.int64)
    return np.where(ids <= LAST_SEQUENTIAL_ID, sequential, snowflakes)
