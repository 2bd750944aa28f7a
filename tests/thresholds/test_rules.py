from __future__ import annotations

from typing import Any

import pytest
from observations import LIKES, rule

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.thresholds.rules import parse_rule


@pytest.mark.parametrize("require", [0, -1, True, "none", 1.5, None])
def test_other_requirements_are_refused(require: Any) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"require is .*; it must be one of: 'any', 'all', 'sum'; or a"
    ):
        rule(require=require)


def test_another_match_is_refused() -> None:
    with pytest.raises(
        InvalidArgumentError, match="match is 'some'; it must be one of: 'any', 'all'"
    ):
        rule(match="some")


@pytest.mark.parametrize("match", ["any", "all"])
@pytest.mark.parametrize("require", ["any", "all", "sum", 3])
def test_a_rule_is_the_same_after_serialization(match: str, require: Any) -> None:
    first = rule({"favorites": 100, "engagements/impressions": "> 0.5"}, match, require)
    again = parse_rule(first.serialize(), match=match, require=first.require, endpoint="totals")
    assert again == first
    assert len(first.conditions) == (1 if match == "all" else 2)
    assert first.engagement_types == ("impressions", "engagements", "favorites")


def test_a_number_may_be_text() -> None:
    assert rule(LIKES, require=" 3 ").require == 3
