from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.plan import make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR
from airflow_provider_engagement.api.tweet_id import created_at, first_id_at
from airflow_provider_engagement.api.window import (
    DAY,
    HOUR,
    Window,
    align_to,
    clip_to_available,
    split,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
FOUR_WEEKS = timedelta(days=28)

moments = st.datetimes(
    min_value=datetime(2014, 9, 1),  # noqa: DTZ001 - hypothesis wants it naive and adds the zone
    max_value=datetime(2027, 1, 1),  # noqa: DTZ001 - as above
    timezones=st.just(UTC),
)
steps = st.sampled_from([HOUR, DAY])


def window_of(start: str, end: str) -> Window:
    return Window(
        datetime.fromisoformat(start).replace(tzinfo=UTC),
        datetime.fromisoformat(end).replace(tzinfo=UTC),
    )


@given(one=moments, other=moments, step=steps)
def test_window_is_widened_to_whole_steps_and_no_further(
    one: datetime, other: datetime, step: timedelta
) -> None:
    start, end = min(one, other), max(one, other) + timedelta(microseconds=1)
    window = align_to(Window(start, end), step)
    assert window.start <= start < window.start + step
    assert window.end - step < end <= window.end
    assert align_to(window, step) == window


@given(start=moments, steps_long=st.integers(1, 2000), step=steps, cut=st.integers(0, 23))
def test_parts_cover_the_window_without_gaps_and_split_no_bucket(
    start: datetime, steps_long: int, step: timedelta, cut: int
) -> None:
    begin = align_to(Window(start, start + HOUR), step).start
    end = begin + steps_long * step - (cut * HOUR if step == DAY else timedelta(0))
    parts = split(Window(begin, end), FOUR_WEEKS, step)
    assert parts[0].end == end
    assert parts[-1].start == begin
    for later, earlier in zip(parts, parts[1:], strict=False):  # noqa: RUF007 - needs both names
        assert earlier.end == later.start
        assert (later.start - begin) % step == timedelta(0)
    assert all(timedelta(0) < part.length <= FOUR_WEEKS for part in parts)
    assert len(parts) == -(-(end - begin) // FOUR_WEEKS)


@pytest.mark.parametrize(
    ("start", "end"), [("2026-11-20", "2026-11-20"), ("2026-11-20", "2026-11-19")]
)
def test_empty_window_is_an_error_that_names_the_fix(start: str, end: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is empty.*CronDataIntervalTimetable"):  # noqa: RUF043 - a pattern
        align_to(window_of(start, end), DAY)


def test_a_window_that_reaches_into_the_future_is_clipped_with_a_warning() -> None:
    window, warnings = clip_to_available(
        window_of("2026-11-20", "2026-11-23"), now=NOW, strict=False
    )
    assert window == window_of("2026-11-20", "2026-11-21T09:00")
    (warning,) = warnings
    assert "ends at 2026-11-23 00:00 UTC, which is in the future" in warning
    assert "until 2026-11-21 09:00 UTC" in warning
    past = window_of("2026-11-20", "2026-11-21T09:00")
    assert clip_to_available(past, now=NOW, strict=False) == (past, [])
    window, warnings = clip_to_available(
        window_of("2026-11-22", "2026-11-23"), now=NOW, strict=False
    )
    assert window is None
    assert "no complete hour of 2026-11-22 00:00" in warnings[0]


def test_window_before_the_services_history_is_a_warning_or_refused() -> None:
    long_ago = window_of("2014-01-01", "2014-10-01")
    window, warnings = clip_to_available(long_ago, now=NOW, strict=False)
    assert window == Window(HISTORICAL_FLOOR, long_ago.end)
    assert "nothing before 2014-09-01" in warnings[0]
    last_year = window_of("2025-06-01", "2025-07-01")
    window, warnings = clip_to_available(last_year, now=NOW, strict=False)
    assert window == last_year
    assert "365 days" in warnings[0]
    for range_ in (long_ago, last_year):
        with pytest.raises(InvalidArgumentError, match="strict_range"):
            clip_to_available(range_, now=NOW, strict=True)


def ids_over(days: int, count: int, end: datetime) -> list[str]:
    return [str(first_id_at(end - timedelta(days=days * n / count)) + n) for n in range(count)]


def test_a_year_of_a_thousand_tweets_needs_few_more_requests_than_the_minimum() -> None:
    query = build_query("historical", has_owner=True)
    end = datetime(2026, 11, 21, tzinfo=UTC)
    ids = ids_over(365, 1000, end)
    window = Window(end - timedelta(days=365), end)
    plan = make_plan(query, ids, now=NOW, window=window)
    lives = [end - created for item in ids if (created := created_at(item))]
    least = -(-sum(-(-life // FOUR_WEEKS) for life in lives) // 25)
    assert len(plan.requests) <= 1.05 * least


@given(
    ages=st.lists(st.integers(0, 800 * 24), min_size=1, max_size=60, unique=True),
    length=st.integers(1, 400),
    granularity=st.sampled_from(["day", "hour", "total"]),
)
def test_every_hour_of_a_tweet_in_the_window_is_requested_once(
    ages: list[int], length: int, granularity: str
) -> None:
    query = build_query("historical", has_owner=True, granularity=granularity)
    end = datetime(2026, 11, 21, tzinfo=UTC)
    ids = [str(first_id_at(end + timedelta(days=2) - timedelta(hours=age)) + 1) for age in ages]
    window = Window(end - timedelta(days=length), end)
    plan = make_plan(query, ids, now=NOW, window=window)
    for item in ids:
        mine = sorted(r.window for r in plan.requests if r.window and item in r.tweet_ids)
        created = created_at(item)
        assert created is not None
        if created >= end:
            assert mine == []
            assert item in plan.too_young
            continue
        assert mine[-1].end == end
        assert mine[0].start <= max(created, window.start)
        for earlier, later in zip(mine, mine[1:], strict=False):  # noqa: RUF007 - needs both names
            assert earlier.end == later.start
    for request in plan.requests:
        assert len(request.tweet_ids) <= 25
        assert request.window is not None
        assert request.window.length <= FOUR_WEEKS
        assert any(
            created_at(item) < request.window.start + (DAY if granularity == "day" else HOUR)  # type: ignore[operator]
            or request.window.start == window.start
            for item in request.tweet_ids
        )
