"""The section of a report's page that compares campaigns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.reports import charts, figures
from airflow_provider_engagement.reports.charts import Chart
from airflow_provider_engagement.reports.sections import TO_DATE, Figure, Table, left_out, name_of

if TYPE_CHECKING:
    from airflow_provider_engagement.reports.content import Campaigns
    from airflow_provider_engagement.reports.statistics import CampaignRate, RateDifference

__all__ = ["campaign_rates", "campaign_table", "differences"]

# The most that a page shows; campaigns.csv has all.
_MOST_CAMPAIGNS: Final = 20

_TOO_FEW: Final = "too few Tweets to tell"


def campaign_table(campaigns: Campaigns) -> Table:
    """Return the campaigns side by side, with counts to date."""
    shown = campaigns.rows[:_MOST_CAMPAIGNS]
    rows = [
        [
            row["campaign"],
            figures.count(row["tweets"]),
            *(figures.count(row[each]) for each in TO_DATE),
            figures.rate(row["engagement_rate"]),
            _interval_text(campaigns.rates.get(row["campaign"])),
        ]
        for row in shown
    ]
    columns = ["Campaign", "Tweets", *map(name_of, TO_DATE), "Engagement rate", "95 % interval"]
    note = left_out(len(campaigns.rows), len(shown), "campaigns", "campaigns.csv")
    return Table("Campaigns, counts to date", columns, rows, note=note)


def _interval_text(rate: CampaignRate | None) -> str:
    if rate is None or rate.rate is None:
        return figures.NOTHING
    if rate.low is None or rate.high is None:
        return _TOO_FEW
    return f"{figures.rate(rate.low)} to {figures.rate(rate.high)}"


def campaign_rates(campaigns: Campaigns) -> Figure | None:
    """Return the chart of the compared campaigns' rates, at the age at which they are compared."""
    known = [rate for rate in campaigns.compared if rate.rate is not None]
    if not known:
        return None
    title = f"Engagement rate with 95 % interval, {_age_text(campaigns.compared_at)}"
    texts = [f"{each.name}: {figures.rate(each.rate)} ({_interval_text(each)})" for each in known]
    chart = Chart("campaigns", title, "; ".join(texts))
    points = [(each.rate or 0.0, each.low, each.high) for each in known]
    svg = charts.intervals(chart, [each.name for each in known], points)
    rows = [
        [each.name, figures.count(each.tweets), figures.rate(each.rate), _interval_text(each)]
        for each in known
    ]
    columns = ["Campaign", "Tweets", "Engagement rate", "95 % interval"]
    return Figure(title, svg, Table(title, columns, rows))


def _age_text(age: str) -> str:
    return "counts to date" if age == "all" else f"each Tweet's first {age}"


def differences(campaigns: Campaigns) -> Table | None:
    """Return what can be said of each pair of campaigns."""
    if not campaigns.differences:
        return None
    rows = [
        [each.first, each.second, figures.points(each.change), _range(each), _verdict(each)]
        for each in campaigns.differences
    ]
    columns = ["Campaign", "Compared with", "Difference of the rates", "95 % interval", "Result"]
    caption = f"Differences of the rates, {_age_text(campaigns.compared_at)}"
    return Table(caption, columns, rows, texts=2)


def _range(difference: RateDifference) -> str:
    if difference.low is None or difference.high is None:
        return figures.NOTHING
    return f"{figures.points(difference.low)} to {figures.points(difference.high)}"


def _verdict(difference: RateDifference) -> str:
    if difference.is_different is None or difference.change is None:
        return _TOO_FEW
    if not difference.is_different:
        return "no difference found"
    return "higher" if difference.change > 0 else "lower"
