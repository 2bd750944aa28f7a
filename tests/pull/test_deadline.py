from __future__ import annotations

import pytest

from airflow_provider_engagement.pull.deadline import end_before_timeout


@pytest.mark.parametrize(
    ("timeout", "request_timeout", "left"),
    [(3600.0, 60.0, 70.0), (300.0, 60.0, 30.0), (3600.0, 600.0, 360.0)],
    ids=["a request and ten seconds", "at most a tenth", "at most a tenth, with slow requests"],
)
def test_time_is_left_for_a_request_and_for_cleaning_up(
    timeout: float, request_timeout: float, left: float
) -> None:
    end_by = end_before_timeout(began=1000.0, timeout=timeout, request_timeout=request_timeout)
    assert end_by == 1000.0 + timeout - left
