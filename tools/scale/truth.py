"""What a table must hold after all Tweets of a simulated account were pulled from ``/totals``."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import LoadJobConfig, SchemaField, SourceFormat, Table

from airflow_provider_engagement.api.spec import ENDPOINTS, ENGAGEMENT_TYPES, EndpointName
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.simulator.world import created, milliseconds
from tools.services import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from airflow_provider_engagement.simulator import World
    from tools.clients import BigQuery

__all__ = ["Truth", "coverage_differences", "differences", "load"]

_TOTALS: Final = ENDPOINTS[EndpointName.TOTALS]
_MILLISECOND: Final = timedelta(milliseconds=1)
_AT_ONCE: Final = 20_000
_SAME: Final = {
    "account": "'{account}'",
    "access": "'owner'",
    "endpoint": "'totals'",
    "grouping": "'tweet.id/engagement.type'",
    "granularity": "'lifetime'",
    "period_start": "NULL",
    "period_end": "NULL",
    "hour_of_day": "NULL",
    "snapshot_at": "TIMESTAMP '{snapshot}'",
    "date": "DATE '{snapshot:%Y-%m-%d}'",
    "complete": "TRUE",
}


@dataclass(frozen=True)
class Truth:
    """The counts that the simulator holds of some Tweets.

    :param world: the simulated Tweets; its clock stands still.
    :param account: their owner.
    :param tweet_ids: the Tweets, each once.
    """

    world: World
    account: str
    tweet_ids: Sequence[str]

    @cached_property
    def served(self) -> list[str]:
        """The Tweets that the service has counts of; the others are deleted."""
        return [item for item in self.tweet_ids if self.world.outcome(item) == "served"]

    def table(self) -> pa.Table:
        """Return the counts by Tweet: a column for each type, null where there is no count."""
        chunks = [
            self.served[start : start + _AT_ONCE] for start in range(0, len(self.served), _AT_ONCE)
        ]
        return pa.concat_tables(map(self._counts, chunks))

    def _counts(self, ids: list[str]) -> pa.Table:
        now, types = milliseconds(self.world.now()), _TOTALS.engagement_types
        counts = self.world.counts(ids, types, np.array([now]))[:, :, 0]
        age = now - created(np.array([int(item) for item in ids], dtype=np.uint64))
        columns = dict.fromkeys(ENGAGEMENT_TYPES, pa.nulls(len(ids), pa.int64()))
        for place, name in enumerate(types):
            limit = _TOTALS.age_limits.get(name, timedelta.max) // _MILLISECOND
            columns[name] = pa.array(counts[:, place], mask=age > limit)
        times = pa.array([created_at(item) for item in ids], pa.timestamp("us", tz="UTC"))
        return pa.table({"tweet_id": ids, "tweet_created_at": times, **columns})


def differences(bigquery: BigQuery, table: str, truth: Truth, snapshot: datetime) -> dict[str, int]:
    """Return by column how many cells of a table are not as they must be; empty if all are.

    ``rows`` counts rows that are missing, unexpected or repeated. BigQuery compares, because
    a million rows would take minutes to download.

    :param bigquery: where the table is. The truth is loaded beside it.
    :param table: ``dataset.table``, in the wide or the long layout.
    :param truth: what it must hold.
    :param snapshot: the time of the snapshot that it must hold, and no other.
    """
    expected = f"{table}_expected"
    load(bigquery, truth.table(), expected)
    columns = {field.name for field in bigquery.client.get_table(table).schema}
    queries = _long(table, expected) if "value" in columns else _wide(table, expected)
    found: dict[str, int] = {}
    for query in (_constants(table, columns, truth, snapshot), *queries):
        (row,) = bigquery.rows(query)
        for name, cells in row.items():
            found[name] = found.get(name, 0) + int(cells)
    return {name: cells for name, cells in found.items() if cells}


def coverage_differences(bigquery: BigQuery, table: str, truth: Truth) -> dict[str, int]:
    """Return what is wrong with a coverage table; empty if it has each Tweet once, as it must.

    :param bigquery: where the table is.
    :param table: ``dataset.table``.
    :param truth: the Tweets that were asked for.
    """
    wanted = {"answered": len(truth.served), "unavailable": 0}
    wanted["unavailable"] = len(truth.tweet_ids) - wanted["answered"]
    rows = bigquery.rows(
        "SELECT status, COUNT(*) AS tweets, COUNT(DISTINCT tweet_id) AS different"  # noqa: S608 - the names come from tools and tests
        f" FROM {table} GROUP BY status"
    )
    found = {row["status"]: int(row["tweets"]) for row in rows}
    wrong = {status: found.get(status, 0) - wanted.get(status, 0) for status in {*found, *wanted}}
    wrong["repeated"] = sum(int(row["tweets"]) - int(row["different"]) for row in rows)
    return {name: number for name, number in wrong.items() if number}


def load(bigquery: BigQuery, rows: pa.Table, table: str) -> None:
    """Make or replace a table.

    :param rows: what it holds: text, integers and times.
    :param table: ``dataset.table``.
    """
    types = {pa.string(): "STRING", pa.int64(): "INT64"}
    schema = [SchemaField(field.name, types.get(field.type, "TIMESTAMP")) for field in rows.schema]
    bigquery.client.delete_table(table, not_found_ok=True)
    bigquery.client.create_table(Table(f"{PROJECT}.{table}", schema))
    file = io.BytesIO()
    pq.write_table(rows, file)
    file.seek(0)
    settings = LoadJobConfig(source_format=SourceFormat.PARQUET)
    bigquery.client.load_table_from_file(file, table, job_config=settings).result()


def _constants(table: str, columns: set[str], truth: Truth, snapshot: datetime) -> str:
    """Count the cells of the columns that hold one value in all rows."""
    counted = [
        f"COUNTIF({name} IS DISTINCT FROM {value.format(account=truth.account, snapshot=snapshot)})"
        f" AS {name}"
        for name, value in _SAME.items()
        if name in columns
    ]
    counted.append("COUNTIF(collected_at IS NULL) AS collected_at")
    return f"SELECT {', '.join(counted)} FROM {table}"  # noqa: S608 - the names come from tools and tests


def _wide(table: str, expected: str) -> Iterator[str]:
    """Compare rows of one Tweet each."""
    names = ("tweet_created_at", *ENGAGEMENT_TYPES)
    yield _compared(f"SELECT * FROM {table}", f"SELECT * FROM {expected}", names, {})  # noqa: S608 - the names come from tools and tests


def _long(table: str, expected: str) -> Iterator[str]:
    """Compare rows of one Tweet and type each, type by type."""
    known = ", ".join(f"'{name}'" for name in ENGAGEMENT_TYPES)
    yield (
        f"SELECT COUNTIF(engagement_type IS NULL OR engagement_type NOT IN ({known}))"  # noqa: S608 - the names come from tools and tests
        f" AS engagement_type FROM {table}"
    )
    for name in ENGAGEMENT_TYPES:
        yield _compared(
            f"SELECT tweet_id, tweet_created_at, value FROM {table}"  # noqa: S608 - the names come from tools and tests
            f" WHERE engagement_type = '{name}'",
            f"SELECT tweet_id, tweet_created_at, {name} AS value FROM {expected}"  # noqa: S608 - the names come from tools and tests
            f" WHERE {name} IS NOT NULL",
            ("tweet_created_at", "value"),
            {"value": name},
        )


def _compared(actual: str, expected: str, names: Sequence[str], called: dict[str, str]) -> str:
    """Compare two queries with a row for each Tweet."""
    cells = ", ".join(
        f"COUNTIF(a.tweet_id = e.tweet_id AND a.{name} IS DISTINCT FROM e.{name})"
        f" AS {called.get(name, name)}"
        for name in names
    )
    return (
        "SELECT COUNTIF(a.tweet_id IS NULL OR e.tweet_id IS NULL)"  # noqa: S608 - the names come from tools and tests
        f" + COUNT(a.tweet_id) - COUNT(DISTINCT a.tweet_id) AS `rows`, {cells}"
        f" FROM ({actual}) a FULL JOIN ({expected}) e ON a.tweet_id = e.tweet_id"
    )
