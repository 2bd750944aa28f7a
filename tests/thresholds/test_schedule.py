from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.thresholds.schedule import Patience, PollSchedule


@pytest.mark.parametrize("max_wait", [None, 300, timedelta(minutes=4)])
@pytest.mark.parametrize("interval", [0.3, 5, 60])
@pytest.mark.parametrize("exponential_backoff", [True, False])
def test_the_waits_are_those_of_airflows_sensors(
    max_wait: Any, interval: float, exponential_backoff: bool
) -> None:
    sensor = EngagementThresholdSensor(
        task_id="wait",
        tweet_ids=["1"],
        thresholds={"favorites": 1},
        poke_interval=interval,
        exponential_backoff=exponential_backoff,
        max_wait=max_wait,
        timeout=10**9,
    )
    started_at = 12.5
    schedule = PollSchedule(
        interval,
        exponential_backoff,
        None if sensor.max_wait is None else sensor.max_wait.total_seconds(),
        f"{sensor.dag_id}#{sensor.task_id}#{started_at}",
    )
    waits = [schedule.wait(polls) for polls in range(1, 15)]
    assert waits == [
        sensor._get_next_poke_interval(started_at, lambda: 0.0, polls)  # noqa: SLF001 - Airflow's formula
        for polls in range(1, 15)
    ]
    if exponential_backoff:
        assert waits[0] < waits[-1] <= (300 if max_wait else 10**9)


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
