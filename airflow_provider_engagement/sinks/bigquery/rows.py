"""What differs between the layouts when rows are merged: the source, and which answer wins.

The order of answers is the same in both: complete before incomplete, then newer before older, so
that answers may land in any order. The one exception is the price of not rewriting what is
unchanged: where a newer answer repeats the stored counts, the row keeps its older
``collected_at``, and a straggler from between the two, with other counts, is taken for news until
the next pull. A wide row has but one ``collected_at`` for all its types, and so the same again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_engagement.rows.layout import LONG_LAYOUT, Layout
from airflow_provider_engagement.rows.schema import LONG, LONG_KEY
from airflow_provider_engagement.sinks.bigquery.sql import (
    PERIOD,
    SNAPSHOT,
    TAKEN_ONCE,
    columns,
    deduplicated,
    differs,
)

if TYPE_CHECKING:
    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["assignments", "source", "update_if"]

# A part of a bucket never replaces the whole; of two alike, the newer answer counts.
_BETTER: Final = (
    "(S.`complete` AND NOT T.`complete`"
    " OR S.`complete` = T.`complete` AND S.`collected_at` > T.`collected_at`)"
)

# `endpoint` is set as well, for shared hours: it says who gave the count that stands.
_SETTABLE: Final = ("endpoint", "access", "tweet_created_at")


def source(layout: Layout, staging: TableName) -> str:
    """Select the staged rows in the shape of the layout, one a key."""
    long = deduplicated(
        staging,
        [column.name for column in LONG],
        where="`status` IS NULL",
        key=[_in_key(name) for name in LONG_KEY],
        best_first=["`complete` DESC", "`collected_at` DESC", "`value`"],
    )
    return long if layout is LONG_LAYOUT else _pivoted(layout, long)


def _in_key(name: str) -> str:
    if name == "endpoint":
        return f"IF({SNAPSHOT}, `endpoint`, NULL)"
    return f"IF({TAKEN_ONCE}, NULL, `{name}`)" if name in PERIOD else f"`{name}`"


def _pivoted(layout: Layout, long: str) -> str:
    whole = {
        # A Tweet of which we saw some counts as its owner is the owner's.
        "access": "MIN(`access`)",
        "complete": "LOGICAL_AND(`complete`)",
        "tweet_created_at": "MAX(`tweet_created_at`)",
        "collected_at": "MAX(`collected_at`)",
    }
    whole |= {
        name: f"MAX(IF(`engagement_type` = '{name}', `value`, NULL))" for name in layout.values
    }
    selected = ",\n    ".join(
        f"{whole[column.name]} AS `{column.name}`" if column.name in whole else f"`{column.name}`"
        for column in layout.columns
    )
    return f"  SELECT\n    {selected}\n  FROM (\n{long}\n  )\n  GROUP BY {columns(layout.key)}"


def update_if(layout: Layout) -> list[str]:
    """Say when a row that is there gives way to an answer."""
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
    """Say what such a row is set to."""
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
    """Combine one type's counts: what the answer does not hold is left as it is.

    But for one case. A row says of all its counts at once whether they are complete, so when a
    complete answer comes, the counts of types that it does not hold, seen of a part of the period
    only, go: a count is right or absent.
    """
    ours, theirs = f"S.`{name}`", f"T.`{name}`"
    return (
        f"CASE WHEN S.{TAKEN_ONCE} THEN IFNULL({theirs}, {ours})"
        f" WHEN S.`complete` AND NOT T.`complete` THEN {ours}"
        f" WHEN S.`collected_at` > T.`collected_at` THEN IFNULL({ours}, {theirs})"
        f" ELSE IFNULL({theirs}, {ours}) END"
    )
