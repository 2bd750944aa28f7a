from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.operators.run_window import (
    as_bool,
    as_share,
    as_timedelta,
    partition_range,
    snapshot_moment,
)


def at(text: str) -> Any:
    """Give a moment as Airflow does."""
    return pendulum.parse(text, tz="UTC")


def context(**held: Any) -> dict[str, Any]:
    """Give the context of a run, which lacks the dates that the run lacks."""
    names = ("logical_date", "data_interval_start", "data_interval_end")
    dates = {name: held[name] for name in names if name in held}
    run = {"run_after": None, "partition_key": None} | dict.fromkeys(names) | held
    return {"dag_run": SimpleNamespace(**run), **dates}


def interval(start: str, end: str, **more: Any) -> dict[str, Any]:
    return context(data_interval_start=at(start), data_interval_end=at(end), **more)


# The matrix of runs that Airflow 3.3 and 2.11 were seen to make.
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
def test_the_moment_that_a_run_stands_for(given: dict[str, Any], expected: str) -> None:
    moment = snapshot_moment(given)
    assert moment == at(expected)
    # A plain one, so that it prints and pickles as anyone expects.
    assert type(moment) is datetime
    assert moment.tzinfo is UTC


def test_a_moment_of_another_zone_is_turned_to_utc() -> None:
    there = timezone(timedelta(hours=9))
    given = context(data_interval_end=datetime(2026, 11, 18, 5, tzinfo=there))
    assert snapshot_moment(given).isoformat() == "2026-11-17T20:00:00+00:00"


def test_a_run_without_any_date_is_an_error() -> None:
    with pytest.raises(
        InvalidArgumentError, match="neither a data interval nor a partition nor a date"
    ):
        snapshot_moment(context())


@pytest.mark.parametrize(
    ("key", "start", "end"),
    [
        ("2026-11", "2026-11-01T00:00", "2026-12-01T00:00"),
        ("2024-02", "2024-02-01T00:00", "2024-03-01T00:00"),
        ("2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("2024-02-29", "2024-02-29T00:00", "2024-03-01T00:00"),
        ("2026-12-31T23", "2026-12-31T23:00", "2027-01-01T00:00"),
    ],
)
def test_a_partition_names_a_month_a_day_or_an_hour(key: str, start: str, end: str) -> None:
    assert partition_range(key) == (at(start), at(end))


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "2026",
        "2026-1",
        "2026-13",
        "2026-02-30",
        "2026-11-20T24",
        "2026-11-20T08:00",
        "2026-11-20 08",
        "2026-11-20\n",
        "0000-01",
        "\N{ARABIC-INDIC DIGIT TWO}026-11",
        "europe",
        20261120,
    ],
)
def test_a_key_that_reads_otherwise_names_no_time(key: object) -> None:
    assert partition_range(key) is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (timedelta(hours=3), timedelta(hours=3)),
        (pendulum.duration(hours=3), timedelta(hours=3)),
        ("PT24H", timedelta(hours=24)),
        ("P2D", timedelta(days=2)),
        ("P1DT12H", timedelta(hours=36)),
    ],
)
def test_a_stretch_of_time_is_read(given: object, expected: timedelta) -> None:
    assert as_timedelta(given, name="max_snapshot_age") == expected


@pytest.mark.parametrize("given", ["", "24h", "24", "2026-11-18", "1 day, 0:00:00", 24, None])
def test_what_is_no_stretch_of_time_is_refused(given: object) -> None:
    message = "max_snapshot_age must be a timedelta, or an ISO 8601 duration"
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        as_timedelta(given, name="max_snapshot_age")
    assert repr(given) in str(caught.value)


@pytest.mark.parametrize("given", [True, "True", "true", " TRUE ", "1", 1, "yes"])
def test_what_templates_make_of_true(given: object) -> None:
    assert as_bool(given, name="plan_only") is True


@pytest.mark.parametrize("given", [False, "False", "false", "0", 0, "no", None, "None", ""])
def test_what_templates_make_of_false(given: object) -> None:
    assert as_bool(given, name="plan_only") is False


@pytest.mark.parametrize("given", ["maybe", 2, "{{ params.x }}", []])
def test_what_is_neither_is_refused(given: object) -> None:
    with pytest.raises(InvalidArgumentError, match="plan_only must be true or false; got"):
        as_bool(given, name="plan_only")


@pytest.mark.parametrize(("given", "expected"), [(0, 0.0), (1, 1.0), ("0.25", 0.25), (" 1 ", 1.0)])
def test_a_share_is_read(given: object, expected: float) -> None:
    assert as_share(given, name="max_missing_share") == expected


@pytest.mark.parametrize("given", [-0.1, 1.01, "nan", "inf", "half", None, True, "", "50%"])
def test_what_is_no_share_is_refused(given: object) -> None:
    with pytest.raises(
        InvalidArgumentError, match="max_missing_share must be a number from 0 to 1; got"
    ):
        as_share(given, name="max_missing_share")
