from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from bigquery_checks import coverage_table, lifetime_row, rows_table
from run_operator import run

from airflow_provider_engagement.hooks.report import report_engine
from airflow_provider_engagement.operators.report import EngagementViewsOperator
from airflow_provider_engagement.reports.views import VIEWS, views
from airflow_provider_engagement.sinks.bigquery import BigQuerySink

if TYPE_CHECKING:
    from pathlib import Path

    from tools.clients import BigQuery

pytestmark = pytest.mark.usefixtures("airflow_home")


def load(bigquery: BigQuery, table: str, *rows: dict[str, Any], layout: str = "long") -> None:
    sink = BigQuerySink(bigquery.client, table, layout=layout)
    sink.prepare()
    sink.write(rows_table(*rows))
    sink.commit([coverage_table()], {})


def test_views_and_their_columns_are_described(bigquery: BigQuery, dataset: str) -> None:
    table = f"{dataset}.engagement"
    load(bigquery, table, lifetime_row(value=5))
    for _ in range(2):  # the second time they are replaced
        made = run(EngagementViewsOperator(task_id="views", table=table))
    assert made.value == {
        "table": table,
        "views": [f"test.{table}_{name}" for name in VIEWS],
    }
    assert made.xcoms["destination_url"].startswith("https://console.cloud.google.com/bigquery?")
    for view in views():
        found = bigquery.client.get_table(f"{table}_{view.name}")
        assert found.table_type == "VIEW"
        assert found.description == view.description
        described = [(field.name, field.description) for field in found.schema]
        assert described == [(column.name, column.description) for column in view.columns]
    rows = bigquery.rows(f"SELECT impressions, engagement_rate FROM {table}_latest")  # noqa: S608 - a view of this test
    assert rows == [{"impressions": 5, "engagement_rate": None}]


def test_views_of_a_wide_table_show_the_same(bigquery: BigQuery, dataset: str) -> None:
    rows = [lifetime_row(value=5), lifetime_row(engagement_type="engagements", value=2)]
    found = {}
    for layout in ("long", "wide"):
        load(bigquery, f"{dataset}.{layout}", *rows, layout=layout)
        engine = report_engine(f"{dataset}.{layout}", gcp_conn_id="google_cloud_default")
        engine.create_views()
        found[layout] = [
            engine.query(f"SELECT * FROM {{{name}}} ORDER BY {key}").to_pylist()  # noqa: S608 - a view of this test
            for name, key in (
                ("latest", "tweet_id"),
                ("top", "engagement_type"),
                ("benchmark", "account"),
            )
        ]
        engine.close()
    assert found["wide"] == found["long"]
    assert found["wide"][0][0]["engagement_rate"] == 2 / 5


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("{dataset}.missing", "table: there is no table test.{dataset}.missing"),
        ("{dataset}.other", "holds no counts: it has no column access"),
        ("gs://bucket/x/", "Use two BigQuery tables, or two URIs"),
    ],
)
def test_what_has_no_counts_is_refused(
    bigquery: BigQuery, dataset: str, about: str, message: str
) -> None:
    bigquery.rows(f"CREATE TABLE {dataset}.other (tweet_id STRING)")
    table = about.format(dataset=dataset)
    operator = EngagementViewsOperator(task_id="v", table=table, tweets_table=f"{dataset}.other")
    with pytest.raises(AirflowFailException, match=message.format(dataset=dataset)):
        run(operator)


def test_the_script_of_a_folder_is_written_beside_its_files(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(rows_table(lifetime_row()), tmp_path / "counts.parquet")
    made = run(EngagementViewsOperator(task_id="views", table=f"{tmp_path.as_uri()}/"))
    (uri,) = made.value["uris"]
    script = (tmp_path / uri.rpartition("/")[2]).read_text()
    assert all(f'{view}"' in script for view in made.value["views"])
    assert made.xcoms["destination_url"] is None
