"""The page of a report: one HTML file that needs no network and holds no script."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from airflow_provider_engagement.reports import (
    campaign_sections,
    chart_sections,
    figures,
    sections,
)

if TYPE_CHECKING:
    from airflow_provider_engagement.reports.content import Report

__all__ = ["render_page"]

_TEMPLATE: Final = "page.html"
_STYLE: Final = "page.css"


def render_page(report: Report) -> str:
    """Return the page.

    :param report: what it says.
    :returns: HTML. All text is escaped, because Tweets are written by anybody.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"count": figures.count, "rate": figures.rate, "day": figures.day}
    template = environment.from_string(_read(_TEMPLATE))
    return template.render(_sections(report))


def _sections(report: Report) -> dict[str, Any]:
    days, campaigns = report.days, report.campaigns
    return {
        "options": report.options,
        "style": Markup(_read(_STYLE)),  # noqa: S704 - a file of this package
        "svg": Markup,  # for charts only, which escape their text
        "days": days,
        "cards": sections.cards(days) if days.rows else [],
        "day_figures": chart_sections.day_figures(days),
        "accounts": sections.accounts(report),
        "top_lists": sections.top_lists(report),
        "campaigns": campaign_sections.campaign_table(campaigns) if campaigns.rows else None,
        "compared_at": campaigns.compared_at,
        "campaign_rates": campaign_sections.campaign_rates(campaigns),
        "differences": campaign_sections.differences(campaigns),
        "kinds": chart_sections.kinds(report.kinds),
        "min_tweets_of_kind": chart_sections.MIN_TWEETS_OF_KIND,
        "growth": chart_sections.growth(report.growth),
        "missing": sections.missing(report.missing),
        "has_coverage": bool(report.missing),
    }


def _read(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
