"""The parts of a MERGE that depend on the layout: the source, and which answer is stored.

Both layouts use one order of answers: complete before incomplete, then newer before older, so that
answers can arrive in any order. There is one exception. A row whose counts do not change is not
rewritten and keeps its older ``collected_at``. An answer from between the two, with other counts,
then replaces it until the next pull. A wide row has one ``collected_at`` for all its types, and
therefore the same exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.layout import LONG_LAYOUT, Layout
from airflow_provider_engagement.rows.schema import LONG, LONG_KEY
from airflow_provider_engagement.sinks.bigquery.sql import (
    IS_SNAPSHOT,
    PERIOD_COLUMNS,
    columns,
    date_is_in,
    deduplicated,
    differs,
    has_endpoint_in_key,
)

if TYPE_CHECKING:
    from datetime import date

    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["assignments", "source", "update_if"]

# A part of a bucket never replaces the whole; of two that are alike, the newer answer is stored.
_BETTER: Final = (
    "(S.`complete` AND NOT T.`complete`"
    " OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`)"
)

# `endpoint` is set too, because 28hr and historical share hours: it names the one that counted.
_SETTABLE: Final = ("endpoint", "access", "tweet_created_at")


def source(layout: Layout, staging: TableName, dates: tuple[date, date] | None = None) -> str:
    """Return the query for staged rows in a layout, one for each key.

    :param layout: the layout of the target.
    :param staging: the staging table, which has long rows.
    :param dates: the first and the last date to read; None for all.
    """
    long = deduplicated(
        staging,
        [column.name for column in LONG],
        where=["`status` IS NULL", *([date_is_in(dates)] if dates else [])],
        key=[_in_key(name) for name in LONG_KEY],
        best_first=["`complete` DESC", "`collected_at` DESC", "`value`"],
    )
    return long if layout is LONG_LAYOUT else _pivoted(layout, long)


def _in_key(name: str) -> str:
    if name == "endpoint":
        return f"IF({has_endpoint_in_key()}, `endpoint`, NULL)"
    return f"IF({IS_SNAPSHOT}, NULL, `{name}`)" if name in PERIOD_COLUMNS else f"`{name}`"


def _pivoted(layout: Layout, long: str) -> str:
    combined = {
        # One count with owner access shows that the Tweet is the owner's; 'owner' < 'public'.
        "access": "MIN(`access`)",
        "complete": "LOGICAL_AND(`complete`)",
        "tweet_created_at": "MAX(`tweet_created_at`)",
        "collected_at": "MAX(`collected_at`)",
    }
    combined |= {
        name: f"MAX(IF(`engagement_type` = '{name}', `value`, NULL))" for name in layout.values
    }
    selected = ",\n    ".join(
        f"{combined[name]} AS `{name}`" if name in combined else f"`{name}`"
        for name in (column.name for column in layout.columns)
    )
    return f"  SELECT\n    {selected}\n  FROM (\n{long}\n  )\n  GROUP BY {columns(layout.key)}"


def update_if(layout: Layout) -> list[str]:
    """Return the conditions under which an answer replaces a stored row."""
    if layout is LONG_LAYOUT:
        changed = " OR ".join(map(differs, ("value", "complete")))
        # The first answer of a snapshot stands.
        return ["S.`snapshot_at` IS NULL", _BETTER, f"({changed})"]
    changed = "\n    OR ".join(
        [
            differs("complete"),
            *(f"T.`{name}` IS DISTINCT FROM {_cell(name)}" for name in layout.values),
        ]
    )
    return ["(S.`complete` OR NOT T.`complete`)", f"({changed})"]


def assignments(layout: Layout) -> dict[str, str]:
    """Return what the columns of a replaced row are set to."""
    if layout is LONG_LAYOUT:
        names = (*_SETTABLE, *layout.values, "complete", "collected_at")
        return {name: f"S.`{name}`" for name in names}
    return {
        **{name: f"IF({_BETTER}, S.`{name}`, T.`{name}`)" for name in _SETTABLE},
        **{name: _cell(name) for name in layout.values},
        "complete": "S.`complete`",
        "collected_at": "GREATEST(S.`collected_at`, T.`collected_at`)",
    }


def _cell(name: str) -> str:
    """Return one type's count of a wide row. A type that the answer lacks keeps its count.

    There is one exception. ``complete`` applies to all counts of a row. When a complete answer
    replaces an incomplete row, the types that it lacks become null, because their stored counts
    are of a part of the period.
    """
    new, stored = f"S.`{name}`", f"T.`{name}`"
    return (
        f"CASE WHEN S.{IS_SNAPSHOT} THEN IFNULL({stored}, {new})"
        f" WHEN S.`complete` AND NOT T.`complete` THEN {new}"
        f" WHEN S.`collected_at` > T.`collected_at` THEN IFNULL({new}, {stored})"
        f" ELSE IFNULL({stored}, {new}) END"
    )
