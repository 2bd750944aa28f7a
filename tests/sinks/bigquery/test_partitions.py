from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.cloud.bigquery import (
    PartitionRange,
    RangePartitioning,
    SchemaField,
    Table,
    TimePartitioning,
)

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks.bigquery.names import TableName
from airflow_provider_engagement.sinks.bigquery.partitions import (
    check_partition_filter,
    max_days,
    warn_of_expiration,
)

if TYPE_CHECKING:
    from tools.clients import BigQuery

NAME = TableName("p", "d", "counts")
TODAY = datetime.now(UTC).date()
DAY_MS = 24 * 3600 * 1000


def table(partitioning: Any, *, requires_filter: bool = False) -> Table:
    schema = [SchemaField("date", "DATE"), SchemaField("collected_at", "TIMESTAMP")]
    result = Table(str(NAME), schema=schema)
    if isinstance(partitioning, RangePartitioning):
        result.range_partitioning = partitioning
    else:
        result.time_partitioning = partitioning
    result.require_partition_filter = requires_filter
    return result


@pytest.mark.parametrize(
    ("partitioning", "column"),
    [
        (TimePartitioning(field="collected_at"), "collected_at"),
        (TimePartitioning(), "_PARTITIONTIME"),
        (RangePartitioning(field="value", range_=PartitionRange(0, 10, 1)), "value"),
    ],
)
def test_a_required_filter_on_another_column_is_refused(partitioning: Any, column: str) -> None:
    check_partition_filter(table(partitioning), NAME)
    with pytest.raises(
        InvalidArgumentError,
        match=rf"p\.d\.counts requires a partition filter on {column}, and an upsert filters by "
        r"date\. .*require_partition_filter = FALSE",
    ):
        check_partition_filter(table(partitioning, requires_filter=True), NAME)


def test_a_required_filter_on_date_is_accepted() -> None:
    for field in ("date", "DATE"):
        check_partition_filter(table(TimePartitioning(field=field), requires_filter=True), NAME)


def test_the_older_form_of_the_requirement_is_read(bigquery: BigQuery, dataset: str) -> None:
    bigquery.client.query_and_wait(
        f"CREATE TABLE {dataset}.counts (date DATE, value INT64) PARTITION BY _PARTITIONDATE "
        "OPTIONS (require_partition_filter = TRUE)"
    )
    found = bigquery.client.get_table(f"{dataset}.counts")
    with pytest.raises(InvalidArgumentError, match="partition filter on _PARTITIONTIME"):
        check_partition_filter(found, NAME)


@pytest.mark.parametrize(("days", "warned"), [(59, False), (60, False), (61, True), (900, True)])
def test_dates_that_expire_at_once_are_warned_of(
    bigquery: BigQuery, dataset: str, caplog: pytest.LogCaptureFixture, *, days: int, warned: bool
) -> None:
    own = Table(f"test.{dataset}.counts", schema=[SchemaField("date", "DATE")])
    own.time_partitioning = TimePartitioning(field="date", expiration_ms=60 * DAY_MS)
    bigquery.client.create_table(own)
    found = bigquery.client.get_table(f"{dataset}.counts")
    with caplog.at_level(logging.WARNING):
        warn_of_expiration(found, NAME, TODAY - timedelta(days=days))
    assert ("expire after 60 days: BigQuery deletes rows before" in caplog.text) is warned


@pytest.mark.parametrize(
    "partitioning",
    [None, TimePartitioning(field="date"), TimePartitioning(expiration_ms=DAY_MS)],
    ids=["none", "without expiration", "by the time of the load"],
)
def test_other_tables_are_not_warned_of(
    partitioning: TimePartitioning | None, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_expiration(table(partitioning), NAME, TODAY - timedelta(days=900))
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("partitioning", "days"),
    [
        (None, 4000),
        (TimePartitioning(field="date"), 4000),
        (TimePartitioning(type_="MONTH", field="date"), 4000),
        (TimePartitioning(type_="HOUR", field="collected_at"), 166),
    ],
    ids=["none", "day", "month", "hour"],
)
def test_one_statement_writes_fewer_days_of_hourly_partitions(
    partitioning: TimePartitioning | None, days: int
) -> None:
    assert max_days(table(partitioning)) == days
