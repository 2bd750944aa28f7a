"""Parsers of the command line's options; each error says what is allowed."""

from __future__ import annotations

import json
import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.simulator.faults import FAULT_KINDS, FaultKind

__all__ = ["count", "handle", "ids", "kinds", "limits", "moment", "port", "seconds", "share"]

_HIGHEST_PORT = 65_535


def count(text: str) -> int:
    """Read a whole number, 0 or more."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ArgumentTypeError(f"{text!r} is not a count: give a whole number, 0 or more")
    return int(text)


def port(text: str) -> int:
    """Read the number of a port."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > _HIGHEST_PORT:
        raise ArgumentTypeError(
            f"{text!r} is not a port: give a number from 1 to {_HIGHEST_PORT}, or 0 for a free one"
        )
    return int(text)


def seconds(text: str) -> float:
    """Read a duration in seconds."""
    value = _number(text)
    if value is None or not 0 <= value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a duration: give seconds, 0 or more, such as 0.2")
    return value


def share(text: str) -> float:
    """Read a share between 0 and 1."""
    value = _number(text)
    if value is None or not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a share: give a number from 0 to 1")
    return value


def moment(text: str) -> datetime:
    """Read a time in ISO 8601; UTC if it names no time zone."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not a time: give one in ISO 8601, such as 2026-03-10T12:00"
        ) from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def handle(text: str) -> str:
    """Read an account's handle."""
    if not text or re.search(r"\s", text):
        raise ArgumentTypeError(f"{text!r} is not a handle: give one without spaces, such as acme")
    return text


def kinds(text: str) -> tuple[FaultKind, ...]:
    """Read kinds of faults, separated by commas."""
    wanted = [kind.strip() for kind in text.split(",")]
    known = {str(kind): kind for kind in FAULT_KINDS}
    unknown = [kind for kind in wanted if kind not in known]
    if unknown:
        raise ArgumentTypeError(
            f"unknown faults {', '.join(map(repr, unknown))}: give some of {','.join(FAULT_KINDS)}"
        )
    return tuple(known[kind] for kind in wanted)


def limits(text: str) -> int | dict[str, int]:
    """Read the limit of requests per minute: a number, or JSON with a number per endpoint."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if _is_limit(value):
        return int(value)
    names = [str(name) for name in EndpointName]
    named = value if isinstance(value, dict) else {}
    if named and set(named) <= set(names) and all(map(_is_limit, named.values())):
        return named
    raise ArgumentTypeError(
        f"{text!r} is not a limit: give a whole number, 1 or more, or JSON with one for some of "
        f"{', '.join(names)}, such as " + '{"totals": 300, "28hr": 60}'
    )


def _is_limit(value: object) -> bool:
    # JSON's true would pass as 1.
    return type(value) is int and value > 0


def ids(text: str) -> list[str]:
    """Read Tweet ids separated by commas, or the path of a file of ids."""
    if not re.fullmatch(r"[\d,\s]+", text):
        try:
            text = Path(text).read_text()
        except OSError as error:
            raise ArgumentTypeError(str(error)) from None
    found = re.split(r"[,\s]+", text.strip())
    if not all(tweet_id.isascii() and tweet_id.isdigit() for tweet_id in found):
        raise ArgumentTypeError("give ids separated by commas, or a file that holds only ids")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
