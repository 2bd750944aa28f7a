"""The sections of a report's page that are figures, tables and lists: text, ready to print."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.spec import PUBLIC_TYPES
from airflow_provider_engagement.reports import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_engagement.reports.content import Days, Report, Row

__all__ = [
    "TO_DATE",
    "Card",
    "Figure",
    "Table",
    "TopList",
    "accounts",
    "cards",
    "left_out",
    "missing",
    "name_of",
    "top_lists",
]

# The most that a page shows. The files have the rest.
_MOST_ACCOUNTS: Final = 10
_MOST_TOP: Final = 10
_MOST_TOP_ACCOUNTS: Final = 5
_MOST_REASONS: Final = 30

_NAMES: Final = {
    "favorites": "Likes",
    "quote_tweets": "Quotes",
    "url_clicks": "Link clicks",
    "user_follows": "Follows",
    "user_profile_clicks": "Profile clicks",
}
_HEADLINE: Final = ("impressions", "engagements", "favorites", "retweets", "replies", "url_clicks")
TO_DATE: Final = ("impressions", "engagements", "favorites", "retweets", "replies", "quote_tweets")
"""The types that tables of counts to date have."""
# The most important type comes first.
_TOP_TYPES: Final = ("engagements", "impressions", *TO_DATE[2:])


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure.

    :param name: what it counts.
    :param value: the figure.
    :param change: how much it changed; empty where it cannot be compared.
    :param before: what it was; empty likewise.
    :param trend: ``up``, ``down`` or ``same``.
    """

    name: str
    value: str
    change: str = ""
    before: str = ""
    trend: str = "same"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names the rows.

    :param caption: what it has.
    :param columns: the heads of the columns.
    :param rows: text by column.
    :param texts: how many columns are text; the others are figures.
    :param note: what to know about it.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1
    note: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with its title, and its numbers in a table.

    :param title: what it shows.
    :param svg: the picture.
    :param table: its numbers.
    """

    title: str
    svg: str
    table: Table


@dataclass(frozen=True, slots=True)
class TopList:
    """The top Tweets of an account by one type.

    :param account: the account.
    :param name: what the type counts.
    :param tweets: rank, value, text, URL, day of posting and whether it is in the period.
    :param is_first: whether it is the account's most important list.
    """

    account: str
    name: str
    tweets: list[dict[str, Any]] = field(default_factory=list)
    is_first: bool = False


def name_of(engagement_type: str) -> str:
    """Return what the page calls an engagement type."""
    known = _NAMES.get(engagement_type)
    return known or engagement_type.replace("_", " ").capitalize()


def cards(days: Days) -> list[Card]:
    """Return the headline figures of the period."""
    found = [_card(name_of(each), each, days) for each in _HEADLINE]
    rate, before = figures.total_rate(days.rows), figures.total_rate(days.previous)
    card = _compared("Engagement rate", figures.rate, rate, before if days.is_comparable else None)
    return [*found[:2], card, *found[2:]]


def _card(name: str, engagement_type: str, days: Days) -> Card:
    now, before = (figures.total(rows, engagement_type) for rows in (days.rows, days.previous))
    return _compared(name, figures.count, now, before if days.is_comparable else None)


def _compared(
    name: str, text: Callable[[float | None], str], now: float | None, before: float | None
) -> Card:
    change = figures.change(now, before)
    if change is None:
        return Card(name, text(now))
    trend = "up" if change > 0 else "down" if change < 0 else "same"
    return Card(name, text(now), figures.points(change), text(before), trend)


def accounts(report: Report) -> list[Table]:
    """Return the accounts to date, and beside each other."""
    shown = report.accounts[:_MOST_ACCOUNTS]
    rows = [
        [
            row["account"],
            figures.count(row["tweets"]),
            *(figures.count(row[each]) for each in TO_DATE),
            figures.rate(row["engagement_rate"]),
        ]
        for row in shown
    ]
    columns = ["Account", "Tweets", *map(name_of, TO_DATE), "Engagement rate"]
    note = left_out(len(report.accounts), len(shown), "accounts", "accounts.csv")
    found = [Table("All Tweets, counts to date", columns, rows, note=note)] if rows else []
    return [*found, *_benchmark(report.benchmark)]


def _benchmark(rows: Sequence[Row]) -> list[Table]:
    if not any(row["other_tweets"] for row in rows):
        return []
    shown = [
        [
            row["account"],
            figures.count(row["tweets"]),
            *(_per_tweet(row[f"{each}_per_tweet"]) for each in PUBLIC_TYPES),
        ]
        for row in rows[:_MOST_ACCOUNTS]
    ]
    columns = ["Account", "Tweets", *map(name_of, PUBLIC_TYPES)]
    return [Table("Public counts per Tweet, beside other accounts", columns, shown)]


def _per_tweet(value: float | None) -> str:
    return figures.NOTHING if value is None else f"{value:,.1f}"


def top_lists(report: Report) -> list[TopList]:
    """Return the lists of top Tweets, each account's most important one first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in report.top_tweets:
        found.setdefault((row["account"], row["engagement_type"]), []).append(row)
    names = list(dict.fromkeys(account for account, _ in found))[:_MOST_TOP_ACCOUNTS]
    lists = []
    for account in names:
        types = [each for each in _TOP_TYPES if (account, each) in found]
        for each in types:
            tweets = [_tweet(row, report.days) for row in found[account, each][:_MOST_TOP]]
            lists.append(TopList(account, name_of(each), tweets, is_first=each == types[0]))
    return lists


def _tweet(row: Row, days: Days) -> dict[str, Any]:
    posted = row["created_at"]
    return {
        "rank": row["rank"],
        "value": figures.count(row["value"]),
        "text": figures.excerpt(row["text"]),
        "id": row["tweet_id"],
        "url": figures.safe_url(row["url"], row["tweet_id"]),
        "posted": figures.day(posted) if posted else figures.NOTHING,
        "is_new": bool(posted and days.period and posted.date() in days.period),
    }


def missing(rows: Sequence[Row]) -> Table | None:
    """Return which counts are missing, and why."""
    found = [row for row in rows if row["reason"] or row["status"] != "answered"]
    if not found:
        return None
    shown = [
        [
            row["account"],
            row["endpoint"],
            row["status"],
            row["reason"] or figures.NOTHING,
            (row["missing_types"] or "all").replace(",", ", "),
            figures.count(row["tweets"]),
        ]
        for row in found[:_MOST_REASONS]
    ]
    columns = ["Account", "Endpoint", "Status", "Why", "Missing counts", "Tweets"]
    note = left_out(len(found), len(shown), "reasons", "the table of coverage")
    return Table("Missing counts, as the service last answered", columns, shown, 5, note)


def left_out(number: int, shown: int, what: str, where: str) -> str:
    """Return what to say where a table does not have all rows; empty if it has.

    :param number: how many there are.
    :param shown: how many the table has.
    :param what: what they are.
    :param where: what has all of them.
    """
    return f"{shown} of {number} {what} are shown; {where} has all." if number > shown else ""
