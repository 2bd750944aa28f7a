from __future__ import annotations

import pytest

from tools.campaign_power import LIFTS, PAIRS, SIZES, measure, power_table
from tools.env import ROOT

# What pure chance would exceed in one of twenty measurements.
MOST_FALSE = 15


def test_campaigns_without_a_difference_are_seldom_called_different() -> None:
    found = measure(tweets=50, lift=0)
    assert found.pairs == PAIRS == 200
    assert found.different <= MOST_FALSE
    # The test would say nothing if most pairs were left out.
    assert found.undecided < PAIRS / 2


@pytest.mark.long
def test_table_of_the_docs_is_what_is_measured() -> None:
    rows = power_table()
    assert len(rows) == 2 + len(SIZES) * len(LIFTS)
    assert "\n".join(rows) in (ROOT / "docs/how-to/report.md").read_text()
    false = [measure(tweets, 0).different for tweets in SIZES]
    assert max(false) <= MOST_FALSE
