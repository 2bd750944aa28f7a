from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.thresholds.crossing_state import CrossingState, make_event
from airflow_provider_engagement.thresholds.evaluation import (
    Observation,
    Rule,
    UnavailableCounts,
    judge,
    make_rule,
)

NOW = datetime(2026, 11, 21, tzinfo=UTC)
IDS = [str(number) for number in range(1, 7)]
LIKES = {"favorites": 100}


def rule(thresholds: Any = LIKES, match: str = "any", require: Any = "any") -> Rule:
    return make_rule(thresholds, match=match, require=require, endpoint="totals")


def look(counts: dict[str, dict[str, int]], gone: dict[str, str] | None = None) -> Observation:
    every = frozenset({"favorites", "replies", "impressions", "engagements"})
    return Observation(
        NOW, counts, {i: UnavailableCounts(every, why) for i, why in (gone or {}).items()}
    )


def likes(**counts: int) -> Observation:
    return look({name.lstrip("t"): {"favorites": count} for name, count in counts.items()})


@pytest.mark.parametrize(
    ("require", "met"), [("any", True), (2, True), ("2", True), (3, False), ("all", False)]
)
def test_how_many_tweets_must_cross(require: Any, met: bool) -> None:
    verdict = judge(rule(require=require), likes(t1=100, t2=250, t3=99), IDS[:3])
    assert verdict.met is met
    assert [one.tweet_id for one in verdict.crossings] == ["1", "2"]
    assert [one.value for one in verdict.crossings] == [100, 250]
    assert verdict.unreachable_reason is None


def test_the_sum_of_the_collection() -> None:
    seen = look(
        {"1": {"engagements": 2, "impressions": 10}, "2": {"engagements": 8, "impressions": 90}}
    )
    over = {"engagements/impressions": ">= 0.1", "engagements": ">= 11"}
    verdict = judge(rule(over, require="sum"), seen, IDS[:2])
    assert [(c.tweet_id, c.value, dict(c.counts)) for c in verdict.crossings] == [
        (None, 0.1, {"engagements": 10, "impressions": 100})
    ]
    assert not judge(rule(over, match="all", require="sum"), seen, IDS[:2]).met


def test_a_sum_waits_for_what_was_not_answered_and_does_without_what_is_gone() -> None:
    below = rule({"favorites": "< 10"}, require="sum")
    assert not judge(below, likes(t1=1), IDS[:2]).met
    assert judge(below, look({"1": {"favorites": 1}}, {"2": "deleted"}), IDS[:2]).met


def test_all_thresholds_together() -> None:
    both = rule({"favorites": 100, "replies": "< 5"}, match="all")
    seen = look({"1": {"favorites": 200, "replies": 5}, "2": {"favorites": 100, "replies": 4}})
    (crossing,) = judge(both, seen, IDS[:2]).crossings
    assert (crossing.tweet_id, crossing.threshold) == ("2", "favorites >= 100 and replies < 5")
    assert crossing.value == {"favorites": 100, "replies": 4}


@pytest.mark.parametrize(
    ("require", "unreachable_reason"), [("any", False), (2, True), ("all", True), ("sum", False)]
)
def test_tweets_that_are_gone_are_not_waited_for(require: Any, unreachable_reason: bool) -> None:
    seen = look({"1": {"favorites": 5}}, {"2": "deleted", "3": "deleted"})
    verdict = judge(rule(require=require), seen, IDS[:3])
    assert not verdict.met
    assert bool(verdict.unreachable_reason) is unreachable_reason
    if unreachable_reason:
        assert "of 3 Tweets only 1 still can: 2 deleted, such as 2, 3." in str(
            verdict.unreachable_reason
        )


def test_what_was_merely_not_answered_is_waited_for() -> None:
    assert judge(rule(require="all"), likes(t1=100), IDS[:2]).unreachable_reason is None


@pytest.mark.parametrize("require", ["any", "all", "sum", 1])
def test_nothing_to_wait_for(require: Any) -> None:
    assert "no ids" in str(judge(rule(require=require), likes(), []).unreachable_reason)


@pytest.mark.parametrize("require", [0, -1, True, "none", 1.5, None])
def test_what_is_no_requirement_is_refused(require: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="require is"):
        rule(require=require)


@pytest.mark.parametrize("number", [1, 40, 10_000])
def test_a_result_stays_small(number: int) -> None:
    ids = [str(10**18 + place) for place in range(number)]
    thresholds = {"engagements/impressions": 0.01, "favorites": 1, "replies": 1}
    counts = {"engagements": 10**9, "impressions": 10**10, "favorites": 10**9, "replies": 10**9}
    told = judge(rule(thresholds), look(dict.fromkeys(ids, counts)), ids).describe()
    assert len(json.dumps(told)) < 10_000
    assert told["crossed"] == number
    assert len(told["crossings"]) + told["crossings_not_shown"] == 3 * number


histories = st.lists(
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 200), max_size=6), max_size=8
)


@given(histories, st.booleans(), st.sets(st.integers(0, 7)))
def test_each_crossing_is_told_once_and_none_is_lost(
    history: list[dict[str, int]], fire_existing: bool, restarts: set[int]
) -> None:
    watched = rule({"favorites": 100})
    marks = CrossingState(watched, fire_existing=fire_existing)
    told: list[str | None] = []
    for place, counts in enumerate(history):
        if place in restarts:
            stored = json.loads(json.dumps(marks.dump()))
            marks = CrossingState(watched, fire_existing=fire_existing)
            marks.load(stored)
        seen = look({item: {"favorites": count} for item, count in counts.items()})
        told += [crossing.tweet_id for crossing in marks.update(seen, IDS)]
    expected = set()
    for item in IDS:
        line = [counts[item] >= 100 for counts in history if item in counts]
        if True in line and (fire_existing or not line[0]):
            expected.add(item)
    assert sorted(map(str, told)) == sorted(expected)


def test_a_new_threshold_takes_what_is_there_for_a_baseline() -> None:
    marks = CrossingState(rule({"favorites": 100}))
    marks.update(look({"1": {"favorites": 50, "replies": 9}}), ["1"])
    both = CrossingState(rule({"replies": 5, "favorites": 100}))
    both.load(marks.dump())
    assert both.update(look({"1": {"favorites": 50, "replies": 9}}), ["1"]) == []
    (crossing,) = both.update(look({"1": {"favorites": 100, "replies": 9}}), ["1"])
    assert crossing.threshold == "favorites >= 100"


def test_a_watcher_waits_until_enough_have_crossed() -> None:
    marks = CrossingState(rule(require=2))
    assert marks.update(likes(t1=1, t2=1, t3=1), IDS[:3]) == []
    assert marks.update(likes(t1=100, t2=1, t3=1), IDS[:3]) == []
    assert len(marks.update(likes(t1=101, t2=100, t3=1), IDS[:3])) == 2
    assert len(marks.update(likes(t1=101, t2=100, t3=100), IDS[:3])) == 1


def test_a_watched_sum_is_told_once() -> None:
    marks = CrossingState(rule(require="sum"))
    assert marks.update(likes(t1=60, t2=30), IDS[:2]) == []
    (crossing,) = marks.update(likes(t1=60, t2=40), IDS[:2])
    stored = marks.dump()
    again = CrossingState(rule(require="sum"))
    again.load(stored)
    assert crossing.tweet_id is None
    assert again.update(likes(t1=60, t2=50), IDS[:2]) == []


def test_an_event_is_known_by_what_it_tells_and_who_tells_it() -> None:
    crossings = judge(rule(), likes(t1=100), IDS[:1]).crossings
    event = make_event(crossings, source="a")
    assert event == make_event(crossings, source="a")
    assert event["event_id"] != make_event(crossings, source="b")["event_id"]
    assert event["crossings"] == [
        {
            "tweet_id": "1",
            "threshold": "favorites >= 100",
            "value": 100,
            "seen_at": "2026-11-21T00:00:00Z",
        }
    ]


def test_a_thousand_tweets_are_remembered_within_what_airflow_keeps() -> None:
    ids = [str(10**18 + place) for place in range(3000)]
    marks = CrossingState(rule())
    marks.update(look({item: {"favorites": 1} for item in ids}), ids)
    assert len(json.dumps(marks.dump())) < 65_535
