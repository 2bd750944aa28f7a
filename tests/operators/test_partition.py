from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from airflow_provider_engagement.operators.partition import partition_key, partition_window

has_partitions = pytest.mark.skipif(
    not importlib.util.find_spec("airflow.sdk"), reason="Airflow 2 has no partitions"
)


def at(text: str) -> Any:
    return pendulum.parse(text, tz="UTC")


def context(key: object, *, timetable: object = None, date: object = None) -> dict[str, Any]:
    run = SimpleNamespace(partition_key=key, partition_date=date)
    return {"dag_run": run, "dag": SimpleNamespace(timetable=timetable)}


def window_of(key: object, **more: Any) -> tuple[Any, Any] | None:
    window = partition_window(context(key, **more))
    return window and (window.start, window.end)


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
    assert window_of(key) == (at(start), at(end))


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
        "2026-11-20T00:00:00",
        "2026-11-20 08",
        "2026-11-20\n",
        "0000-01",
        "\N{ARABIC-INDIC DIGIT TWO}026-11",
        "europe",
        20261120,
    ],
)
def test_another_key_names_no_period_without_a_timetable(key: object) -> None:
    assert window_of(key) is None


def test_the_key_of_a_run() -> None:
    assert partition_key(context("europe")) == "europe"
    assert partition_key(context(None)) is None
    assert partition_key({}) is None


# ---- Keys as Airflow's timetables write them -------------------------------------------------

# Cron expression, time zone, key format (None: Airflow's default), the partition's local time, and
# the window in UTC.
TIMETABLES = {
    "daily": ("0 0 * * *", "UTC", None, "2026-11-20T00:00", "2026-11-20T00:00", "2026-11-21T00:00"),
    "daily, at another hour": (
        "0 3 * * *",
        "UTC",
        None,
        "2026-11-20T03:00",
        "2026-11-20T00:00",
        "2026-11-21T00:00",
    ),
    "hourly": (
        "0 * * * *",
        "UTC",
        None,
        "2026-11-20T00:00",
        "2026-11-20T00:00",
        "2026-11-20T01:00",
    ),
    "hourly, after a quarter": (
        "15 * * * *",
        "UTC",
        None,
        "2026-11-20T07:15",
        "2026-11-20T07:00",
        "2026-11-20T08:00",
    ),
    "weekly": (
        "0 3 * * 1",
        "UTC",
        None,
        "2026-11-16T03:00",
        "2026-11-16T00:00",
        "2026-11-23T00:00",
    ),
    "monthly": (
        "0 3 1 * *",
        "UTC",
        None,
        "2026-11-01T03:00",
        "2026-11-01T00:00",
        "2026-12-01T00:00",
    ),
    "a preset": ("@daily", "UTC", None, "2026-11-20T00:00", "2026-11-20T00:00", "2026-11-21T00:00"),
    "daily in New York": (
        "0 0 * * *",
        "America/New_York",
        None,
        "2026-11-20T00:00",
        "2026-11-20T05:00",
        "2026-11-21T05:00",
    ),
    "daily in New York, when the clocks change": (
        "0 0 * * *",
        "America/New_York",
        None,
        "2026-11-01T00:00",
        "2026-11-01T04:00",
        "2026-11-02T05:00",
    ),
    "daily in New York, by date": (
        "0 3 * * *",
        "America/New_York",
        "%Y-%m-%d",
        "2026-11-20T03:00",
        "2026-11-20T05:00",
        "2026-11-21T05:00",
    ),
    "hourly in Kolkata": (
        "0 * * * *",
        "Asia/Kolkata",
        None,
        "2026-11-20T10:00",
        "2026-11-20T04:30",
        "2026-11-20T05:30",
    ),
    "daily, by a format of its own": (
        "0 3 * * *",
        "UTC",
        "%d.%m.%Y",
        "2026-11-20T03:00",
        "2026-11-20T00:00",
        "2026-11-21T00:00",
    ),
}


@has_partitions
@pytest.mark.parametrize("has_date", [True, False], ids=["with its date", "by the key alone"])
@pytest.mark.parametrize(
    ("cron", "zone", "key_format", "local", "start", "end"), TIMETABLES.values(), ids=TIMETABLES
)
def test_a_key_of_a_cron_timetable_names_the_time_until_the_next_one(  # noqa: PLR0917 - a table
    cron: str,
    zone: str,
    key_format: str | None,
    local: str,
    start: str,
    end: str,
    *,
    has_date: bool,
) -> None:
    from airflow.sdk import CronPartitionTimetable
    from airflow.serialization.decoders import decode_timetable
    from airflow.serialization.encoders import encode_timetable

    more = {"key_format": key_format} if key_format else {}
    in_dag = CronPartitionTimetable(cron, timezone=zone, **more)
    in_core: Any = decode_timetable(encode_timetable(in_dag))
    date: Any = pendulum.parse(local, tz=zone)
    key = in_core._format_key(date)  # noqa: SLF001 - the key that Airflow makes
    for timetable in (in_dag, in_core):
        found = window_of(key, timetable=timetable, date=date if has_date else None)
        assert found == (at(start), at(end))


@has_partitions
def test_a_key_that_another_timetable_made_names_no_period() -> None:
    from airflow.sdk import CronPartitionTimetable

    timetable = CronPartitionTimetable("0 0 * * *", timezone="UTC")
    assert window_of("europe", timetable=timetable) is None
