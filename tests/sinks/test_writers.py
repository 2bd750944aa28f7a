from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bigquery_checks import EVEN_LATER, START, hour_row, lifetime_row, rows_table
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.rows.schema import LONG, Column, arrow_schema
from airflow_provider_engagement.sinks import writers
from airflow_provider_engagement.sinks.jsonl import json_lines
from airflow_provider_engagement.sinks.writers import (
    ENDINGS,
    Part,
    RollingWriter,
    format_of,
    open_writer,
    read_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = arrow_schema(LONG)

_KINDS: dict[str, st.SearchStrategy[Any]] = {
    "STRING": st.text(st.characters(exclude_categories=["Cs"])),
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "BOOL": st.booleans(),
    "DATE": st.dates(date(1970, 1, 1), date(2200, 1, 1)),
    "TIMESTAMP": st.one_of(
        st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
        st.integers(0, 100_000).map(lambda hours: START + timedelta(hours=hours)),
    ),
}


def _values(column: Column) -> st.SearchStrategy[Any]:
    kind = _KINDS[column.type]
    return kind if column.required else st.none() | kind


TABLES = st.lists(st.fixed_dictionaries({c.name: _values(c) for c in LONG}), max_size=8).map(
    lambda rows: rows_table(*rows)
)


def written(tables: Sequence[pa.Table], file_format: str) -> bytes:
    stream = io.BytesIO()
    writer = open_writer(stream, SCHEMA, file_format)
    for table in tables:
        writer.write(table)
    writer.close()
    assert writer.rows == sum(table.num_rows for table in tables)
    assert writer.size == len(stream.getvalue())
    return stream.getvalue()


def read_json_lines(text: bytes) -> pa.Table:
    """Read JSON lines as they are documented, without the package's own code."""

    def value(column: Column, given: Any) -> Any:
        if given is None:
            return None
        if column.type == "TIMESTAMP":
            assert given.endswith("Z")
            return datetime.fromisoformat(given)
        return date.fromisoformat(given) if column.type == "DATE" else given

    lines = text.decode().removesuffix("\n").split("\n") if text else []
    read = [json.loads(line) for line in lines]
    return rows_table(*({c.name: value(c, row[c.name]) for c in LONG} for row in read))


@settings(deadline=None)
@given(st.lists(TABLES, max_size=3))
def test_rows_are_read_back_as_they_were_written(tables: list[pa.Table]) -> None:
    expected = pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pylist()

    parquet = pq.read_table(io.BytesIO(written(tables, "parquet")))
    assert parquet.schema == SCHEMA
    assert parquet.to_pylist() == expected

    lines = written(tables, "jsonl")
    assert read_json_lines(lines).to_pylist() == expected
    assert gzip.decompress(written(tables, "jsonl.gz")) == lines

    for file_format in ENDINGS:
        table = read_table(written(tables, file_format), SCHEMA, file_format)
        assert table.schema == SCHEMA
        assert table.to_pylist() == expected


def test_json_lines_hold_iso_8601_and_nulls() -> None:
    table = rows_table(hour_row(account='ac"me\n', value=-3, collected_at=EVEN_LATER))
    assert written([table], "jsonl").decode() == (
        '{"account":"ac\\"me\\n","access":"owner","endpoint":"historical",'
        '"grouping":"tweet.id/engagement.type/engagement.day/engagement.hour",'
        '"tweet_id":"1994000000000000001","engagement_type":"impressions","granularity":"hour",'
        '"date":"2026-11-21","period_start":"2026-11-21T08:00:00Z",'
        '"period_end":"2026-11-21T09:00:00Z","hour_of_day":null,"snapshot_at":null,"value":-3,'
        '"complete":true,"tweet_created_at":"2026-11-18T08:00:00Z",'
        '"collected_at":"2026-11-21T17:00:00.123456Z"}\n'
    )


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
def test_the_same_rows_make_the_same_bytes(file_format: str) -> None:
    table = rows_table(hour_row(), lifetime_row())
    assert written([table], file_format) == written([table], file_format)


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
def test_a_null_in_a_required_column_is_refused(file_format: str) -> None:
    loose = pa.schema([field.with_nullable(True) for field in SCHEMA])
    table = pa.Table.from_pylist([hour_row(account=None)], schema=loose)
    with pytest.raises(ValueError, match="Column account is required and holds 1 nulls"):
        written([table], file_format)


def test_many_small_tables_share_a_row_group() -> None:
    tables = [rows_table(hour_row(value=number)) for number in range(50)]
    file = pq.ParquetFile(io.BytesIO(written(tables, "parquet")))
    assert file.num_row_groups == 1
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_columns_may_come_in_any_order() -> None:
    table = rows_table(hour_row())
    mixed = table.select(sorted(table.column_names))
    assert written([mixed], "parquet") == written([table], "parquet")


@pytest.mark.parametrize("file_format", sorted(ENDINGS))
def test_parts_roll_over_by_size(
    tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "ROW_GROUP", 10)
    seen: list[Part] = []
    writer = RollingWriter(
        tmp_path,
        SCHEMA,
        file_format,
        part_bytes=lambda done: 1 if len(done) < 2 else 10**9,
        on_part=seen.append,
    )
    rows = [hour_row(value=number) for number in range(55)]
    writer.write(rows_table(*rows))
    writer.close()
    writer.close()

    ending = ENDINGS[file_format]
    assert [part.path.name for part in seen] == [f"part-{n:05d}{ending}" for n in range(len(seen))]
    assert [part.size for part in seen] == [part.path.stat().st_size for part in seen]
    assert sum(part.rows for part in seen) == 55
    assert 2 < len(seen) <= 4
    assert writer.parts == seen


def test_no_file_is_created_without_rows(tmp_path: Path) -> None:
    writer = RollingWriter(tmp_path, SCHEMA, "parquet", part_bytes=lambda _: 1)
    writer.write(rows_table())
    writer.close()
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_writer_reports_no_part(tmp_path: Path) -> None:
    seen: list[Part] = []
    writer = RollingWriter(
        tmp_path, SCHEMA, "parquet", part_bytes=lambda _: 10**9, on_part=seen.append
    )
    writer.write(rows_table(hour_row()))
    writer.abandon()
    writer.abandon()
    assert seen == []


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a/b.parquet", "parquet"), ("gs://b/c.jsonl", "jsonl"), ("c.jsonl.gz", "jsonl.gz")],
)
def test_the_format_follows_from_the_ending(name: str, file_format: str) -> None:
    assert format_of(name) == file_format


def test_an_unknown_format_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"'rows.csv' does not end in .* End it in one of .parquet, .jsonl",
    ):
        format_of("rows.csv")
    with pytest.raises(InvalidArgumentError, match=r"file_format is .csv.\. Use one of parquet"):
        open_writer(io.BytesIO(), SCHEMA, "csv")
    with pytest.raises(InvalidArgumentError, match="file_format is 'csv'"):
        RollingWriter(tmp_path, SCHEMA, "csv", part_bytes=lambda _: 1)


def test_a_type_that_json_lines_cannot_hold_is_named() -> None:
    table = pa.table({"when": pa.array([1], pa.duration("s"))})
    with pytest.raises(TypeError, match=r"duration\[s\]"):
        list(json_lines(table))
