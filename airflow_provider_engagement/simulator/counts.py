"""How the counts of a Tweet grow: one cumulative function, from which every response is made.

The audience of a Tweet has a heavy tail: most Tweets are seen by hundreds, a few by millions.
Impressions come fast at first and then slower, and more by day than by night. Every other type is
a fraction of the impressions, at its own rate. A few Tweets lose counts on one day, as when the
service removes false accounts, so an hour's count can be negative, like the real one's.

Only ``+ - * /`` and ``floor`` are used, which give the same bits on every machine. ``exp`` and
``power`` differ between processors, and even between long and short arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.simulator.deterministic import Floats, Ids, shares

__all__ = ["CORRECTED_TYPES", "Counts", "Millis", "cumulative"]

Counts = npt.NDArray[np.int64]
Millis = npt.NDArray[np.int64]

_HOUR: Final = 3_600_000
_DAY: Final = 24 * _HOUR

# The busiest time of the day (UTC); the quietest is twelve hours away.
_PEAK: Final = 17 * _HOUR
# At most 3 hours, or the warped clock would run backwards at night. With 2.2 the peak is 6 times
# as busy as the night.
_SWING: Final = 2.2 * _HOUR

# Types that lose counts when the service removes false accounts.
CORRECTED_TYPES: Final = ("engagements", "favorites", "retweets")
_CORRECTED_TWEETS: Final = 0.04
_CORRECTED_PART: Final = 0.03


@dataclass(frozen=True, slots=True)
class _Shape:
    """How the counts of one type relate to those of another.

    :param low: the smallest share of the base.
    :param high: the largest share.
    :param base: the type that it is a share of.
    :param needs: the kind of Tweet that has this type.
    :param lag: how much later than its base it grows; at least 1, so that no type exceeds its base.
    """

    low: float
    high: float
    base: Literal["impressions", "engagements"] = "engagements"
    needs: Literal["any", "media", "video"] = "any"
    lag: float = 1.0


_SHAPES: Final = {
    "impressions": _Shape(1.0, 1.0, base="impressions"),
    "engagements": _Shape(1.0, 1.0),
    "favorites": _Shape(0.25, 0.45),
    "retweets": _Shape(0.05, 0.12, lag=1.05),
    "replies": _Shape(0.01, 0.045, lag=1.1),
    "quote_tweets": _Shape(0.002, 0.009, lag=1.2),
    "video_views": _Shape(0.25, 0.6, base="impressions", needs="video"),
    "media_views": _Shape(0.6, 0.95, base="impressions", needs="media"),
    "media_engagements": _Shape(0.05, 0.2, needs="media"),
    "url_clicks": _Shape(0.02, 0.25, lag=1.05),
    "hashtag_clicks": _Shape(0.0, 0.02),
    "detail_expands": _Shape(0.15, 0.4),
    "permalink_clicks": _Shape(0.01, 0.04, lag=1.3),
    "app_install_attempts": _Shape(0.0, 0.004, lag=1.3),
    "app_opens": _Shape(0.0, 0.006, lag=1.3),
    "email_tweet": _Shape(0.0, 0.002, lag=1.5),
    "user_follows": _Shape(0.002, 0.015, lag=1.2),
    "user_profile_clicks": _Shape(0.05, 0.15, lag=1.1),
}

if set(_SHAPES) != set(ENGAGEMENT_TYPES):  # pragma: no cover - guards edits of either table
    msg = "simulator/counts.py and api/spec.py name different engagement types."
    raise AssertionError(msg)

_KINDS: Final = {"any": 1.0, "media": 0.6, "video": 0.35}


def cumulative(
    seed: int, ids: Ids, created: Millis, types: tuple[str, ...], moments: Millis
) -> Counts:
    """Return the counts of Tweets up to each of some moments.

    :param seed: the world's seed.
    :param ids: the ids of the Tweets.
    :param created: when each was created, in Unix milliseconds.
    :param types: the engagement types.
    :param moments: Unix milliseconds.
    :returns: counts by Tweet, type and moment. Zero up to a Tweet's creation.
    """
    audience = 400.0 / (shares(ids, seed, "audience") + 1e-4)
    engaged = audience * (0.01 + 0.05 * shares(ids, seed, "engagement rate"))
    kind = shares(ids, seed, "kind")
    age = _ages(created, moments)
    corrected, corrected_from, corrected_age = _corrections(seed, ids, created)
    counts = np.empty((len(ids), len(types), len(moments)), dtype=np.int64)
    for column, name in enumerate(types):
        shape = _SHAPES[name]
        base = audience if shape.base == "impressions" else engaged
        rate = shape.low + (shape.high - shape.low) * shares(ids, seed, "rate", name)
        total = (base * rate * (kind < _KINDS[shape.needs]))[:, np.newaxis]
        happened = np.floor(total * _share_reached(seed, ids, age, shape.lag))
        if name in CORRECTED_TYPES:
            before = total * _share_reached(seed, ids, corrected_age, shape.lag)
            removed = np.floor(before * _CORRECTED_PART) * corrected[:, np.newaxis]
            happened -= removed * (moments >= corrected_from[:, np.newaxis])
        counts[:, column, :] = happened
    return counts


def _corrections(seed: int, ids: Ids, created: Millis) -> tuple[Floats, Millis, Floats]:
    """Return which Tweets lose counts (1 or 0), when, and their age then."""
    corrected = (shares(ids, seed, "corrected") < _CORRECTED_TWEETS).astype(np.float64)
    after = (_DAY * (1.0 + 9.0 * shares(ids, seed, "corrected after"))).astype(np.int64)
    moments = created + after
    age = np.maximum(_warped(moments) - _warped(created), 0.0) / _HOUR
    return corrected, moments, age[:, np.newaxis]


def _ages(created: Millis, moments: Millis) -> Floats:
    """Return each Tweet's age at each moment, in hours of a clock that runs faster by day."""
    age = _warped(moments)[np.newaxis, :] - _warped(created)[:, np.newaxis]
    return np.maximum(age, 0.0) / _HOUR


def _warped(moments: Millis) -> Floats:
    # Two parabolas that resemble a sine; the slope says how busy the hour is.
    phase = ((moments - _PEAK) % _DAY) / _DAY
    first_half = 8.0 * phase * (1.0 - 2.0 * phase)
    second_half = 8.0 * (1.0 - phase) * (1.0 - 2.0 * phase)
    return moments + _SWING * np.where(phase < 0.5, first_half, second_half)  # noqa: PLR2004 - half of a day


def _share_reached(seed: int, ids: Ids, age: Floats, lag: float) -> Floats:
    """Return the share of a Tweet's final counts that is reached at an age in hours."""
    fast = (lag * (2.0 + 6.0 * shares(ids, seed, "fast")))[:, np.newaxis]
    slow = (lag * (72.0 + 168.0 * shares(ids, seed, "slow")))[:, np.newaxis]
    return 0.85 * (age / (age + fast)) + 0.15 * (age / (age + slow))
