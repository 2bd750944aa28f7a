from __future__ import annotations

import json
import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from observations import IDS, columns, likes, observation, rule

from airflow_provider_engagement.thresholds.crossing_state import CrossingState, make_event
from airflow_provider_engagement.thresholds.evaluation import decide

histories = st.lists(
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 200), max_size=6), max_size=8
)


def restored(state: CrossingState, **thresholds: object) -> CrossingState:
    """Store a state as JSON and load it, as after a restart."""
    again = CrossingState(rule(thresholds or {"favorites": 100}))
    again.load(json.loads(json.dumps(state.dump())))
    return again


@given(histories, st.booleans(), st.sets(st.integers(0, 7)))
def test_each_crossing_is_reported_once_and_none_is_lost(
    history: list[dict[str, int]], fire_existing: bool, restarts: set[int]
) -> None:
    watched = rule({"favorites": 100})
    state = CrossingState(watched, fire_existing=fire_existing)
    reported: list[str | None] = []
    for place, counts in enumerate(history):
        if place in restarts:
            stored = json.loads(json.dumps(state.dump()))
            state = CrossingState(watched, fire_existing=fire_existing)
            state.load(stored)
            assert state.dump() == stored
        seen = observation({i: {"favorites": n} for i, n in counts.items()}, tweet_ids=IDS)
        reported += [crossing.tweet_id for crossing in state.update(seen)]
    expected = set()
    for item in IDS:
        line = [counts[item] >= 100 for counts in history if item in counts]
        if True in line and (fire_existing or not line[0]):
            expected.add(item)
    assert sorted(map(str, reported)) == sorted(expected)


def test_a_new_threshold_begins_with_a_baseline() -> None:
    state = CrossingState(rule({"favorites": 100}))
    state.update(observation({"1": {"favorites": 50, "replies": 9}}))
    both = restored(state, replies=5, favorites=100)
    assert both.update(observation({"1": {"favorites": 50, "replies": 9}})) == []
    (crossing,) = both.update(observation({"1": {"favorites": 100, "replies": 9}}))
    assert crossing.threshold == "favorites >= 100"


def test_nothing_is_reported_until_enough_have_crossed() -> None:
    state = CrossingState(rule(require=2))
    assert state.update(likes(1, 1, 1)) == []
    assert state.update(likes(100, 1, 1)) == []
    assert len(state.update(likes(101, 100, 1))) == 2
    assert len(state.update(likes(101, 100, 100))) == 1


def test_all_means_all_that_have_counts() -> None:
    state = CrossingState(rule(require="all"))
    assert state.update(likes(1, 1)) == []
    assert state.update(likes(100, 1)) == []
    found = state.update(observation({"1": {"favorites": 100}}, deleted=["2"]))
    assert [one.tweet_id for one in found] == ["1"]


def test_a_sum_is_reported_once() -> None:
    state = CrossingState(rule(require="sum"))
    assert state.update(likes(60, 30)) == []
    (crossing,) = state.update(likes(60, 40))
    stored = state.dump()
    again = CrossingState(rule(require="sum"))
    again.load(stored)
    assert crossing.tweet_id is None
    assert again.update(likes(60, 50)) == []


def test_a_collection_may_grow_shrink_and_change_its_order() -> None:
    state = CrossingState(rule())
    assert state.update(observation({"1": {"favorites": 1}, "2": {"favorites": 1}})) == []
    assert state.update(observation({"3": {"favorites": 1}, "2": {"favorites": 2}})) == []
    found = state.update(observation({i: {"favorites": 100} for i in "4321"}))
    assert [one.tweet_id for one in found] == ["3", "2", "1"]


def test_an_event_marks_its_crossings_as_reported() -> None:
    state = CrossingState(rule())
    state.update(likes(1, 1))
    event = make_event(CrossingState(rule(), fire_existing=True).update(likes(100)), source="a")
    assert state.mark_reported(event["crossings"])
    assert not state.mark_reported(event["crossings"])
    assert [one.tweet_id for one in state.update(likes(100, 100))] == ["2"]
    other = [{**event["crossings"][0], "threshold": "replies >= 5"}]
    assert state.mark_reported(other)


def test_the_id_of_an_event_stands_for_its_crossings_and_its_source() -> None:
    crossings = decide(rule(), likes(100)).crossings
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


def test_the_state_of_3_000_tweets_fits_into_airflows_state_store() -> None:
    ids = [str(10**18 + place) for place in range(3000)]
    state = CrossingState(rule())
    state.update(observation({i: {"favorites": 1} for i in ids}))
    assert len(json.dumps(state.dump())) < 65_535


def test_the_state_of_100_000_tweets_is_updated_within_a_second() -> None:
    ids = [str(10**18 + place) for place in range(100_000)]
    state = CrossingState(rule({"favorites": 100, "replies": 5}))
    state.update(columns(ids, favorites=1, replies=9))
    seen = columns(ids, favorites=100 * (np.arange(len(ids)) % 2), replies=9)
    began = time.process_time()
    found = state.update(seen)
    state.dump()
    seconds = time.process_time() - began
    print(f"100,000 Tweets are updated and dumped in {seconds * 1000:.0f} ms")  # noqa: T201 - a figure to report
    assert len(found) == 50_000
    assert seconds < 1
