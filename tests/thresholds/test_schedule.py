from __future__ import annotations

import itertools

from airflow_provider_engagement.thresholds.schedule import Patience, PollSchedule


def test_the_schedule_has_no_end() -> None:
    assert PollSchedule(60, exponential_backoff=True, max_wait=900).wait(10**6) == 900


def test_the_last_poll_comes_shortly_before_the_timeout() -> None:
    schedule = PollSchedule(60, exponential_backoff=True, timeout=3600)
    elapsed, times = 0.0, []
    for polls in range(1, 10):
        elapsed += schedule.wait(polls, elapsed)
        times.append(elapsed)
    (last,) = [time for time in times if 3600 - 60 < time < 3600]
    assert last == 3570
    assert times.index(last) < len(times) - 1
    assert PollSchedule(60, timeout=3600).wait(1, 3590) == 60


def test_patience_begins_with_a_success_and_lasts_five_minutes() -> None:
    clock = itertools.count(0, 120).__next__
    patience = Patience(clock=clock)
    assert not patience.lasts()
    patience.succeed()
    assert [patience.lasts() for _ in range(4)] == [True, True, True, False]
    patience.succeed()
    assert patience.lasts()
