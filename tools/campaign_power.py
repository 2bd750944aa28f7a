"""Measures how often the report finds real differences: ``python -m tools.campaign_power``.

Campaigns are drawn from the simulator's world, whose Tweets differ in size as real ones do. One
campaign of each pair may have more engagements, by a known percentage.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from airflow_provider_engagement.reports.statistics import CampaignSample, compare_campaigns
from airflow_provider_engagement.simulator.world import World, milliseconds

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Found", "main", "measure", "power_table"]

PAIRS: Final = 200
SIZES: Final = (50, 200)
LIFTS: Final = (0, 10, 20, 30)

_NOW: Final = datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Found:
    """What the report says of pairs of campaigns.

    :param pairs: the number of pairs.
    :param different: how many are called different.
    :param undecided: for how many there are too few Tweets to tell.
    """

    pairs: int
    different: int
    undecided: int


def measure(tweets: int, lift: int, pairs: int = PAIRS, seed: int = 7) -> Found:
    """Compare pairs of campaigns.

    :param tweets: how many Tweets each campaign has.
    :param lift: by how many per cent the rate of the first is really higher.
    :param pairs: how many pairs.
    :param seed: the seed of the world.
    """
    drawn = _campaigns(tweets, pairs, seed)
    different = undecided = 0
    for pair in range(pairs):
        (first_engagements, first_impressions), (engagements, impressions) = (
            drawn[:, 2 * pair + place] for place in (0, 1)
        )
        lifted = np.floor(first_engagements * (1 + lift / 100))
        samples = [
            CampaignSample("first", tweets, lifted, first_impressions),
            CampaignSample("second", tweets, engagements, impressions),
        ]
        _, (difference,) = compare_campaigns(samples)
        different += difference.is_different is True
        undecided += difference.is_different is None
    return Found(pairs, different, undecided)


def _campaigns(tweets: int, pairs: int, seed: int) -> npt.NDArray[np.float64]:
    """Return engagements and impressions, by campaign and Tweet."""
    world = World(seed, now=_NOW)
    number = 2 * pairs * tweets
    since = _NOW - timedelta(days=90)
    ids = world.tweets("acme", number, since=since, until=_NOW - timedelta(days=28))
    now = np.array([milliseconds(_NOW)], dtype=np.int64)
    counts = world.counts(ids, ("engagements", "impressions"), now)
    # Campaigns overlap in time, as those that are compared do.
    shuffled = np.random.default_rng(seed).permutation(number)
    found = counts[shuffled, :, 0].astype(np.float64).reshape(2 * pairs, tweets, 2)
    return found.transpose(2, 0, 1)


def power_table() -> list[str]:
    """Return the table of the docs, in Markdown."""
    rows = ["| Tweets in each campaign | real difference | found | too few Tweets to tell |"]
    rows.append("| ---: | ---: | ---: | ---: |")
    for tweets in SIZES:
        for lift in LIFTS:
            found = measure(tweets, lift)
            real = f"{lift} %" if lift else "none"
            shares = [f"{count / found.pairs:.1%}" for count in (found.different, found.undecided)]
            rows.append(f"| {tweets} | {real} | {' | '.join(shares)} |")
    return rows


def main() -> int:
    """Print the table."""
    print("\n".join(power_table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
