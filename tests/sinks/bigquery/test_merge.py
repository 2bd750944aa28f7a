from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
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
    dates = {"row_dates": DATES, "coverage_dates": (DATES[1], DATES[1])} | changes
    return Batch(TARGET, TARGET.beside("staging"), LAYOUTS[layout], {"acme"}, **dates)


@pytest.mark.parametrize(
    ("name", "write", "layout"),
    [
        ("upsert-long", upsert_script, "long"),
        ("upsert-wide", upsert_script, "wide"),
        ("append-long", append_script, "long"),
        ("truncate-long", truncate_script, "long"),
    ],
)
def test_scripts_are_as_in_the_golden_files(
    name: str, write: Callable[[Batch], str], layout: str
) -> None:
    assert write(batch(layout)) == (GOLDEN / f"{name}.sql").read_text()


def test_an_upsert_reads_its_dates_only_and_never_deletes() -> None:
    for layout in LAYOUTS:
        script = upsert_script(batch(layout))
        assert "ON T.`date` BETWEEN DATE '2026-10-30' AND DATE '2026-11-21'" in script
        assert "ON T.`date` BETWEEN DATE '2026-11-21' AND DATE '2026-11-21'" in script
        assert script.count("AND T.`account` = 'acme'") == script.count("MERGE") == 2
        assert "DELETE" not in script
        assert "TRUNCATE" not in script


def test_an_upsert_locks_before_it_merges() -> None:
    inside = upsert_script(batch()).partition("BEGIN TRANSACTION;\n")[2]
    assert inside.startswith("UPDATE `p.d.counts_lock`")
    assert inside.endswith("COMMIT TRANSACTION;\n")


@pytest.mark.parametrize("write", [upsert_script, truncate_script])
def test_scripts_of_two_tables_name_no_table_in_common(write: Callable[[Batch], str]) -> None:
    other = replace(batch(), target=TableName("p", "d", "other"), staging=TARGET.beside("more"))
    names = [set(re.findall(r"`p\.d\.\w+`", write(each))) for each in (batch(), other)]
    assert "`p.d.counts_lock`" in names[0]
    assert names[0].isdisjoint(names[1])


def test_accounts_are_literals_whatever_they_contain() -> None:
    accounts = {"acme", "o'brien", "back\\slash", "line\nbreak"}
    script = upsert_script(replace(batch(), accounts=accounts))
    wanted = r"AND T.`account` IN ('acme', 'back\\slash', 'line\nbreak', 'o\'brien')"
    assert script.count(wanted) == 2


@pytest.mark.parametrize("write", [upsert_script, append_script, truncate_script])
def test_one_statement_writes_at_most_4000_partitions(write: Callable[[Batch], str]) -> None:
    first = date(2010, 11, 4)
    ranges = [
        (first, first + timedelta(days=3999)),
        (first + timedelta(days=4000), first + timedelta(days=7999)),
        (first + timedelta(days=8000), first + timedelta(days=8000)),
    ]
    for days, expected in ((8001, 3), (8000, 2), (4001, 2), (4000, 1), (1, 1)):
        dates = first, first + timedelta(days=days - 1)
        script = write(batch(row_dates=dates))
        statement = (
            "INSERT INTO `p.d.counts`" if write is not upsert_script else "MERGE `p.d.counts`"
        )
        assert script.count(statement) == expected
        # All in one transaction.
        assert script.count("BEGIN TRANSACTION") == script.count("COMMIT TRANSACTION") == 1
        read = re.findall(r"AND `date` BETWEEN DATE '(\S+)' AND DATE '(\S+)'", script)
        found = [(date.fromisoformat(a), date.fromisoformat(b)) for a, b in read]
        if expected == 1:
            assert found == []
        else:
            assert found == [(a, min(b, dates[1])) for a, b in ranges[:expected]]
        written = re.findall(r"T\.`date` BETWEEN DATE '(\S+)' AND DATE '(\S+)'", script)
        for a, b in written:
            assert (date.fromisoformat(b) - date.fromisoformat(a)).days < 4000


def test_dates_of_several_statements_meet_without_overlap() -> None:
    first = date(2010, 11, 4)
    dates = first, first + timedelta(days=9999)
    days = []
    for (start, end), read in batch(row_dates=dates).row_chunks():
        assert read == (start, end)
        days += [start + timedelta(days=n) for n in range((end - start).days + 1)]
    assert days == [first + timedelta(days=n) for n in range(10_000)]


def test_an_append_takes_no_lock() -> None:
    script = append_script(batch())
    assert "UPDATE" not in script
    assert "MERGE" not in script


def test_a_year_of_hourly_partitions_needs_three_statements() -> None:
    year = date(2025, 1, 1), date(2025, 12, 31)
    script = upsert_script(replace(batch(row_dates=year), max_days=166))
    assert script.count("MERGE `p.d.counts`") == 3


def test_only_what_is_staged_is_merged() -> None:
    rows_only, coverage_only = batch(coverage_dates=None), batch(row_dates=None)
    assert "counts_coverage" not in upsert_script(rows_only)
    assert "MERGE `p.d.counts` " not in upsert_script(coverage_only)


def test_rows_and_coverage_fit_in_one_staging_table() -> None:
    staged = {column.name: column.type for column in STAGING}
    for column in (*LONG, *COVERAGE):
        assert staged[column.name] == column.type
    assert len(staged) == len(STAGING)
    assert not any(column.required for column in STAGING)
    # Only coverage has a status.
    assert "status" not in {column.name for column in LONG}
    assert next(column for column in COVERAGE if column.name == "status").required


def test_the_key_is_every_column_that_identifies_a_count() -> None:
    other = {"value", "complete", "access", "tweet_created_at", "collected_at"}
    assert set(LONG_KEY) == {column.name for column in LONG} - other
    assert set(LONG_LAYOUT.key) - set(WIDE_LAYOUT.key) == {"engagement_type"}
