"""Parses and checks the window of a time series, and aligns it to hours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_engagement.api.spec import HISTORICAL_FLOOR, Endpoint, EndpointName
from airflow_provider_engagement.simulator import error_responses

__all__ = ["Window", "window_of"]

_HOUR: Final = timedelta(hours=1)
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}Z)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open window.

    :param start: its start.
    :param end: its end, exclusive; not a whole hour if the service took it from its clock.
    """

    start: datetime
    end: datetime

    def echo(self) -> dict[str, object]:
        """Return the fields of a response that name the window."""
        return {"start": _text(self.start), "end": _text(self.end)}

    def edges(self) -> list[datetime]:
        """Return the start of each of its hours, then its end."""
        hours = -((self.start - self.end) // _HOUR)
        return [*(self.start + n * _HOUR for n in range(hours)), self.end]


def window_of(endpoint: Endpoint, body: dict[str, object], now: datetime) -> Window | None:
    """Return the window of a request.

    :param endpoint: the endpoint that received it.
    :param body: its body.
    :param now: the service's current time.
    :returns: the window; None on ``/totals``, which has no window.
    :raises ErrorResponse: if the endpoint takes no window, or the window is not allowed.
    """
    given = [name for name in ("start", "end") if body.get(name) is not None]
    if endpoint.max_window is None:
        if given:
            names = " and ".join(given)
            raise error_responses.NO_WINDOW_HERE.error(endpoint=endpoint.name, names=names)
        return _last_28_hours(now) if endpoint.name is EndpointName.LAST_28_HOURS else None
    if len(given) == 1:
        raise error_responses.HALF_A_WINDOW.error()
    if not given:
        return _default(endpoint.max_window, now)
    start, end = (_moment(name, body[name]) for name in given)
    return _checked(start, end, endpoint.max_window, now)


def _checked(start: datetime, end: datetime, longest: timedelta, now: datetime) -> Window:
    # The service's order of these checks is unknown, and whether it aligns the window before it
    # checks its length. Aligned first, a client that passes here is within the limit either way.
    if end > now:
        raise error_responses.END_IN_FUTURE.error()
    if end <= start:
        raise error_responses.END_NOT_AFTER_START.error()
    window = Window(_floor(start), _ceil(end))
    if window.start < HISTORICAL_FLOOR:
        raise error_responses.START_TOO_EARLY.error(floor=_text(HISTORICAL_FLOOR))
    if window.end - window.start > longest:
        raise error_responses.WINDOW_TOO_LONG.error(days=longest.days)
    return window


def _default(longest: timedelta, now: datetime) -> Window:
    # As in the only real response known: `end` is the current minute, and `start` is 28 days
    # earlier, rounded up, so that the window stays within the limit.
    end = now.replace(second=0, microsecond=0)
    return Window(_ceil(end - longest), end)


def _last_28_hours(now: datetime) -> Window:
    # The documented samples disagree: 28 hours, 28 hours and 27 minutes, 29 hours. Aligning both
    # ends outward gives the complete one (29 hours at 22:00, from 17:00 the day before).
    return Window(_floor(now - timedelta(hours=28)), _ceil(now))


def _moment(name: str, value: object) -> datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise error_responses.BAD_MOMENT.error(name=name) from None
        return moment.replace(tzinfo=UTC)
    raise error_responses.BAD_MOMENT.error(name=name)


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + _HOUR


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
