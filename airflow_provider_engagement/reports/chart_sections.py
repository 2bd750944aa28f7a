"""The sections of a report's page that are charts, each with its numbers in a table."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.reports import charts, figures
from airflow_provider_engagement.reports.charts import Chart, Series
from airflow_provider_engagement.reports.sections import Figure, Table, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import date

    from airflow_provider_engagement.reports.content import Days, Row

__all__ = ["MIN_TWEETS_OF_KIND", "day_figures", "growth", "kinds"]

# How many accounts have charts of kinds, and how many curves the chart of growth has.
_MOST_KINDS: Final = 3
_MOST_CURVES: Final = 3

MIN_TWEETS_OF_KIND: Final = 5
"""A kind with fewer Tweets is in the table only."""


def day_figures(days: Days) -> list[Figure]:
    """Return the charts by day, all accounts together."""
    period = days.period
    if period is None or not days.rows:
        return []
    dates = [period.first + timedelta(days=number) for number in range(period.days)]
    by_date: dict[date, list[Row]] = {day: [] for day in dates}
    for row in days.rows:
        by_date[row["date"]].append(row)
    marks = charts.day_marks(dates)
    found = []
    for engagement_type in ("impressions", "engagements", "favorites"):
        values = [figures.total(rows, engagement_type) for rows in by_date.values()]
        name = name_of(engagement_type)
        title = f"{name} by day"
        chart = Chart(engagement_type, title, _summary(name, dates, values, figures.count))
        table = _day_table(title, dates, name, map(figures.count, values))
        found.append(Figure(title, charts.columns(chart, marks, values), table))
    rates = [figures.total_rate(rows) for rows in by_date.values()]
    title = "Engagement rate by day"
    chart = Chart("rate", title, _summary("The rate", dates, rates, figures.rate))
    table = _day_table(title, dates, "Engagement rate", map(figures.rate, rates))
    return [*found, Figure(title, charts.line(chart, marks, rates), table)]


def _summary(
    name: str,
    days: Sequence[date],
    values: Sequence[float | None],
    text: Callable[[float | None], str],
) -> str:
    """Return what a chart by day shows, in a sentence."""
    known = [(value, day) for day, value in zip(days, values, strict=True) if value is not None]
    if not known:
        return f"{name}: there are no counts."
    (low, first), (high, last) = min(known), max(known)
    return (
        f"{name} from {figures.day(days[0])} to {figures.day(days[-1])}: lowest {text(low)} on "
        f"{figures.day(first)}, highest {text(high)} on {figures.day(last)}."
    )


def _day_table(caption: str, days: Sequence[date], name: str, texts: Iterable[str]) -> Table:
    rows = [[figures.day(day), text] for day, text in zip(days, texts, strict=True)]
    return Table(caption, ["Day", name], rows)


_DIMENSIONS: Final = {"media": "Media", "link": "Links", "type": "Type", "hour": "Hour of posting"}


def kinds(rows: Iterable[Row]) -> list[Figure]:
    """Return the charts of what works, for the first accounts."""
    by_account: dict[str, list[Row]] = {}
    for row in rows:
        by_account.setdefault(row["account"], []).append(row)
    found = []
    for number, (account, own) in enumerate(list(by_account.items())[:_MOST_KINDS]):
        found.append(
            _kinds_figure(number, account, [row for row in own if row["dimension"] != "hour"])
        )
        found.append(
            _hours_figure(number, account, [row for row in own if row["dimension"] == "hour"])
        )
    return [figure for figure in found if figure]


def _kinds_figure(number: int, account: str, rows: Sequence[Row]) -> Figure | None:
    known = [row for row in rows if row["rated_tweets"] >= MIN_TWEETS_OF_KIND]
    title = f"Median engagement rate by kind of Tweet, {account}"
    if not known:
        return None
    names = [_kind_name(row) for row in known]
    rates = [row["median_engagement_rate"] for row in known]
    texts = [f"{name} {figures.rate(rate)}" for name, rate in zip(names, rates, strict=True)]
    chart = Chart(f"kinds-{number}", title, "; ".join(texts))
    return Figure(title, charts.ranking(chart, names, rates), _kind_table(title, rows))


def _hours_figure(number: int, account: str, rows: Sequence[Row]) -> Figure | None:
    rates = {
        int(row["kind"]): row["median_engagement_rate"]
        for row in rows
        if row["rated_tweets"] >= MIN_TWEETS_OF_KIND
    }
    title = f"Median engagement rate by hour of posting (UTC), {account}"
    if not rates:
        return None
    best = max(rates, key=lambda hour: (rates[hour], -hour))
    summary = f"The highest rate is {figures.rate(rates[best])}, at {best:02}:00 UTC."
    marks = [f"{hour:02}" if hour % 3 == 0 else "" for hour in range(24)]
    values = [rates.get(hour) for hour in range(24)]
    svg = charts.columns(Chart(f"hours-{number}", title, summary), marks, values, is_rate=True)
    return Figure(title, svg, _kind_table(title, rows))


def _kind_name(row: Row) -> str:
    return f"{_DIMENSIONS[row['dimension']]}: {row['kind'].replace('_', ' ')}"


def _kind_table(caption: str, rows: Sequence[Row]) -> Table:
    shown = [
        [
            _kind_name(row),
            figures.count(row["tweets"]),
            figures.rate(row["median_engagement_rate"]),
            figures.rate(row["engagement_rate"]),
            figures.count(row["median_impressions"]),
        ]
        for row in rows
    ]
    columns = ["Kind", "Tweets", "Median rate", "Rate of all together", "Median impressions"]
    return Table(caption, columns, shown)


def growth(rows: Sequence[Row]) -> Figure | None:
    """Return the curves of counts by age, each of Tweets that are known at all its ages."""
    cohorts: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        cohorts.setdefault((row["last_age"], row["ages"]), []).append(row)
    drawn = [each for each in cohorts.values() if len(each) > 1 and len(each) == each[0]["ages"]]
    drawn = sorted(drawn, key=lambda each: -each[0]["tweets"])[:_MOST_CURVES]
    if not drawn:
        return None
    ages = {row["age_hours"]: row["age"] for each in drawn for row in each}
    ordered = [ages[hours] for hours in sorted(ages)]
    series = [Series(_cohort_name(each), _by_age(each, sorted(ages))) for each in drawn]
    title = "Impressions per Tweet by age"
    ends = [
        f"{_cohort_name(each)}: {figures.count(each[-1]['impressions'])} impressions then"
        for each in drawn
    ]
    svg = charts.curves(Chart("growth", title, "; ".join(ends)), ordered, series)
    return Figure(title, svg, _growth_table(title, drawn))


def _cohort_name(rows: Sequence[Row]) -> str:
    return f"{figures.count(rows[0]['tweets'])} Tweets to {rows[-1]['age']}"


def _by_age(rows: Sequence[Row], ages: Sequence[int]) -> list[float | None]:
    known = {row["age_hours"]: row["impressions"] for row in rows}
    return [known.get(age) for age in ages]


def _growth_table(caption: str, cohorts: Sequence[Sequence[Row]]) -> Table:
    shown = [
        [
            _cohort_name(each),
            row["age"],
            figures.count(row["impressions"]),
            figures.count(row["engagements"]),
            figures.rate(row["engagement_rate"]),
        ]
        for each in cohorts
        for row in each
    ]
    columns = ["Tweets", "Age", "Impressions per Tweet", "Engagements per Tweet", "Engagement rate"]
    return Table(caption, columns, shown, texts=2)
