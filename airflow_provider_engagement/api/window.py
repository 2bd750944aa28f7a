"""Windows that the service accepts: half-open, aligned, at most 28 days, and not in the future."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR, HISTORICAL_REACH

__all__ = [
    "DAY",
    "HOUR",
    "Window",
    "align_to",
    "as_moment",
    "clip_to_available",
    "floor_to",
    "split",
]

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open period, UTC.

    :param start: its first moment.
    :param end: the first moment after it, which belongs to the next window (inferred from three
        documented examples).
    """

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        """Its length."""
        return self.end - self.start

    def body(self) -> dict[str, str]:
        """Return the fields of a request body."""
        return {
            "start": f"{self.start:%Y-%m-%dT%H:%M:%SZ}",
            "end": f"{self.end:%Y-%m-%dT%H:%M:%SZ}",
        }

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def as_moment(value: object, *, name: str) -> datetime:
    """Return a moment in UTC.

    :param value: a datetime, a date, or ISO 8601 text of either; UTC where it has no time zone.
    :param name: the parameter's name, for the message.
    :raises InvalidArgumentError: if it is none of these.
    """
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


def align_to(window: Window, step: timedelta) -> Window:
    """Widen a window to whole hours or days. The service itself widens to hours.

    :param window: any window.
    :param step: :data:`HOUR`, or :data:`DAY` for whole UTC days.
    :raises InvalidArgumentError: if the window is empty, or ends before it starts.
    """
    if not window.start < window.end:
        raise InvalidArgumentError(
            f"The window from {window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC is "
            "empty.",
            advice="Give start and end, or schedule the DAG with "
            "airflow.timetables.interval.CronDataIntervalTimetable: on Airflow 3 the data "
            "interval of a plain cron string is empty.",
        )
    return Window(floor_to(window.start, step), _ceiling(window.end, step))


def clip_to_available(
    window: Window, *, now: datetime, strict: bool
) -> tuple[Window | None, list[str]]:
    """Clip a window to what the service holds.

    :param window: an aligned window.
    :param now: the present, UTC.
    :param strict: refuse a window that the service does not hold completely, instead of warning.
    :returns: the clipped window, None if nothing is left; and warnings.
    :raises InvalidArgumentError: if ``strict``, and the service does not hold the whole window.
    """
    warnings: list[str] = []
    start, end = window.start, window.end
    if start < HISTORICAL_FLOOR:
        warnings.append(f"The service holds nothing before {HISTORICAL_FLOOR:%Y-%m-%d}.")
        start = HISTORICAL_FLOOR
    elif start < now - HISTORICAL_REACH:
        # One page of the documentation says 365 days, another 2014. The service decides.
        warnings.append(
            f"By one page of the documentation the service holds {HISTORICAL_REACH.days} days, "
            f"and the window starts on {start:%Y-%m-%d}: earlier counts may be missing."
        )
    if strict and warnings:
        raise InvalidArgumentError(
            " ".join(warnings), advice="Give a later start, or unset strict_range."
        )
    # The service refuses an end in the future, so the current hour is left out.
    end = min(end, floor_to(now, HOUR))
    if not start < end:
        return None, [*warnings, f"The service holds no complete hour of {window}."]
    if end < window.end:
        warnings.append(
            f"The window ends at {window.end:%Y-%m-%d %H:%M} UTC, which is in the future: counts "
            f"are requested until {end:%Y-%m-%d %H:%M} UTC."
        )
    return Window(start, end), warnings


def split(window: Window, longest: timedelta, step: timedelta) -> list[Window]:
    """Split a window into parts without gaps or overlaps, the last first.

    Parts are counted from the end, because a Tweet has counts from its creation to the end. So
    each Tweet needs the fewest parts. No part ends within a step, so that no bucket is split.

    :param window: an aligned window. Its end may lie within a step, if it is the present.
    :param longest: the maximum length of a part, in whole steps.
    :param step: the length of a bucket.
    """
    parts: list[Window] = []
    end, boundary = window.end, _ceiling(window.end, step)
    while end > window.start:
        boundary = max(window.start, boundary - longest)
        parts.append(Window(boundary, end))
        end = boundary
    return parts


def floor_to(moment: datetime, step: timedelta) -> datetime:
    """Return the start of the hour or UTC day that a moment is in.

    :param moment: the moment, UTC.
    :param step: :data:`HOUR` or :data:`DAY`.
    """
    return moment - (moment - _EPOCH) % step


def _ceiling(moment: datetime, step: timedelta) -> datetime:
    return moment + (_EPOCH - moment) % step
