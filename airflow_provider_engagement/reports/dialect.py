"""All differences between BigQuery and DuckDB.

The SQL of views and reports is GoogleSQL. For DuckDB it is translated by sqlglot. Columns whose
types differ between the two engines are cast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import sqlglot

from airflow_provider_engagement.rows.schema import BIGQUERY_TO_ARROW

if TYPE_CHECKING:
    from airflow_provider_engagement.reports.views import View

__all__ = ["TYPES", "for_duckdb", "text_literal", "typed_query", "with_types_of_bigquery"]

TYPES: Final = {**BIGQUERY_TO_ARROW, "FLOAT64": pa.float64()}
"""The Arrow type of each type that a column of a view can have."""

# DuckDB's sums of whole numbers are of 128 bits, which Arrow has as decimals.
_SUM: Final = pa.decimal128(38, 0)


def for_duckdb(sql: str) -> str:
    """Return a statement or query for DuckDB.

    :param sql: GoogleSQL.
    """
    tree = sqlglot.parse_one(sql, read="bigquery")
    for block in tree.find_all(sqlglot.exp.CTE):
        # Otherwise DuckDB stores a block that is read twice, without the filters of its readers.
        block.set("materialized", False)
    return tree.sql(dialect="duckdb", pretty=True)


def text_literal(text: str) -> str:
    """Return a text as a literal of DuckDB."""
    return "'" + text.replace("'", "''") + "'"


def typed_query(view: View, query: str) -> str:
    """Return a view's query with the types that its columns are declared with.

    :param view: the view.
    :param query: its query, without placeholders.
    """
    cast = ", ".join(
        f"CAST(`{each.name}` AS {each.type}) AS `{each.name}`" for each in view.columns
    )
    return f"SELECT {cast} FROM (\n{query}\n)"  # noqa: S608 - names of views' columns


def with_types_of_bigquery(table: pa.Table) -> pa.Table:
    """Return rows with the types that BigQuery's client would give them.

    :param table: what DuckDB returned.
    """
    schema = pa.schema(
        field.with_type(pa.int64())
        if field.type in {_SUM, pa.int32()}
        else field.with_type(pa.timestamp("us", tz="UTC"))
        if pa.types.is_timestamp(field.type)
        else field
        for field in table.schema
    )
    return table.cast(schema)
