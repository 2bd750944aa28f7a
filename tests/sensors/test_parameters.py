from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseSensorOperator

from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.sensors.parameters import SensorParameters
from airflow_provider_engagement.thresholds.schedule import PollSchedule


def test_sensor_parameters_hold_all_that_this_airflow_has() -> None:
    parameters = inspect.signature(BaseSensorOperator.__init__).parameters
    named = {name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD}
    assert named - {"self"} <= set(SensorParameters.__annotations__)


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
