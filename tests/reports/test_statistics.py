from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from airflow_provider_engagement.reports.statistics import (
    CampaignSample,
    compare_campaigns,
    effective_size,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def sample(name: str, seed: int, tweets: int = 60, rate: float = 0.03) -> CampaignSample:
    """Draw Tweets of uneven size, whose rates scatter around one rate."""
    generator = np.random.default_rng(seed)
    impressions = np.floor(np.exp(generator.normal(8.0, 1.0, tweets)))
    rates = rate * generator.uniform(0.6, 1.4, tweets)
    return CampaignSample(name, tweets, np.floor(impressions * rates), impressions)


def test_rate_is_of_sums_and_lies_in_its_interval() -> None:
    drawn = sample("spring", 1)
    (found,), differences = compare_campaigns([drawn])
    assert found.rate == drawn.engagements.sum() / drawn.impressions.sum()
    assert found.low is not None
    assert found.high is not None
    assert 0 < found.low < found.rate < found.high < 1
    assert differences == []


def test_same_samples_give_the_same_page() -> None:
    samples = [sample(name, seed) for seed, name in enumerate(("spring", "summer", "autumn"))]
    assert compare_campaigns(samples) == compare_campaigns(samples)


def test_interval_of_a_rate_does_not_depend_on_other_campaigns() -> None:
    spring, summer = sample("spring", 1), sample("summer", 2)
    assert compare_campaigns([spring])[0][0] == compare_campaigns([summer, spring])[0][1]


def test_large_difference_is_found_in_its_direction() -> None:
    (_, _), (found,) = compare_campaigns([sample("spring", 1, rate=0.06), sample("summer", 2)])
    assert found.is_different is True
    assert found.change is not None
    assert found.low is not None
    assert 0 < found.low < found.change
    _, (reverse,) = compare_campaigns([sample("summer", 2), sample("spring", 1, rate=0.06)])
    assert reverse.is_different is True
    assert reverse.high is not None
    assert reverse.high < 0


def test_more_pairs_make_wider_intervals() -> None:
    samples = [sample(str(number), number) for number in range(5)]
    _, (alone,) = compare_campaigns(samples[:2])
    together = compare_campaigns(samples)[1][0]
    assert (alone.first, alone.second) == (together.first, together.second)
    assert alone.low is not None
    assert together.low is not None
    assert together.low < alone.low


def few() -> CampaignSample:
    return sample("few", 3, tweets=9)


def one_giant() -> CampaignSample:
    impressions = np.array([1e6] + [100.0] * 59)
    return CampaignSample("giant", 60, impressions * 0.03, impressions)


def no_engagements() -> CampaignSample:
    return CampaignSample("none", 60, np.zeros(60), np.full(60, 100.0))


def corrected() -> CampaignSample:
    return CampaignSample("corrected", 60, np.array([-500.0] + [1.0] * 59), np.full(60, 100.0))


def rare_engagements() -> CampaignSample:
    """One Tweet has all engagements, so that many resamples have none."""
    return CampaignSample("rare", 60, np.array([5.0] + [0.0] * 59), np.full(60, 100.0))


@pytest.mark.parametrize("made", [few, one_giant, no_engagements, corrected, rare_engagements])
def test_too_few_tweets_have_a_rate_without_an_interval(
    made: Callable[[], CampaignSample],
) -> None:
    drawn = made()
    rates, differences = compare_campaigns([drawn, sample("spring", 1), sample("summer", 2)])
    assert rates[0].rate == pytest.approx(drawn.engagements.sum() / drawn.impressions.sum())
    assert (rates[0].low, rates[0].high) == (None, None)
    assert [each.is_different for each in differences[:2]] == [None, None]
    # The others are compared as if it were not there.
    assert differences[2] == compare_campaigns([sample("spring", 1), sample("summer", 2)])[1][0]


def test_campaign_without_impressions_has_no_rate() -> None:
    empty = CampaignSample("empty", 20, np.zeros(20), np.zeros(20))
    rates, (difference,) = compare_campaigns([sample("spring", 1), empty])
    assert rates[1].rate is None
    assert difference.change is None
    assert difference.is_different is None


def test_effective_size_of_equal_tweets_is_their_number() -> None:
    assert effective_size(np.full(25, 40.0)) == pytest.approx(25)
    assert effective_size(np.array([1e9, 1.0, 1.0])) == pytest.approx(1)
    assert effective_size(np.zeros(3)) == 0
