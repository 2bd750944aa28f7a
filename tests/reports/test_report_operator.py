from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from google.cloud import bigquery as google
from made_counts import NOW, TOTALS
from run_operator import run

from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.collections import read_collection
from airflow_provider_engagement.operators.report import EngagementReportOperator
from airflow_provider_engagement.reports.csv_files import COLUMNS, as_cell, plain
from airflow_provider_engagement.rows.schema import COVERAGE, LONG
from airflow_provider_engagement.sinks.bigquery.tables import table_schema
from airflow_provider_engagement.sinks.bigquery.tweets import LABEL_COLUMNS, TWEET_COLUMNS

if TYPE_CHECKING:
    from made_counts import MadeCounts

    from airflow_provider_engagement.rows.schema import Column
    from tools.clients import BigQuery, Gcs

pytestmark = pytest.mark.usefixtures("airflow_home")

FIRST, END = date(2026, 5, 4), date(2026, 6, 1)
FILES = ["report.html", "days.csv", "accounts.csv", "campaigns.csv", "top_tweets.csv"]


def report(table: str, tweets_table: str | None, output_path: object, **more: Any) -> Any:
    return EngagementReportOperator(
        task_id="report",
        table=table,
        tweets_table=tweets_table,
        output_path=str(output_path),
        **{"start": f"{FIRST}", "end": f"{END}", **more},
    )


class Written:
    """What a report's task wrote into a folder."""

    def __init__(self, folder: Path, uris: list[str]) -> None:
        assert uris == [f"file://{folder}/{name}" for name in FILES]
        assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
        self.folder = folder
        self.page = (folder / "report.html").read_text()

    def rows(self, name: str) -> list[dict[str, str]]:
        text = (self.folder / name).read_bytes().decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.fixture(scope="module")
def written(made: MadeCounts, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    result = run(report(made.table, made.tweets_table, f"file://{folder}/"))
    assert result.value["window"] == {"start": f"{FIRST}", "end": f"{END}"}
    assert result.xcoms["report_url"] == f"file://{folder}/report.html"
    assert result.summary["tweets"] == len(made.ids)
    return Written(folder, result.value["uris"])


# ---- The numbers -----------------------------------------------------------------------------


def sums_by_day(made: MadeCounts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    path = Path(made.table.removeprefix("file://")) / "days.parquet"
    for row in pq.read_table(path).to_pylist():
        found[f"{row['date']}"][row["engagement_type"]] += row["value"]
    return found


def test_days_are_sums_of_the_counts(made: MadeCounts, written: Written) -> None:
    expected = sums_by_day(made)
    rows = written.rows("days.csv")
    assert [row["date"] for row in rows] == [f"{FIRST + timedelta(n)}" for n in range(28)]
    for row in rows:
        day = expected[row["date"]]
        counts = {name: row[name] for name in ENGAGEMENT_TYPES if row[name]}
        assert counts == {name: str(value) for name, value in day.items()}
        assert float(row["engagement_rate"]) == day["engagements"] / day["impressions"]


def test_headline_is_the_period_against_the_one_before(made: MadeCounts, written: Written) -> None:
    expected = sums_by_day(made)

    def total(name: str, first: date) -> int:
        return sum(expected[f"{first + timedelta(n)}"][name] for n in range(28))

    cards = dict(re.findall(r"<dt>([^<]+)</dt>\s*<dd class=\"big\">([^<]+)</dd>", written.page))
    before = re.findall(r"<dd class=\"(?:up|down|same)\">.*?from ([\d,.%]+)</span>", written.page)
    assert cards["Impressions"] == f"{total('impressions', FIRST):,}"
    assert cards["Likes"] == f"{total('favorites', FIRST):,}"
    rate = total("engagements", FIRST) / total("impressions", FIRST)
    assert cards["Engagement rate"] == f"{rate:.2%}"
    assert before[0] == f"{total('impressions', FIRST - timedelta(28)):,}"


def counts_to_date(made: MadeCounts) -> dict[str, dict[str, int]]:
    return {
        tweet_id: {name: made.world.count(tweet_id, name, NOW) for name in TOTALS}
        for tweet_id in made.ids
    }


def test_accounts_are_sums_of_the_newest_counts(made: MadeCounts, written: Written) -> None:
    counts = counts_to_date(made)
    (row,) = written.rows("accounts.csv")
    assert (row["account"], row["tweets"]) == ("acme", str(len(made.ids)))
    for name in TOTALS:
        assert row[name] == str(sum(each[name] for each in counts.values()))
        assert name == "video_views" or f"{int(row[name]):,}" in written.page
    assert row["url_clicks"] == ""  # not counted to date, which is not 0


def test_top_tweets_are_ranked_within_their_type(made: MadeCounts, written: Written) -> None:
    counts = counts_to_date(made)
    rows = written.rows("top_tweets.csv")
    for name in TOTALS:
        best = sorted((each[name] for each in counts.values()), reverse=True)[:10]
        own = [row for row in rows if row["engagement_type"] == name]
        assert [int(row["value"]) for row in own] == best
        assert [int(row["rank"]) for row in own] == [1 + best.index(value) for value in best]
        for row in own:
            tweet_id = plain(row["tweet_id"])
            assert counts[tweet_id][name] == int(row["value"])
            assert plain(row["text"]) == made.texts[made.ids.index(tweet_id)]


def test_campaigns_have_rates_in_their_intervals(made: MadeCounts, written: Written) -> None:
    counts = counts_to_date(made)
    rows = {plain(row["campaign"]): row for row in written.rows("campaigns.csv")}
    assert set(rows) == set(made.campaigns)
    known = 0
    for campaign, row in rows.items():
        own = [
            counts[i] for i, each in zip(made.ids, made.campaigns, strict=True) if each == campaign
        ]
        sums = {name: sum(each[name] for each in own) for name in TOTALS}
        assert (row["tweets"], row["impressions"]) == (str(len(own)), str(sums["impressions"]))
        rate = float(row["engagement_rate"])
        assert rate == pytest.approx(sums["engagements"] / sums["impressions"], rel=1e-12)
        assert bool(row["engagement_rate_low"]) == bool(row["engagement_rate_high"])
        if row["engagement_rate_low"]:
            known += 1
            assert float(row["engagement_rate_low"]) < rate < float(row["engagement_rate_high"])
    assert known == len(
        re.findall(r"% to \d+\.\d\d%</td>", written.page.split("Which campaigns differ")[0])
    )


def test_what_is_missing_is_said(written: Written) -> None:
    assert "deleted, protected or suspended" in written.page
    assert "A missing count is not 0" in written.page


# ---- Spreadsheets ----------------------------------------------------------------------------


def test_no_cell_of_text_is_a_formula(written: Written) -> None:
    for name in COLUMNS:
        assert (written.folder / name).read_bytes().startswith(b"\xef\xbb\xbf")
        for row in written.rows(name):
            cells = [cell for column, cell in row.items() if column not in ENGAGEMENT_TYPES]
            assert not [cell for cell in cells if cell.lstrip()[:1] in set("=+@-")]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        " =1",
        "\r\n=1",
        "\uff1d1",
        "'quoted",
        "''",
        "plain",
        "",
    ],
)
def test_text_can_be_read_back(text: str) -> None:
    cell = str(as_cell(text))
    assert plain(cell) == text
    assert cell[:1] == "'" or cell == text


def test_file_of_top_tweets_is_a_collection(made: MadeCounts, written: Written) -> None:
    found = read_collection(str(written.folder / "top_tweets.csv"))
    assert set(found.tweet_ids) <= set(made.ids)
    assert len(found.tweet_ids) > 10


# ---- The page --------------------------------------------------------------------------------


class Tags(HTMLParser):
    """The names of a page's elements and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.links: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value or "" for name, value in attrs if name in {"href", "src"}}


def test_hostile_text_is_text(written: Written) -> None:
    page, tags = written.page, Tags(written.page)
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in page
    assert "{{ 7 * 7 }}" in page
    assert not tags.elements & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "form",
        "foreignobject",
    }
    assert not [name for name in tags.attributes if name.startswith("on")]
    assert "\x00" not in page
    # The text of 4,000 characters is shortened here and whole in the file.
    assert "long " * 100 not in page
    assert any(len(row["text"]) == 4000 for row in written.rows("top_tweets.csv"))


def test_page_asks_for_nothing(written: Written) -> None:
    assert "default-src 'none'" in written.page
    links = Tags(written.page).links
    assert all(link.startswith(("https://x.com/", "data:,", "#")) for link in links), links
    assert "@import" not in written.page
    assert "url(http" not in written.page


def test_ids_on_the_page_are_unique_and_every_chart_has_a_text(written: Written) -> None:
    ids = re.findall(r' id="([^"]+)"', written.page)
    assert len(ids) == len(set(ids))
    charts = re.findall(r'<svg role="img" aria-labelledby="(\S+) (\S+)"', written.page)
    assert len(charts) == written.page.count("<svg") >= 6
    assert {name for pair in charts for name in pair} <= set(ids)
    assert written.page.count("<details><summary>The numbers") == len(charts)


def test_same_counts_make_the_same_page(made: MadeCounts, written: Written, tmp_path: Path) -> None:
    again = run(report(made.table, made.tweets_table, f"file://{tmp_path}"))
    found = Written(tmp_path, again.value["uris"])

    def without_time(page: str) -> str:
        return re.sub(r"Made on .*? UTC", "", page)

    assert without_time(found.page) == without_time(written.page)
    for name in COLUMNS:
        assert (tmp_path / name).read_bytes() == (written.folder / name).read_bytes()


# ---- Windows ---------------------------------------------------------------------------------


def test_without_a_window_the_last_days_with_counts_are_used(
    made: MadeCounts, tmp_path: Path
) -> None:
    operator = report(made.table, None, f"file://{tmp_path}", start=None, end=None)
    moment = datetime(2026, 7, 1, tzinfo=UTC)
    result = run(operator, variables={"data_interval_start": moment, "data_interval_end": moment})
    assert result.value["window"] == {"start": f"{FIRST}", "end": f"{END}"}
    assert "the last 28 days with counts" in (tmp_path / "report.html").read_text()
    assert "No Tweet has the label" in (tmp_path / "report.html").read_text()


def test_window_without_counts_says_so(made: MadeCounts, tmp_path: Path) -> None:
    result = run(report(made.table, None, f"file://{tmp_path}", start=None, end=None))
    assert result.summary["days"] == 0
    page = (tmp_path / "report.html").read_text()
    assert "There are no counts by day in this period" in page
    assert "the run&#39;s data interval" in page


def test_change_is_not_shown_against_a_period_that_is_not_covered(
    made: MadeCounts, tmp_path: Path
) -> None:
    run(report(made.table, None, f"file://{tmp_path}", start="2026-04-10", end="2026-05-20"))
    page = (tmp_path / "report.html").read_text()
    assert "No change is shown" in page
    assert not re.search(r'<dd class="(up|down|same)">', page)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top": "0"}, "top must be a whole number"),
        ({"end": None}, "end is None"),
        ({"start": "2026-06-01"}, "empty"),
        ({"table": "file:///nowhere/"}, "does not exist"),
        ({"tweets_table": "reporting.tweets"}, "two URIs"),
    ],
)
def test_what_cannot_be_done_fails_for_good(
    made: MadeCounts, tmp_path: Path, wrong: dict[str, Any], message: str
) -> None:
    given = {"table": made.table, "tweets_table": made.tweets_table, **wrong}
    with pytest.raises(AirflowFailException, match=message):
        run(report(given.pop("table"), given.pop("tweets_table"), f"file://{tmp_path}", **given))
    assert not list(tmp_path.iterdir())


# ---- Google Cloud ----------------------------------------------------------------------------


def load(bigquery: BigQuery, path: Path, table: str, columns: tuple[Column, ...]) -> None:
    schema = [field for field in table_schema(columns) if field.name in pq.read_schema(path).names]
    bigquery.client.create_table(google.Table(table, schema=schema), exists_ok=True)
    config = google.LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_APPEND", schema=schema
    )
    with path.open("rb") as file:
        bigquery.client.load_table_from_file(file, table, job_config=config).result()


def test_report_of_tables_equals_that_of_files(
    made: MadeCounts, written: Written, dataset: str, bigquery: BigQuery, gcs: Gcs
) -> None:
    counts = Path(made.table.removeprefix("file://"))
    tweets = Path(made.tweets_table.removeprefix("file://"))
    for path, name, columns in (
        (counts / "totals.parquet", "counts", LONG),
        (counts / "days.parquet", "counts", LONG),
        (counts / "totals.coverage.parquet", "counts_coverage", COVERAGE),
        (tweets.parent / "plain" / "tweets.parquet", "tweets", TWEET_COLUMNS),
        (tweets.parent / "labels" / "labels.parquet", "tweets_labels", LABEL_COLUMNS),
    ):
        load(bigquery, path, f"{bigquery.client.project}.{dataset}.{name}", columns)
    bucket = gcs.make_bucket()
    operator = report(f"{dataset}.counts", f"{dataset}.tweets", f"gs://{bucket.name}/weekly")
    result = run(operator)
    assert result.value["uris"] == [f"gs://{bucket.name}/weekly/{name}" for name in FILES]
    page = f"https://storage.cloud.google.com/{bucket.name}/weekly/report.html"
    assert result.xcoms["report_url"] == page
    for name in COLUMNS:
        found = bucket.blob(f"weekly/{name}").download_as_bytes()
        assert found == (written.folder / name).read_bytes(), name
    blob = bucket.get_blob("weekly/report.html")
    assert blob.content_type == "text/html"
