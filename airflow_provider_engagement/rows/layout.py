"""How rows are shaped where they land: long, one count a row, or wide, the types side by side.

Pulls always hand over long rows; a sink turns them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES, GroupBy
from airflow_provider_engagement.rows.schema import LONG, LONG_KEY, WIDE, WIDE_KEY, Column

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LAYOUTS", "LONG_LAYOUT", "WIDE_LAYOUT", "Layout", "layout_of"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A shape of rows.

    :param name: ``long`` or ``wide``.
    :param description: what a table of it holds.
    :param columns: every column.
    :param key: what makes two rows the same.
    :param values: the columns that hold counts.
    :param cluster: the columns that a new table is clustered by.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    values: tuple[str, ...]
    cluster: tuple[str, ...]


LONG_LAYOUT: Final = Layout(
    name="long",
    description="Engagement counts, one a row.",
    columns=LONG,
    key=LONG_KEY,
    values=("value",),
    cluster=("account", "tweet_id", "engagement_type"),
)

WIDE_LAYOUT: Final = Layout(
    name="wide",
    description="Engagement counts, one row a Tweet and period, one column a type.",
    columns=WIDE,
    key=WIDE_KEY,
    values=ENGAGEMENT_TYPES,
    cluster=("account", "tweet_id"),
)

LAYOUTS: Final = {layout.name: layout for layout in (LONG_LAYOUT, WIDE_LAYOUT)}

_WIDE_NEEDS: Final = (GroupBy.TWEET_ID, GroupBy.ENGAGEMENT_TYPE)


def layout_of(name: str, groupings: Iterable[str] = ()) -> Layout:
    """Find a layout by its name.

    :param name: ``long`` or ``wide``.
    :param groupings: the groupings that are asked for, each in its canonical form.
    :raises InvalidArgumentError: if there is no such layout, or a grouping has no place in it.
    """
    if name not in LAYOUTS:
        message = f"layout is {name!r}."
        raise InvalidArgumentError(message, advice=f"Use one of {', '.join(LAYOUTS)}.")
    if name == WIDE_LAYOUT.name:
        for grouping in groupings:
            lacking = [level for level in _WIDE_NEEDS if level not in grouping.split("/")]
            if lacking:
                message = f"layout is 'wide', and grouping {grouping} lacks {', '.join(lacking)}."
                advice = "A wide row is one Tweet, its types side by side: use layout='long'."
                raise InvalidArgumentError(message, advice=advice)
    return LAYOUTS[name]
