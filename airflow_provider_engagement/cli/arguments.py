"""Parsers of the command line's arguments; each error says what is allowed."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.window import as_moment

__all__ = ["moment", "share"]

_AGO: Final = re.compile(r"(\d{1,5})([dh])")
_UNITS: Final = {"d": "days", "h": "hours"}


def moment(text: str) -> datetime:
    """Read a moment: a date, a time, or how long ago it was.

    :param text: such as ``2026-11-01``, ``2026-11-01T05``, ``7d`` or ``6h``; UTC without a zone.
    :raises ArgumentTypeError: if it is none of these.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        return as_moment(text, name="time")
    except (InvalidArgumentError, OverflowError, ValueError):
        raise ArgumentTypeError(
            f"{text!r} is not a time: give a date (2026-11-01), a time (2026-11-01T05), "
            "or how long ago (7d, 6h)"
        ) from None


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
