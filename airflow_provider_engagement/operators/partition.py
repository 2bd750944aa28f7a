"""The period that the partition of a run stands for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from airflow_provider_engagement.api.window import DAY, HOUR, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["partition_key", "partition_window"]

_CALENDAR: Final = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2})(?:T(\d{2}))?)?", re.ASCII)

_Period = tuple[datetime, datetime]


def partition_key(context: Mapping[str, Any]) -> str | None:
    """Return the key of the run's partition; None if the run has none.

    :param context: the task's context.
    """
    key = getattr(context.get("dag_run"), "partition_key", None)
    return key if isinstance(key, str) else None


def partition_window(context: Mapping[str, Any]) -> Window | None:
    """Return the period of the run's partition, in UTC.

    A key such as ``2026-11``, ``2026-11-20`` or ``2026-11-20T08`` names a month, a day or an hour,
    in the time zone of the DAG's timetable, else in UTC. Any other key of a
    ``CronPartitionTimetable`` stands for the time from its own tick of the cron expression to the
    next one, in whole days where the ticks are a day apart or more, else in whole hours.

    :param context: the task's context.
    :returns: None if the run has no partition, or its key names no period.
    """
    key = partition_key(context)
    if key is None:
        return None
    timetable = getattr(context.get("dag"), "timetable", None)
    zone = _zone(timetable)
    period = _calendar_period(key) or _cron_period(context, key, timetable, zone)
    if period is None:
        return None
    start, end = (moment.replace(tzinfo=zone).timestamp() for moment in period)
    return Window(datetime.fromtimestamp(start, tz=UTC), datetime.fromtimestamp(end, tz=UTC))


def _calendar_period(key: str) -> _Period | None:
    """Read a key that names a month, a day or an hour."""
    match = _CALENDAR.fullmatch(key)
    if match is None:
        return None
    year, month, day, hour = (int(part) if part else None for part in match.groups())
    try:
        start = datetime(year or 0, month or 0, day or 1, hour or 0)  # noqa: DTZ001 - local time
    except ValueError:
        return None
    if hour is not None:
        return start, start + HOUR
    if day is not None:
        return start, start + DAY
    # Four days after the 28th is always in the next month.
    return start, (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def _cron_period(
    context: Mapping[str, Any], key: str, timetable: object, zone: tzinfo
) -> _Period | None:
    """Return the time from a partition's tick to the next one, in local time."""
    expression, key_format = (_attribute(timetable, name) for name in ("expression", "key_format"))
    if not isinstance(expression, str) or not isinstance(key_format, str):
        return None
    from croniter import croniter  # type: ignore[import-untyped]  # Airflow's own, without types

    date = getattr(context.get("dag_run"), "partition_date", None)
    try:
        if date is None:
            moment = datetime.strptime(key, key_format)  # noqa: DTZ007 - local time
        else:
            moment = date.astimezone(zone).replace(tzinfo=None)
        # A key may hold less than the moment of its tick, so the tick is at or after it.
        ticks = croniter(expression, moment - timedelta(microseconds=1), ret_type=datetime)
        start, end = ticks.get_next(), ticks.get_next()
    except ValueError:
        return None
    return _floor(start, end - start), _floor(end, end - start)


def _floor(moment: datetime, length: timedelta) -> datetime:
    """Return the beginning of the moment's day, or hour, as the length of the period allows."""
    whole_hour = moment.replace(minute=0, second=0, microsecond=0)
    if length >= DAY:
        return whole_hour.replace(hour=0)
    return whole_hour if length >= HOUR else moment


def _zone(timetable: object) -> tzinfo:
    zone = _attribute(timetable, "timezone")
    if isinstance(zone, str):
        return ZoneInfo(zone)
    return zone if isinstance(zone, tzinfo) else UTC


def _attribute(timetable: object, name: str) -> object:
    """Return what a timetable holds: in DAG files it is public, and in Airflow's core it is not."""
    return getattr(timetable, name, getattr(timetable, f"_{name}", None))
