"""Rates of campaigns with intervals, and differences between campaigns: a bootstrap over Tweets.

A campaign's rate is its engagements over its impressions. Tweets differ so much in size that a few
of them decide a rate, so the usual formulas find differences that do not exist. The method is a
bootstrap of the studentized logarithm of the rate, with symmetric intervals. docs/decisions has
the comparison with other methods.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from airflow_provider_engagement.reports.figures import change

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "CONFIDENCE",
    "MIN_EFFECTIVE_SIZE",
    "MIN_TWEETS",
    "RESAMPLES",
    "CampaignRate",
    "CampaignSample",
    "RateDifference",
    "compare_campaigns",
    "effective_size",
]

_Floats = npt.NDArray[np.float64]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 2_999

# Below these a campaign has no interval: so few Tweets do not show how much their counts vary.
MIN_TWEETS: Final = 10
MIN_EFFECTIVE_SIZE: Final = 4.0

# The widest interval to each side, as a logarithm: a factor of a thousand. It says nothing more.
_WIDEST: Final = 7.0

# Cells of the matrices that are in memory at once: 4 MB each.
_CELLS: Final = 500_000


@dataclass(frozen=True, slots=True)
class CampaignSample:
    """The counts of a campaign's Tweets, or of random groups of them where they are many.

    :param name: the campaign.
    :param tweets: the number of Tweets.
    :param engagements: one number for each Tweet or group.
    :param impressions: the same, in the same order.
    """

    name: str
    tweets: int
    engagements: _Floats
    impressions: _Floats


@dataclass(frozen=True, slots=True)
class CampaignRate:
    """A campaign's engagement rate.

    :param name: the campaign.
    :param tweets: the number of Tweets.
    :param rate: engagements over impressions; None without impressions.
    :param low: the lower end of the 95 % interval; None if there are too few Tweets to tell.
    :param high: its upper end, or None likewise.
    """

    name: str
    tweets: int
    rate: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class RateDifference:
    """By how much the rate of one campaign is above that of another.

    :param first: the campaign.
    :param second: the campaign that it is compared with.
    :param change: the first rate over the second, less 1: 0.1 is 10 % higher; None without rates.
    :param low: the lower end of the interval; None if there are too few Tweets to tell.
    :param high: its upper end, or None likewise.
    """

    first: str
    second: str
    change: float | None
    low: float | None = None
    high: float | None = None

    @property
    def is_different(self) -> bool | None:
        """Whether the rates differ; None if there are too few Tweets to tell."""
        if self.low is None or self.high is None:
            return None
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True, slots=True)
class _Bootstrap:
    """The logarithm of a rate, its standard error, both in each resample; the rate's interval."""

    log_rate: float
    error: float
    log_rates: _Floats
    errors: _Floats
    interval: tuple[float, float]


def compare_campaigns(
    samples: Sequence[CampaignSample],
    *,
    with_pairs: bool = True,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[list[CampaignRate], list[RateDifference]]:
    """Return each campaign's rate and each pair's difference, with 95 % intervals.

    The intervals of the differences hold for all pairs together: if no campaigns differ, one or
    more pairs are called different in 5 % of all reports. The same arguments give the same result.

    :param samples: the campaigns.
    :param with_pairs: whether to compare them with each other.
    :param seed: the seed of the bootstrap.
    :param resamples: how often the Tweets are drawn again.
    :returns: the rates in the order of the samples, and the differences of all pairs.
    """
    drawn = {each.name: _bootstrap(each, seed, resamples) for each in samples}
    rates = {each.name: _rate(each, drawn[each.name]) for each in samples}
    names = [each.name for each in samples]
    pairs = list(combinations(names, 2)) if with_pairs else []
    drawn_pairs = [(drawn[one], drawn[other]) for one, other in pairs]
    differences = [
        _difference(rates[one], rates[other], both, limit)
        for (one, other), both, limit in zip(
            pairs, drawn_pairs, _joint_limits(drawn_pairs), strict=True
        )
    ]
    return list(rates.values()), differences


def effective_size(impressions: _Floats) -> float:
    """Return how many Tweets of equal size would determine a rate as well as these.

    :param impressions: of each Tweet.
    """
    squares = float(np.square(impressions).sum())
    return float(impressions.sum()) ** 2 / squares if squares else 0.0


def _bootstrap(sample: CampaignSample, seed: int, resamples: int) -> _Bootstrap | None:
    """Draw the Tweets again and again; return None if there are too few to tell."""
    size = len(sample.impressions)
    is_enough = (
        size >= MIN_TWEETS
        and sample.engagements.sum() > 0
        and sample.impressions.min() >= 0
        and effective_size(sample.impressions) >= MIN_EFFECTIVE_SIZE
    )
    if not is_enough:
        return None
    # A seed of its own, so that another campaign on the page does not change this one's interval.
    generator = np.random.default_rng([seed, zlib.crc32(sample.name.encode())])
    log_rate, error = _log_rates(sample, np.ones((1, size)))
    rows = max(1, _CELLS // size)
    chances = np.full(size, 1.0 / size)
    parts = [
        _log_rates(sample, generator.multinomial(size, chances, min(rows, resamples - begin)))
        for begin in range(0, resamples, rows)
    ]
    log_rates, errors = (np.concatenate(each) for each in zip(*parts, strict=True))
    estimate, its_error = float(log_rate[0]), float(error[0])
    distances = _studentized(estimate, log_rates, errors)
    limit = float(np.quantile(distances, CONFIDENCE, method="higher"))
    interval = _interval(estimate, its_error, limit)
    return _Bootstrap(estimate, its_error, log_rates, errors, interval) if interval else None


def _log_rates(sample: CampaignSample, weights: npt.NDArray[np.generic]) -> tuple[_Floats, _Floats]:
    """Return the logarithm of the rate and its standard error, for each row of weights.

    A large Tweet draws the rate to itself, which makes its residual too small: each square is
    divided by 1 less the Tweet's share of the impressions.
    """
    counts = weights.astype(np.float64)
    engagements, impressions = counts @ sample.engagements, counts @ sample.impressions
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = engagements / impressions
        residuals = sample.engagements - rates[:, np.newaxis] * sample.impressions
        room = 1.0 - sample.impressions / impressions[:, np.newaxis]
        squares = np.divide(np.square(residuals), room, where=room > 0, out=np.zeros_like(room))
        errors = np.sqrt((counts * squares).sum(axis=1)) / engagements
        return np.log(rates), errors


def _studentized(center: float, log_rates: _Floats, errors: _Floats) -> _Floats:
    """Return the distance of each resample from the estimate, in standard errors.

    A resample without engagements, or of one Tweet alone, says nothing: it counts as far away.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.abs(log_rates - center) / errors
    return np.where(np.isfinite(distances), distances, np.inf)


def _rate(sample: CampaignSample, drawn: _Bootstrap | None) -> CampaignRate:
    impressions = float(sample.impressions.sum())
    rate = float(sample.engagements.sum()) / impressions if impressions else None
    low, high = drawn.interval if drawn else (None, None)
    return CampaignRate(sample.name, sample.tweets, rate, low, high)


def _interval(center: float, error: float, limit: float) -> tuple[float, float] | None:
    """Return the ends of an interval of the exponential; None if it is too wide to say anything."""
    width = limit * error
    if not width < _WIDEST:
        return None
    return float(np.exp(center - width)), float(np.exp(center + width))


def _difference(
    one: CampaignRate,
    other: CampaignRate,
    drawn: tuple[_Bootstrap | None, _Bootstrap | None],
    limit: float | None,
) -> RateDifference:
    first, second = drawn
    known = RateDifference(one.name, other.name, change(one.rate, other.rate))
    if first is None or second is None or limit is None:
        return known
    error = float(np.hypot(first.error, second.error))
    ends = _interval(first.log_rate - second.log_rate, error, limit)
    if ends is None:
        return known
    return replace(known, low=ends[0] - 1.0, high=ends[1] - 1.0)


def _joint_limits(
    pairs: Sequence[tuple[_Bootstrap | None, _Bootstrap | None]],
) -> list[float | None]:
    """Return for each pair how many standard errors its interval is wide to each side.

    All intervals hold together in 95 of 100 reports, and each fails as often as any other: the
    limit is the same quantile of each pair's own distances.
    """
    distances = {
        place: _pair_distances(one, other)
        for place, (one, other) in enumerate(pairs)
        if one is not None and other is not None
    }
    if not distances:
        return [None] * len(pairs)
    rows = np.stack(list(distances.values()))
    ranks = rows.argsort(axis=1).argsort(axis=1)
    # The rank that no pair exceeds in 95 % of the resamples.
    rank = int(np.quantile(ranks.max(axis=0), CONFIDENCE, method="higher"))
    limits = dict(zip(distances, np.sort(rows, axis=1)[:, rank].tolist(), strict=True))
    return [limits.get(place) for place in range(len(pairs))]


def _pair_distances(one: _Bootstrap, other: _Bootstrap) -> _Floats:
    return _studentized(
        one.log_rate - other.log_rate,
        one.log_rates - other.log_rates,
        np.hypot(one.errors, other.errors),
    )
