"""How figures read on the page."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

__all__ = [
    "NOTHING",
    "change",
    "count",
    "day",
    "excerpt",
    "points",
    "rate",
    "safe_url",
    "shortened",
    "total",
    "total_rate",
]

NOTHING: Final = "\u2013"

# Characters that neither HTML nor XML can hold.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

_EXCERPT: Final = 280


def count(value: float | None) -> str:
    """Return a count with its thousands separated; a dash for None."""
    return NOTHING if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Return a rate in per cent."""
    return NOTHING if value is None else f"{value:.2%}"


def points(value: float | None) -> str:
    """Return a change in per cent with its sign: the true minus, which screen readers read."""
    return NOTHING if value is None else f"{value:+.1%}".replace("-", "\u2212")


def change(now: float | None, before: float | None) -> float | None:
    """Return how much a figure changed, as a share of what it was; None if that says nothing."""
    if now is None or before is None or before <= 0:
        return None
    return now / before - 1.0


def day(value: date) -> str:
    """Return a day, such as 5 Jun 2026."""
    return f"{value.day} {value:%b %Y}"


def excerpt(text: str | None) -> str:
    """Return a Tweet's text on one line, shortened."""
    return shortened(text or "", _EXCERPT, control="\ufffd")


def shortened(text: str, most: int, *, control: str = "") -> str:
    """Return a text on one line.

    :param text: any text.
    :param most: the most characters to return.
    :param control: what replaces each character that a page cannot hold.
    """
    plain = " ".join(_CONTROL.sub(control, text).split())
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"


def safe_url(url: str | None, tweet_id: str) -> str:
    """Return a Tweet's URL; one made of its id if the known URL is not a web address.

    :param url: what the table of Tweets says, which is not trusted.
    :param tweet_id: the Tweet.
    """
    if url and urlsplit(url).scheme in {"http", "https"} and not _CONTROL.search(url):
        return url
    return f"https://x.com/i/status/{tweet_id}"


def total(rows: Iterable[dict[str, object]], column: str) -> int | None:
    """Return the sum of a column; None if no row has a value."""
    found = [value for row in rows if isinstance(value := row[column], int)]
    return sum(found) if found else None


def total_rate(rows: Iterable[dict[str, object]]) -> float | None:
    """Return engagements over impressions of the rows that have a rate."""
    rated = [row for row in rows if row["engagement_rate"] is not None]
    engagements, impressions = total(rated, "engagements"), total(rated, "impressions")
    return engagements / impressions if engagements is not None and impressions else None
