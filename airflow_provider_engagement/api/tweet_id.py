"""Reads Tweet ids, and when a Tweet was created from its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from airflow_provider_engagement.api.errors import InvalidArgumentError

__all__ = [
    "FIRST_SNOWFLAKE_MS",
    "LAST_SEQUENTIAL_ID",
    "MAX_TWEET_ID",
    "TIMESTAMP_SHIFT",
    "created_at",
    "first_id_at",
    "parse_tweet_id",
]

# Ids are Snowflakes since 2010-11-04: milliseconds since this instant, above 22 other bits.
FIRST_SNOWFLAKE_MS: Final = 1288834974657
TIMESTAMP_SHIFT: Final = 22

# Ids up to this one were assigned in sequence and contain no time.
LAST_SEQUENTIAL_ID: Final = 29_700_859_247

# Ids are signed 64-bit (the v2 specification's pattern is ^[0-9]{1,19}$).
MAX_TWEET_ID: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_tweet_id(value: object, *, where: str) -> str:
    """Read one id, given as text or as a whole number.

    :param value: the id.
    :param where: what to call its place in an error, such as ``tweet_ids[3]``.
    :returns: the id as the service wants it: decimal digits, no leading zeros.
    :raises InvalidArgumentError: if it is no id. A float is refused, since it has already lost
        digits. The message never holds the value: a wrong file may hold anything.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        text = value.strip().lstrip("0")
        number = int(text) if 0 < len(text) <= 19 else 0  # noqa: PLR2004 - 19 digits: 64 bits
    else:
        number = 0
    if not 0 < number <= MAX_TWEET_ID:
        msg = (
            f"{where} is not a Tweet id: got {_describe(value)}, "
            f"but an id is a whole number from 1 to {MAX_TWEET_ID}, as text or as a number."
        )
        raise InvalidArgumentError(msg)
    return str(number)


def _describe(value: object) -> str:
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped:
            return "empty text"
        if stripped.isascii() and stripped.isdigit():
            return f"{len(stripped)} digits, out of range"
        return f"{len(value)} characters that are not all digits"
    return f"a value of type {type(value).__name__}"


def created_at(tweet_id: str) -> datetime | None:
    """Return when a Tweet was created, to the millisecond, UTC; None for ids before Snowflake."""
    number = int(tweet_id)
    if number <= LAST_SEQUENTIAL_ID:
        return None
    return _EPOCH + timedelta(milliseconds=(number >> TIMESTAMP_SHIFT) + FIRST_SNOWFLAKE_MS)


def first_id_at(moment: datetime) -> int:
    """Return the lowest id that a Tweet created at this moment can have."""
    milliseconds = (moment - _EPOCH) // timedelta(milliseconds=1)
    return max(0, milliseconds - FIRST_SNOWFLAKE_MS) << TIMESTAMP_SHIFT
