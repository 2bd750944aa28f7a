"""The generated parts of docs/ about columns: of rows, coverage, Tweets, labels and views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.collections.schema import ATTRIBUTES, LABELS, Attribute
from airflow_provider_engagement.reports.views import views
from airflow_provider_engagement.rows import schema
from tools.markdown import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["COLUMN_PARTS"]


def _columns(columns: Sequence[schema.Column], key: Sequence[str]) -> str:
    rows = [
        (
            f"`{column.name}`",
            column.type,
            "" if column.required else "yes",
            "yes" if column.name in key else "",
            column.description,
        )
        for column in columns
    ]
    return table(("column", "type", "may be null", "in the key", "meaning"), rows)


def _attributes(attributes: Iterable[Attribute]) -> str:
    rows = [(f"`{each.name}`", each.type, each.description) for each in attributes]
    return table(("column", "type", "meaning"), rows)


def _views() -> str:
    head = ("column of the view", "type", "meaning")
    return "\n\n".join(
        f"### `<table>_{each.name}`\n\n{each.description}\n\n"
        + table(head, ((f"`{c.name}`", c.type, c.description) for c in each.columns))
        for each in views()
    )


COLUMN_PARTS: Final[dict[str, Callable[[], str]]] = {
    "rows-long": lambda: _columns(schema.LONG, schema.LONG_KEY),
    "rows-wide": lambda: _columns(schema.WIDE, schema.WIDE_KEY),
    "rows-coverage": lambda: _columns(schema.COVERAGE, schema.COVERAGE_KEY),
    "attributes": lambda: _attributes(ATTRIBUTES),
    "labels": lambda: _attributes(LABELS),
    "views": _views,
}
