"""The layouts of rows: long, one count a row, or wide, one column an engagement type.

A pull writes long rows to its sink. The sink turns them into its layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES, GroupBy, check_one_of
from airflow_provider_engagement.rows.schema import LONG, LONG_KEY, WIDE, WIDE_KEY, Column

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["LAYOUTS", "LONG_LAYOUT", "WIDE_LAYOUT", "Layout", "layout_of"]


@dataclass(frozen=True, slots=True)
class Layout:
    """A layout of rows.

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
    """Return a layout by its name.

    :param name: ``long`` or ``wide``.
    :param groupings: the groupings of the request, in canonical form.
    :raises InvalidArgumentError: if there is no such layout, or it cannot hold a grouping.
    """
    check_one_of(name, LAYOUTS, name="layout")
    if name == WIDE_LAYOUT.name:
        for grouping in groupings:
            missing = [level for level in _WIDE_NEEDS if level not in grouping.split("/")]
            if missing:
                message = f"layout is 'wide', and grouping {grouping} has no {', '.join(missing)}."
                advice = "A wide row is one Tweet with a column for each type. Use layout='long'."
                raise InvalidArgumentError(message, advice=advice)
    return LAYOUTS[name]
