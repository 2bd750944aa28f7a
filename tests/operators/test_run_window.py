from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.operators.run_window import (
    WindowParameters,
    requested_window,
    snapshot_moment,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
A_DAY = timedelta(days=1)


def at(text: str) -> Any:
    """Return a moment as Airflow passes it."""
    return pendulum.parse(text, tz="UTC")


def moment_of(given: dict[str, Any], max_age: timedelta = A_DAY) -> datetime:
    return snapshot_moment(given, now=NOW, max_age=max_age)


def context(**held: Any) -> dict[str, Any]:
    """Return the context of a run, without the dates that the run does not have."""
    names = ("logical_date", "data_interval_start", "data_interval_end")
    dates = {name: held[name] for name in names if name in held}
    run = {"run_after": None, "partition_key": None} | dict.fromkeys(names) | held
    return {"dag_run": SimpleNamespace(**run), **dates}


def interval(start: str, end: str, **more: Any) -> dict[str, Any]:
    return context(data_interval_start=at(start), data_interval_end=at(end), **more)


# The runs that Airflow 3.3 and 2.11 were seen to create.
RUNS = {
    "cron string, scheduled: an interval without length": (
        interval(
            "2026-11-18T03:00",
            "2026-11-18T03:00",
            logical_date=at("2026-11-18T03:00"),
            run_after=at("2026-11-18T03:00"),
        ),
        "2026-11-18T03:00",
    ),
    "triggered by hand, without dates": (
        context(run_after=at("2026-11-18T09:41:17.5")),
        "2026-11-18T09:41:17.5",
    ),
    "interval timetable, scheduled": (
        interval(
            "2026-11-17T03:00",
            "2026-11-18T03:00",
            logical_date=at("2026-11-17T03:00"),
            run_after=at("2026-11-18T03:00"),
        ),
        "2026-11-18T03:00",
    ),
    "interval timetable, by date": (
        interval(
            "2026-11-16T03:00",
            "2026-11-17T03:00",
            logical_date=at("2026-11-18T00:00"),
            run_after=at("2026-11-18T00:00"),
        ),
        "2026-11-17T03:00",
    ),
    "partition of a day, run in the following night": (
        context(partition_key="2026-11-20", run_after=at("2026-11-21T03:00")),
        "2026-11-21T00:00",
    ),
    "partition of a day that is not over": (
        context(partition_key="2026-11-20", run_after=at("2026-11-20T03:00")),
        "2026-11-20T03:00",
    ),
    "partition of a month": (
        context(partition_key="2026-12", run_after=at("2027-01-04T03:00")),
        "2027-01-01T00:00",
    ),
    "partition of an hour": (
        context(partition_key="2026-11-20T23", run_after=at("2026-11-21T00:05")),
        "2026-11-21T00:00",
    ),
    "partition that is no time": (
        context(partition_key="europe", run_after=at("2026-11-21T00:05")),
        "2026-11-21T00:05",
    ),
    "asset event": (
        context(run_after=at("2026-11-18T10:00:00.123456")),
        "2026-11-18T10:00:00.123456",
    ),
    "partition timetable, by date": (
        interval("2026-11-18T00:00", "2026-11-18T00:00", logical_date=at("2026-11-18T00:00")),
        "2026-11-18T00:00",
    ),
    "Airflow 2: a run that knows its logical date alone": (
        {"dag_run": SimpleNamespace(logical_date=at("2026-11-18T03:00"))},
        "2026-11-18T03:00",
    ),
}


@pytest.mark.parametrize(("given", "expected"), RUNS.values(), ids=RUNS)
def test_the_moment_of_a_run(given: dict[str, Any], expected: str) -> None:
    moment = moment_of(given)
    assert moment == at(expected)
    # Not pendulum's, which prints in another way.
    assert type(moment) is datetime
    assert moment.tzinfo is UTC


def test_a_moment_of_another_zone_is_converted_to_utc() -> None:
    there = timezone(timedelta(hours=9))
    given = context(data_interval_end=datetime(2026, 11, 18, 5, tzinfo=there))
    assert moment_of(given).isoformat() == "2026-11-17T20:00:00+00:00"


def test_a_run_without_any_date_is_an_error() -> None:
    with pytest.raises(
        InvalidArgumentError, match="neither a data interval nor a partition nor a date"
    ):
        moment_of(context())


# ---- Runs that were started by hand ----------------------------------------------------------


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered"])
def test_the_moment_of_a_manual_run_is_its_start(run_type: str) -> None:
    given = interval(
        "2026-11-16T00:00",
        "2026-11-23T00:00",
        logical_date=at("2026-11-16T00:00"),
        run_after=at("2026-11-23T00:00"),
        start_date=at("2026-11-25T11:59:30"),
        run_type=run_type,
    )
    assert moment_of(given) == at("2026-11-25T11:59:30")


def test_a_manual_run_that_started_too_long_ago_is_of_now() -> None:
    given = context(start_date=at("2026-11-23T00:00"), run_type="manual")
    assert moment_of(given) == NOW
    assert moment_of(given, max_age=timedelta(days=3)) == at("2026-11-23T00:00")


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_the_moment_of_a_scheduled_run_is_the_end_of_its_interval(run_type: str) -> None:
    given = interval(
        "2026-11-16T00:00",
        "2026-11-23T00:00",
        start_date=at("2026-11-25T11:59:30"),
        run_type=run_type,
    )
    assert moment_of(given) == at("2026-11-23T00:00")


# ---- Windows ---------------------------------------------------------------------------------


def window_of(given: dict[str, Any], *parameters: object) -> tuple[Any, Any]:
    window = requested_window(given, WindowParameters(*parameters))
    return window.start, window.end


RUN = interval("2026-11-17T00:00", "2026-11-18T00:00")


def test_the_window_is_start_to_end_where_they_are_given() -> None:
    window = window_of(RUN, "2026-11-01", "2026-11-02T06:00")
    assert window == (at("2026-11-01"), at("2026-11-02T06:00"))


@pytest.mark.parametrize("given", [None, "", "None"])
def test_the_window_is_the_data_interval_where_start_and_end_render_to_nothing(
    given: object,
) -> None:
    assert window_of(RUN, given, given, given) == (at("2026-11-17"), at("2026-11-18"))


@pytest.mark.parametrize("given", [None, "", "None"])
def test_one_of_start_and_end_is_not_enough(given: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"end is .* give both or neither"):
        window_of(RUN, "2026-11-01", given)
    with pytest.raises(InvalidArgumentError, match=r"start is .* give both or neither"):
        window_of(RUN, given, "2026-11-01")


def test_a_lookback_moves_the_start() -> None:
    window = window_of(RUN, None, None, "P2D")
    assert window == (at("2026-11-15"), at("2026-11-18"))


def test_the_partition_comes_before_the_data_interval() -> None:
    given = interval("2026-11-17T00:00", "2026-11-18T00:00", partition_key="2026-10")
    assert window_of(given) == (at("2026-10-01"), at("2026-11-01"))


def test_a_run_without_a_window_is_an_error_that_says_how_to_give_one() -> None:
    with pytest.raises(InvalidArgumentError, match=r"no window to ask for.*Give start and end"):
        window_of(context())


def test_a_partition_key_that_names_no_period_is_an_error_with_advice() -> None:
    message = r"partition key is 'europe', which names no period.*key_format=.*start and end"
    with pytest.raises(InvalidArgumentError, match=message):
        window_of(context(partition_key="europe"))
    window = window_of(context(partition_key="europe"), "2026-11-01", "2026-11-02")
    assert window == (at("2026-11-01"), at("2026-11-02"))
