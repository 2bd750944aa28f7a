"""A report on counts: a page and CSV files."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.reports.content import read_report
from airflow_provider_engagement.reports.csv_files import write_files
from airflow_provider_engagement.reports.page import render_page

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_engagement.reports.content import Report, ReportOptions
    from airflow_provider_engagement.reports.engine import Engine

__all__ = ["PAGE", "make_report"]

log = logging.getLogger(__name__)

PAGE: Final = "report.html"


def make_report(engine: Engine, options: ReportOptions, folder: Path) -> tuple[Report, list[Path]]:
    """Write a report.

    :param engine: runs the queries.
    :param options: what the report is about.
    :param folder: where the files go; it exists.
    :returns: what it says, and its files. The page is the last one.
    """
    report = read_report(engine, options)
    paths = write_files(report, folder)
    page = folder / PAGE
    page.write_text(render_page(report), encoding="utf-8")
    log.info("The page has %d kB.", page.stat().st_size // 1000)
    return report, [*paths, page]
