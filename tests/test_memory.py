"""The memory of a task grows little with the number of its Tweets."""

from __future__ import annotations

import pytest

from tools.bench_memory import measure_task

pytestmark = pytest.mark.integration

# MiB. At this rate a million Tweets stay below 700 MiB; `make bench` measures that.
MOST_FOR_100_000 = 45


def test_a_task_needs_little_memory_for_each_tweet() -> None:
    _, less = measure_task(10_000)
    _, more = measure_task(110_000)
    assert more - less < MOST_FOR_100_000
