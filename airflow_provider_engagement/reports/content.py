"""What a report says: the answers of its queries, and the figures that are made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from airflow_provider_engagement.reports import queries
from airflow_provider_engagement.reports.statistics import CampaignSample, compare_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from airflow_provider_engagement.reports.engine import Engine, Parameter
    from airflow_provider_engagement.reports.statistics import CampaignRate, RateDifference

    RowQuery = Callable[..., list["Row"]]

__all__ = [
    "DEFAULT_DAYS",
    "Campaigns",
    "Days",
    "Period",
    "Report",
    "ReportOptions",
    "Row",
    "read_report",
]

Row = dict[str, Any]

DEFAULT_DAYS: Final = 28

# Each takes up to a tenth of a second; the others have a rate without an interval.
_MOST_INTERVALS: Final = 40
# These are 28 pairs.
_MOST_COMPARED: Final = 8
# The longest first.
_AGES: Final = ("28 days", "7 days", "24 hours")


@dataclass(frozen=True, slots=True)
class Period:
    """Whole UTC days.

    :param first: the first day.
    :param end: the day after the last one.
    """

    first: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.first).days

    @property
    def last(self) -> date:
        """The last day."""
        return self.end - timedelta(days=1)

    def before(self) -> Period:
        """Return the period of the same length before this one."""
        return Period(self.first - (self.end - self.first), self.first)

    def __contains__(self, day: date) -> bool:
        return self.first <= day < self.end


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is about.

    :param table: what the page calls the counts.
    :param made_at: when it is made, UTC.
    :param period: the days of the sections by day; None for the last 28 days with counts.
    :param top: how many Tweets are listed for each account and type.
    :param campaign_label: the label whose values are the campaigns.
    :param title: the page's title.
    :param period_origin: where the period comes from, as the page says it.
    """

    table: str
    made_at: datetime
    period: Period | None = None
    top: int = 10
    campaign_label: str = "campaign"
    title: str = "Engagement report"
    period_origin: str = ""


@dataclass(frozen=True, slots=True)
class Days:
    """Counts by day of a period, and of the period before.

    :param period: the period; None if there are no counts by day at all.
    :param rows: a row for each account and day.
    :param previous: the same for the period before.
    """

    period: Period | None
    rows: list[Row]
    previous: list[Row]

    @property
    def is_comparable(self) -> bool:
        """Whether as many days of each account have counts in both periods."""
        return bool(self.rows) and _days_of(self.rows) == _days_of(self.previous)


@dataclass(frozen=True, slots=True)
class Campaigns:
    """Campaigns and how they compare.

    :param rows: the view's rows of counts to date, the campaign with most impressions first.
    :param rates: the rates with intervals, by campaign.
    :param compared_at: the age at which pairs are compared; ``all`` for counts to date.
    :param compared: the rates at that age.
    :param differences: those of all compared pairs.
    """

    rows: list[Row]
    rates: dict[str, CampaignRate]
    compared_at: str
    compared: list[CampaignRate]
    differences: list[RateDifference]


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page and the files say.

    :param options: what the report is about.
    :param days: counts by day.
    :param accounts: the accounts, to date.
    :param benchmark: the accounts beside each other.
    :param top_tweets: the top Tweets of each account and type.
    :param campaigns: the campaigns.
    :param kinds: what works: the view of kinds of Tweets.
    :param growth: averages by age.
    :param missing: which counts are missing, and why.
    """

    options: ReportOptions
    days: Days
    accounts: list[Row]
    benchmark: list[Row]
    top_tweets: list[Row]
    campaigns: Campaigns
    kinds: list[Row] = field(default_factory=list)
    growth: list[Row] = field(default_factory=list)
    missing: list[Row] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Return what the report has, in a few figures."""
        period = self.days.period
        return {
            "window": {"start": f"{period.first}", "end": f"{period.end}"} if period else None,
            "accounts": len(self.accounts),
            "tweets": sum(row["tweets"] for row in self.accounts),
            "days": len(self.days.rows),
            "campaigns": len(self.campaigns.rows),
            "campaigns_compared_at": self.campaigns.compared_at,
        }


def read_report(engine: Engine, options: ReportOptions) -> Report:
    """Ask for all that a report says, in one query for each section.

    :param engine: runs the queries.
    :param options: what the report is about.
    """

    def rows(sql: str, parameters: Mapping[str, Parameter] | None = None) -> list[Row]:
        found: list[Row] = engine.query(sql, parameters).to_pylist()
        return found

    engine.ensure_views()
    return Report(
        options,
        days=_days(options.period, rows),
        accounts=rows(queries.ACCOUNTS),
        benchmark=rows(queries.BENCHMARK),
        top_tweets=rows(queries.TOP_TWEETS, {"top": options.top}),
        campaigns=_campaigns(options.campaign_label, rows),
        kinds=rows(queries.KINDS),
        growth=rows(queries.GROWTH),
        missing=rows(queries.MISSING),
    )


def _days(period: Period | None, rows: RowQuery) -> Days:
    parameters = {"first": "", "end": "", "days": 2 * DEFAULT_DAYS - 1}
    if period is not None:
        parameters |= {"first": f"{period.before().first}", "end": f"{period.end}"}
    found = rows(queries.DAYS, parameters)
    if period is None:
        if not found:
            return Days(None, [], [])
        end = max(row["date"] for row in found) + timedelta(days=1)
        period = Period(end - timedelta(days=DEFAULT_DAYS), end)
    return Days(
        period,
        [row for row in found if row["date"] in period],
        [row for row in found if row["date"] in period.before()],
    )


def _days_of(rows: Iterable[Row]) -> Counter[str]:
    return Counter(row["account"] for row in rows)


def _campaigns(label: str, rows: RowQuery) -> Campaigns:
    found = rows(queries.CAMPAIGNS, {"label": label})
    to_date = sorted(
        (row for row in found if row["age"] == "all"),
        key=lambda row: (-(row["impressions"] or 0), row["campaign"]),
    )
    if not to_date:
        return Campaigns([], {}, "all", [], [])
    names = [row["campaign"] for row in to_date[:_MOST_INTERVALS]]
    age = _common_age(found, names[:_MOST_COMPARED])
    parameters = {"label": label, "campaigns": names, "age": age}
    samples = _samples(rows(queries.SAMPLES, parameters), names)
    rates, _ = compare_campaigns([samples[name, "all"] for name in names], with_pairs=False)
    at_age = [samples[name, age] for name in names[:_MOST_COMPARED]]
    compared, differences = compare_campaigns(at_age)
    return Campaigns(to_date, {rate.name: rate for rate in rates}, age, compared, differences)


def _common_age(rows: Sequence[Row], names: Sequence[str]) -> str:
    """Return the oldest age at which most Tweets of each campaign are known; else ``all``."""
    known = {(row["campaign"], row["age"]): row["rated_tweets"] for row in rows}
    to_date = {name: known[name, "all"] for name in names}
    for age in _AGES:
        if all(2 * known.get((name, age), 0) >= max(1, to_date[name]) for name in names):
            return age
    return "all"


def _samples(rows: Iterable[Row], names: Sequence[str]) -> dict[tuple[str, str], CampaignSample]:
    """Return the counts of the Tweets by campaign and age; empty where there are none."""
    parts: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        parts.setdefault((row["campaign"], row["age"]), []).append(row)
    return {
        (name, age): _sample(name, parts.get((name, age), []))
        for name in names
        for age in ("all", *_AGES)
    }


def _sample(name: str, rows: Sequence[Row]) -> CampaignSample:
    engagements, impressions = (
        np.array([row[column] for row in rows], dtype=np.float64)
        for column in ("engagements", "impressions")
    )
    return CampaignSample(name, rows[0]["tweets"] if rows else 0, engagements, impressions)
