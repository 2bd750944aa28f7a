"""The CSV files of a report, which a spreadsheet opens as they are meant.

A spreadsheet reads a Tweet's id as a number and rounds it, and text that starts with ``=`` as a
formula. Both get an apostrophe in front. To read them back, remove one apostrophe, if
there is one: see :func:`plain`.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.reports.figures import safe_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from airflow_provider_engagement.reports.content import Report

__all__ = ["COLUMNS", "as_cell", "plain", "write_files"]

COLUMNS: Final = {
    "top_tweets.csv": ("account", "engagement_type", "rank", "tweet_id", "value", "text", "url"),
    "campaigns.csv": (
        *("campaign", "tweets", *ENGAGEMENT_TYPES),
        *("engagement_rate", "engagement_rate_low", "engagement_rate_high"),
    ),
    "accounts.csv": ("account", "tweets", *ENGAGEMENT_TYPES, "engagement_rate"),
    "days.csv": ("account", "date", *ENGAGEMENT_TYPES, "engagement_rate"),
}
"""The columns of each file."""

# What starts a formula in Excel, LibreOffice or Google Sheets. The last four are = + - @ in full
# width, which East Asian systems take for the others.
_STARTS_FORMULA: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")


def as_cell(value: object) -> object:
    """Return what is written for a value: text that cannot be a formula, and empty for None.

    :param value: text, a number, a date or None.
    """
    if not isinstance(value, str) or isinstance(value, _Text):
        return "" if value is None else value
    starts = value[:1] + value.lstrip()[:1]
    return f"'{value}" if not _STARTS_FORMULA.isdisjoint(starts) or value[:1] == "'" else value


def plain(cell: str) -> str:
    """Return the text of a cell: the inverse of :func:`as_cell`, also for a Tweet's id.

    :param cell: the cell in the file.
    """
    return cell.removeprefix("'")


def write_files(report: Report, folder: Path) -> list[Path]:
    """Write all files.

    :param report: what to write.
    :param folder: where to; it exists.
    :returns: their paths.
    """
    rows = {
        "top_tweets.csv": map(_top_tweet, report.top_tweets),
        "campaigns.csv": _campaigns(report),
        "accounts.csv": report.accounts,
        "days.csv": report.days.rows,
    }
    return [_write(folder / name, COLUMNS[name], each) for name, each in rows.items()]


def _write(path: Path, columns: Sequence[str], rows: Iterable[dict[str, Any]]) -> Path:
    # The mark at the start is how Excel knows UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="", errors="replace") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([as_cell(row.get(column)) for column in columns])
    return path


def _top_tweet(row: dict[str, Any]) -> dict[str, Any]:
    url = safe_url(row["url"], row["tweet_id"])
    return {**row, "tweet_id": _Text(f"'{row['tweet_id']}"), "url": url}


class _Text(str):
    """Text that has its apostrophe already, so :func:`as_cell` adds no other."""

    __slots__ = ()


def _campaigns(report: Report) -> Iterator[dict[str, Any]]:
    for row in report.campaigns.rows:
        found = report.campaigns.rates.get(row["campaign"])
        low, high = (found.low, found.high) if found else (None, None)
        yield {**row, "engagement_rate_low": low, "engagement_rate_high": high}
