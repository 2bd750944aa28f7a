"""GoogleSQL for what views read, where it is not simply a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.collections.schema import LABELS
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, WIDE, Column
from airflow_provider_engagement.sinks.bigquery.sql import columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["LABEL_TYPES", "SOURCE_QUERIES", "TWEET_TYPES", "empty", "rows_of"]

TWEET_TYPES: Final = {
    "tweet_id": "STRING",
    "url": "STRING",
    "author_id": "STRING",
    "author_username": "STRING",
    "text": "STRING",
    "lang": "STRING",
    "tweet_type": "STRING",
    "media_type": "STRING",
    "has_link": "BOOL",
    "created_at": "TIMESTAMP",
}
"""The columns of Tweets that views and reports may read, with their types."""

LABEL_TYPES: Final = {each.name: "STRING" for each in LABELS}


def rows_of(table: str, found: Collection[str], *, name: str) -> str:
    """Return the SQL for long rows: the table itself, or a query that unpivots a wide one.

    :param table: the table, quoted.
    :param found: the names of its columns.
    :param name: what the user calls it, for the message.
    :raises InvalidArgumentError: if it has neither layout.
    """
    if _names(LONG) <= set(found):
        return table
    if _names(WIDE) <= set(found):
        types = ", ".join(ENGAGEMENT_TYPES)
        return (
            f"(SELECT {columns(column.name for column in LONG)} FROM {table} "  # noqa: S608 - names are checked
            f"UNPIVOT (value FOR engagement_type IN ({types})))"
        )
    missing = ", ".join(sorted(_names(LONG) - set(found)))
    message = f"table: {name} holds no counts: it has no column {missing}."
    advice = "Name a table or folder that a transfer of this provider has written."
    raise InvalidArgumentError(message, advice=advice)


def empty(types: Iterable[tuple[str, str]]) -> str:
    """Return a query without rows, for a table that does not exist.

    :param types: the names and types of its columns.
    """
    nothing = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in types)
    return f"(SELECT {nothing} LIMIT 0)"


def _names(layout: tuple[Column, ...]) -> set[str]:
    return {column.name for column in layout}


SOURCE_QUERIES: Final = {
    "rows": empty((column.name, column.type) for column in LONG),
    "coverage": empty((column.name, column.type) for column in COVERAGE),
    "tweets": empty(TWEET_TYPES.items()),
    "labels": empty(LABEL_TYPES.items()),
}
"""A query for each source that does not exist: its columns, and no rows."""
