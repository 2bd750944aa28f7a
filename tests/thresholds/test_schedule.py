from __future__ import annotations

import itertools

from airflow_provider_engagement.thresholds.schedule import Patience, PollSchedule


def test_the_schedule_has_no_end() -> None:
    assert PollSchedule(60, exponential_backoff=True, max_wait=900).wait(10**6) == 900


def test_patience_begins_with_a_success_and_lasts_five_minutes() -> None:
    clock = itertools.count(0, 120).__next__
    patience = Patience(clock=clock)
    assert not patience.lasts()
    patience.succeed()
    assert [patience.lasts() for _ in range(4)] == [True, True, True, False]
    patience.succeed()
    assert patience.lasts()
