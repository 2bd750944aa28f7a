"""What a run is about: read from its context, never guessed."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.window import Window

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "as_bool",
    "as_moment",
    "as_share",
    "as_timedelta",
    "partition_range",
    "run_range",
    "snapshot_moment",
]

_PARTITION: Final = re.compile(r"(\d{4})-(\d{2})(?:-(\d{2})(?:T(\d{2}))?)?", re.ASCII)


def snapshot_moment(context: Mapping[str, Any]) -> datetime:
    """Tell which moment a run's counts to date stand for: the same one each time it is run.

    It is the end of the run's data interval; else the end of its partition, or the moment that
    the run was to start where the partition was still open then; else that moment.

    :param context: the task's context.
    :raises InvalidArgumentError: if the run has none of them.
    """
    run = context.get("dag_run")
    planned = _moment(context, "run_after") or _moment(context, "logical_date")
    end = _moment(context, "data_interval_end")
    if end is not None:
        return end
    partition = partition_range(getattr(run, "partition_key", None))
    if partition is not None:
        return min(partition[1], planned) if planned else partition[1]
    if planned is None:
        msg = "This run has neither a data interval nor a partition nor a date it was to run on."
        raise InvalidArgumentError(msg)
    return planned


def run_range(
    context: Mapping[str, Any], *, start: object, end: object, lookback: object
) -> Window:
    """Tell which range a run is about.

    It is ``start`` to ``end`` where they are given; else the run's partition, if its key names a
    month, a day or an hour; else its data interval. It is never guessed.

    :param context: the task's context.
    :param start: the range's first moment, or text of it; None if not given.
    :param end: the first moment after it; None if not given.
    :param lookback: how far to move the start back, so that late corrections heal.
    :raises InvalidArgumentError: if there is no range, with the ways to give one.
    """
    window = _given_range(start, end)
    if window is None:
        found = partition_range(getattr(context.get("dag_run"), "partition_key", None))
        interval = _moment(context, "data_interval_start"), _moment(context, "data_interval_end")
        if found is None and interval[0] is not None and interval[1] is not None:
            found = interval[0], interval[1]
        if found is None:
            raise InvalidArgumentError(
                "This run has no partition that names a time, and no data interval: there is no "
                "range to ask for.",
                advice="Give start and end, or schedule the DAG with "
                "airflow.timetables.interval.CronDataIntervalTimetable. Manual runs need a "
                "logical date.",
            )
        window = Window(*found)
    if lookback is None:
        return window
    return Window(window.start - as_timedelta(lookback, name="lookback"), window.end)


def _given_range(start: object, end: object) -> Window | None:
    if start is None and end is None:
        return None
    moments = [as_moment(value, name=name) for name, value in (("start", start), ("end", end))]
    return Window(*moments)


def as_moment(value: object, *, name: str) -> datetime:
    """Read a moment: a datetime, a date, or text of either; UTC where it names no zone."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value.strip())
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise InvalidArgumentError(
            f"{name} is {value!r}; it must be a datetime or a date, or ISO 8601 text of one.",
            advice="start and end go together: give both or neither.",
        )
    zoned = value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(zoned.timestamp(), tz=UTC)


def _moment(context: Mapping[str, Any], name: str) -> datetime | None:
    value = context.get(name) or getattr(context.get("dag_run"), name, None)
    if not isinstance(value, datetime):
        return None
    # Plain datetimes: Airflow's own are of pendulum's kind, which prints otherwise.
    return datetime.fromtimestamp(value.timestamp(), tz=UTC)


def partition_range(key: object) -> tuple[datetime, datetime] | None:
    """Read a partition key that names a month, a day or an hour, in UTC.

    :param key: such as ``2026-11``, ``2026-11-20`` or ``2026-11-20T08``.
    :returns: its start and its end, exclusive; None if the key reads otherwise.
    """
    match = _PARTITION.fullmatch(key) if isinstance(key, str) else None
    if match is None:
        return None
    year, month, day, hour = (int(part) if part else None for part in match.groups())
    try:
        start = datetime(year or 0, month or 0, day or 1, hour or 0, tzinfo=UTC)
    except ValueError:
        return None
    if hour is not None:
        return start, start + timedelta(hours=1)
    if day is not None:
        return start, start + timedelta(days=1)
    # The 28th plus four days is always in the next month.
    return start, (start.replace(day=28) + timedelta(days=4)).replace(day=1)


def as_timedelta(value: object, *, name: str) -> timedelta:
    """Read a stretch of time: a timedelta, or an ISO 8601 duration such as ``PT24H``."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        import pendulum

        try:
            parsed = pendulum.parse(value)
        except ValueError:
            parsed = None
        if isinstance(parsed, pendulum.Duration):
            return timedelta(seconds=parsed.total_seconds())
    msg = f"{name} must be a timedelta, or an ISO 8601 duration such as 'PT24H'; got {value!r}."
    raise InvalidArgumentError(msg)


def as_bool(value: object, *, name: str) -> bool:
    """Read a truth value that a template may have turned into text."""
    text = str(value).strip().lower()
    if text in {"true", "1", "yes"}:
        return True
    if text in {"false", "0", "no", "none", ""}:
        return False
    msg = f"{name} must be true or false; got {value!r}."
    raise InvalidArgumentError(msg)


def as_share(value: object, *, name: str) -> float:
    """Read a share from 0 to 1 that a template may have turned into text."""
    try:
        share = float(str(value))
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        msg = f"{name} must be a number from 0 to 1; got {value!r}."
        raise InvalidArgumentError(msg)
    return share
