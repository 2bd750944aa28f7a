from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.rows.layout import LAYOUTS, LONG_LAYOUT, WIDE_LAYOUT
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, LONG_KEY
from airflow_provider_engagement.sinks.bigquery.merge import (
    STAGING,
    Batch,
    append_script,
    truncate_script,
    upsert_script,
)
from airflow_provider_engagement.sinks.bigquery.names import TableName

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[2] / "golden"

TARGET = TableName("p", "d", "counts")
DATES = date(2026, 10, 30), date(2026, 11, 21)


def batch(layout: str = "long", **changes: tuple[date, date] | None) -> Batch:
    spans = {"row_dates": DATES, "coverage_dates": (DATES[1], DATES[1])} | changes
    return Batch(TARGET, TARGET.beside("staging"), LAYOUTS[layout], **spans)


@pytest.mark.parametrize(
    ("name", "write", "layout"),
    [
        ("upsert-long", upsert_script, "long"),
        ("upsert-wide", upsert_script, "wide"),
        ("append-long", append_script, "long"),
        ("truncate-long", truncate_script, "long"),
    ],
)
def test_the_sql_is_as_agreed(name: str, write: Callable[[Batch], str], layout: str) -> None:
    assert write(batch(layout)) == (GOLDEN / f"{name}.sql").read_text()


def test_an_upsert_is_bounded_and_never_deletes() -> None:
    for layout in LAYOUTS:
        script = upsert_script(batch(layout))
        assert "ON T.`date` BETWEEN DATE '2026-10-30' AND DATE '2026-11-21'" in script
        assert "DELETE" not in script
        assert "TRUNCATE" not in script


def test_an_upsert_locks_before_it_merges() -> None:
    inside = upsert_script(batch()).partition("BEGIN TRANSACTION;\n")[2]
    assert inside.startswith("UPDATE `p.d._engagement_locks`")
    assert inside.endswith("COMMIT TRANSACTION;\n")


def test_appending_takes_no_lock() -> None:
    script = append_script(batch())
    assert "UPDATE" not in script
    assert "MERGE" not in script


def test_what_is_not_there_is_not_merged() -> None:
    rows_only, coverage_only = batch(coverage_dates=None), batch(row_dates=None)
    assert "counts_coverage" not in upsert_script(rows_only)
    assert "MERGE `p.d.counts` " not in upsert_script(coverage_only)


def test_rows_and_coverage_fit_in_one_staging_table() -> None:
    staged = {column.name: column.type for column in STAGING}
    for column in (*LONG, *COVERAGE):
        assert staged[column.name] == column.type
    assert len(staged) == len(STAGING)
    assert not any(column.required for column in STAGING)
    # What tells the two apart.
    assert "status" not in {column.name for column in LONG}
    assert next(column for column in COVERAGE if column.name == "status").required


def test_the_key_is_every_column_that_says_what_is_counted() -> None:
    said = {"value", "complete", "access", "tweet_created_at", "collected_at"}
    assert set(LONG_KEY) == {column.name for column in LONG} - said
    assert set(LONG_LAYOUT.key) - set(WIDE_LAYOUT.key) == {"engagement_type"}
