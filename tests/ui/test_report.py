"""The page of a report in Chromium: what it asks for, says, and how it can be read.

With ``PICTURES`` set to a folder (``make pictures``) the pictures of the docs are written into it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_counts import NOW, make_counts

from airflow_provider_engagement.collections.files import LocalFiles
from airflow_provider_engagement.reports.content import ReportOptions
from airflow_provider_engagement.reports.duckdb_engine import DuckDBEngine
from airflow_provider_engagement.reports.report import make_report
from tools import browser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tools.report_page import ReportPage
    from tools.ui import Ui


def write_page(folder: Path, *, hostile: bool) -> Path:
    made = make_counts(folder, tweets=400, days=90, hostile=hostile)
    engine = DuckDBEngine(made.table, made.tweets_table, store=LocalFiles())
    options = ReportOptions(
        table="acme-marketing.reporting.engagement",
        made_at=NOW,
        title="Engagement of @acme",
        period_origin="the last 28 days with counts",
    )
    try:
        _, paths = make_report(engine, options, folder)
    finally:
        engine.close()
    return paths[-1]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    from tools.ui import Ui

    chromium = browser.find()
    if chromium is None:
        pytest.fail(browser.ADVICE)
    folder = tmp_path_factory.mktemp("browser")
    with Ui(chromium, "file://", folder, keep_log=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def hostile(reader: Ui, tmp_path_factory: pytest.TempPathFactory) -> ReportPage:
    """Open the page of Tweets whose texts are hostile."""
    from tools.report_page import ReportPage

    return ReportPage(reader, write_page(tmp_path_factory.mktemp("hostile"), hostile=True))


@pytest.mark.parametrize("name", ["report", "report-phone", "report-dark", "report-print"])
def test_page_is_quiet_and_accessible(hostile: ReportPage, name: str) -> None:
    from tools.report_page import VIEWS

    hostile.open(VIEWS[name])
    hostile.open_all_details()
    rules, faults = hostile.faults()
    assert faults == []
    assert rules > 20
    assert hostile.messages() == []
    asked = [url for url in hostile.requests() if not url.startswith("data:")]
    assert {url.rpartition("/")[2] for url in asked} == {"report.html"}, asked
    # Wide tables scroll by themselves.
    assert hostile.width() <= VIEWS[name].width


def test_log_notes_messages_and_requests(reader: Ui, tmp_path: Path) -> None:
    from tools.report_page import VIEWS, ReportPage

    loud = tmp_path / "loud.html"
    loud.write_text("<img src=http://127.0.0.1:9/x.png><script>console.error('x')</script><p>x")
    page = ReportPage(reader, loud)
    page.open(VIEWS["report"])
    assert [message for message in page.messages() if "x" in message]
    assert "http://127.0.0.1:9/x.png" in page.requests()
    assert page.faults()[1]


def test_pictures_are_small_files(
    reader: Ui, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tools.report_page import VIEWS, ReportPage

    page = ReportPage(reader, write_page(tmp_path_factory.mktemp("shown"), hostile=False))
    for name, view in VIEWS.items():
        file = pictures / f"{name}.png"
        page.picture(view, file)
        assert 20_000 < file.stat().st_size < 400_000, name
