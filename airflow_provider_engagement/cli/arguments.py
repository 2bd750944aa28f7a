"""Parsers of the command line's arguments; each error says what is allowed."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.window import as_moment

__all__ = ["length", "moment", "number", "share"]

_LENGTH: Final = re.compile(r"(\d{1,5})([dh])")
_UNITS: Final = {"d": "days", "h": "hours"}


def moment(text: str) -> datetime:
    """Read a moment: a date, a time, or how long ago it was.

    :param text: such as ``2026-11-01``, ``2026-11-01T05``, ``7d`` or ``6h``; UTC without a zone.
    :raises ArgumentTypeError: if the text is something else.
    """
    ago = _length(text)
    if ago is not None:
        return datetime.now(UTC) - ago
    try:
        return as_moment(text, name="time")
    except (InvalidArgumentError, OverflowError, ValueError):
        raise ArgumentTypeError(
            f"{text!r} is not a time: give a date (2026-11-01), a time (2026-11-01T05), "
            "or how long ago (7d, 6h)"
        ) from None


def length(text: str) -> timedelta:
    """Read a length of time.

    :param text: such as ``7d`` or ``6h``.
    :raises ArgumentTypeError: if it is not.
    """
    found = _length(text)
    if not found:
        raise ArgumentTypeError(f"{text!r} is not a length of time: give days (7d) or hours (6h)")
    return found


def number(text: str) -> int:
    """Read a whole number above zero.

    :param text: such as ``10``.
    :raises ArgumentTypeError: if it is not one.
    """
    if not re.fullmatch(r"0*[1-9][0-9]{0,5}", text):
        raise ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def share(text: str) -> float:
    """Read a share.

    :param text: a number from 0 to 1.
    :raises ArgumentTypeError: if it is not.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a share: give a number from 0 to 1")
    return value


def _length(text: str) -> timedelta | None:
    found = _LENGTH.fullmatch(text.strip())
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
