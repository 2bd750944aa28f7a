"""The window of a time series: read, checked, snapped to the hour, defaulted."""

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
    """A stretch of time, half-open.

    :param start: its start.
    :param end: its end, exclusive; on no whole hour where the service took it from its clock.
    """

    start: datetime
    end: datetime

    def echo(self) -> dict[str, object]:
        """Say it as an answer does."""
        return {"start": _text(self.start), "end": _text(self.end)}

    def edges(self) -> list[datetime]:
        """Give where its hours begin, and last its end."""
        hours = -((self.start - self.end) // _HOUR)
        return [*(self.start + n * _HOUR for n in range(hours)), self.end]


def window_of(endpoint: Endpoint, body: dict[str, object], now: datetime) -> Window | None:
    """Tell the window that a request asks for.

    :param endpoint: where it came in.
    :param body: what it says.
    :param now: the service's clock.
    :returns: the window; None on ``/totals``, which has none.
    :raises Refused: if it asks for a window where none may be asked for, or for one that is not
        allowed.
    """
    given = [name for name in ("start", "end") if body.get(name) is not None]
    if endpoint.max_window is None:
        if given:
            names = " and ".join(given)
            raise error_responses.NO_WINDOW_HERE.refuse(endpoint=endpoint.name, names=names)
        return _last_28_hours(now) if endpoint.name is EndpointName.LAST_28_HOURS else None
    if len(given) == 1:
        raise error_responses.HALF_A_WINDOW.refuse()
    if not given:
        return _default(endpoint.max_window, now)
    start, end = (_moment(name, body[name]) for name in given)
    return _checked(start, end, endpoint.max_window, now)


def _checked(start: datetime, end: datetime, longest: timedelta, now: datetime) -> Window:
    # The service's order of these checks is unknown. That of length and snapping, too: snapped
    # first, so that a client which passes here is within the limit either way.
    if end > now:
        raise error_responses.END_IN_FUTURE.refuse()
    if end <= start:
        raise error_responses.END_NOT_AFTER_START.refuse()
    window = Window(_floor(start), _ceil(end))
    if window.start < HISTORICAL_FLOOR:
        raise error_responses.START_TOO_EARLY.refuse(floor=_text(HISTORICAL_FLOOR))
    if window.end - window.start > longest:
        raise error_responses.WINDOW_TOO_LONG.refuse(days=longest.days)
    return window


def _default(longest: timedelta, now: datetime) -> Window:
    # As in the one real answer known: `end` is the present minute, `start` 28 days before it and
    # rounded up, so that the span stays within the limit.
    end = now.replace(second=0, microsecond=0)
    return Window(_ceil(end - longest), end)


def _last_28_hours(now: datetime) -> Window:
    # The documented samples disagree: 28 hours, 28 hours and 27 minutes, 29 hours. Snapping both
    # ends outward gives the one that is complete (29 hours at 22:00, from 17:00 the day before).
    return Window(_floor(now - timedelta(hours=28)), _ceil(now))


def _moment(name: str, value: object) -> datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise error_responses.BAD_MOMENT.refuse(name=name) from None
        return moment.replace(tzinfo=UTC)
    raise error_responses.BAD_MOMENT.refuse(name=name)


def _floor(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil(moment: datetime) -> datetime:
    floor = _floor(moment)
    return floor if floor == moment else floor + _HOUR


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
