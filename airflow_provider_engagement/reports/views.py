"""The views: what each says, its columns, and its SQL, all read from ``sql/<view>.sql``.

A file begins with comments: what a row is, then a line for each column, ``name TYPE: meaning``. The
query below them is GoogleSQL. Its placeholders, such as ``{rows}`` and ``{latest}``, are replaced
by the names of tables and views, or by the queries of blocks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.schema import Column

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BLOCKS", "SOURCES", "VIEWS", "View", "filled", "names_in", "view", "views"]

VIEWS: Final = (
    "latest",
    "daily",
    "top",
    "growth",
    "campaigns",
    "types",
    "benchmark",
    "rollup",
)
"""The names of the views, each after those that it reads. A view is called ``<table>_<name>``."""

BLOCKS: Final = ("days", "at_age")
"""Queries that views contain."""

SOURCES: Final = ("rows", "coverage", "tweets", "labels")
"""What views and reports read: counts, which ids were requested, Tweets, their labels."""

_COLUMN: Final = re.compile(r"(\w+) ([A-Z0-9]+): (.+)")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class View:
    """One view.

    :param name: such as ``latest``.
    :param description: what a row is, and what its counts are of.
    :param columns: the columns, in their order.
    :param sql: the query, with placeholders.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    sql: str


@cache
def view(name: str) -> View:
    """Return a view or block by its name.

    :param name: one of ``VIEWS`` or ``BLOCKS``.
    """
    text = files(__package__).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")
    header, _, query = text.partition("\n\n")
    lines = [line.removeprefix("--").strip() for line in header.splitlines()]
    about = " ".join(lines[: lines.index("")])
    columns = (_COLUMN.fullmatch(line) for line in lines[lines.index("") + 1 :])
    # A column of a view may be null, as far as BigQuery knows.
    known = tuple(Column(found[1], found[2], False, found[3]) for found in columns if found)
    return View(name, about, known, query.strip())


def views() -> tuple[View, ...]:
    """Return all views, each after those that it reads."""
    return tuple(map(view, VIEWS))


def names_in(sql: str) -> list[str]:
    """Return the names of a query's placeholders, in the order of the query.

    :param sql: a query with ``{names}``.
    """
    return _PLACEHOLDER.findall(sql)


def filled(sql: str, values: Mapping[str, str]) -> str:
    """Return a query with its placeholders replaced.

    :param sql: a query with ``{names}``.
    :param values: the SQL for each name: a quoted name, or a query in brackets.
    """
    return _PLACEHOLDER.sub(lambda found: values[found[1]], sql)
