from __future__ import annotations

import re

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from airflow_provider_engagement.reports.dialect import TYPES, for_duckdb, typed_query
from airflow_provider_engagement.reports.engine import placeholders
from airflow_provider_engagement.reports.sources import (
    LABEL_TYPES,
    SOURCE_QUERIES,
    TWEET_TYPES,
    empty,
)
from airflow_provider_engagement.reports.views import BLOCKS, VIEWS, filled, view

NAMES = {
    **{name: f"`counts_{name}`" for name in VIEWS},
    **{name: f"`source_{name}`" for name in SOURCE_QUERIES},
    "source": "'counts'",
}
ALL = placeholders(NAMES)
ROLLUP = (
    "created_timestamp",
    "post_id",
    "post_message",
    "page_id",
    "page_name",
    "post_url",
    "source_relation",
    "platform",
    "clicks",
    "impressions",
    "likes",
    "shares",
    "comments",
)


@pytest.mark.parametrize("name", [*VIEWS, *BLOCKS])
def test_the_comments_of_a_file_are_the_columns_of_its_query(name: str) -> None:
    known = view(name)
    query = sqlglot.parse_one(filled(known.sql, ALL), read="bigquery")
    connection = duckdb.connect()
    for source, empty_query in SOURCE_QUERIES.items():
        connection.execute(for_duckdb(f"CREATE VIEW {NAMES[source]} AS {empty_query}"))
    for other in VIEWS:
        if other == name:
            break
        sql = typed_query(view(other), filled(view(other).sql, ALL))
        connection.execute(for_duckdb(f"CREATE VIEW {NAMES[other]} AS {sql}"))
    if name in BLOCKS:
        for other in ("latest", "growth"):
            sql = typed_query(view(other), filled(view(other).sql, ALL))
            connection.execute(for_duckdb(f"CREATE OR REPLACE VIEW {NAMES[other]} AS {sql}"))
    found = connection.execute(f"DESCRIBE {for_duckdb(query.sql(dialect='bigquery'))}").fetchall()
    assert [row[0] for row in found] == [column.name for column in known.columns]
    assert {column.type for column in known.columns} <= set(TYPES)
    assert all(column.description.endswith(".") for column in known.columns)
    assert known.description.endswith(".")


@pytest.mark.parametrize("name", VIEWS)
def test_bigquery_can_read_the_query(name: str) -> None:
    """A parser of BigQuery's language accepts it, and no function is of another dialect."""
    (tree,) = sqlglot.parse(filled(view(name).sql, ALL), read="bigquery")
    assert isinstance(tree, exp.Select)
    assert [each.sql() for each in tree.find_all(exp.Anonymous)] == []


def test_rollup_has_the_columns_of_social_reporting_models() -> None:
    names = [column.name for column in view("rollup").columns]
    assert names == [*ROLLUP, "date_day"]


@pytest.mark.parametrize("name", VIEWS)
def test_each_video_views_says_which_of_the_two_it_counts(name: str) -> None:
    for column in view(name).columns:
        if column.name == "video_views":
            assert re.search("never add", column.description, re.IGNORECASE)


def test_a_query_without_rows_has_the_columns() -> None:
    for types in (TWEET_TYPES, LABEL_TYPES):
        sql = f"SELECT * FROM {empty(types.items())}"  # noqa: S608 - a query of the provider
        found = duckdb.connect().execute(for_duckdb(sql))
        assert [column[0] for column in found.description] == list(types)
        assert found.fetchall() == []
