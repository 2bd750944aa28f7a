"""What the sink refuses in ``prepare``, before the first request."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import Recording, Refusing, failure
from google.api_core.exceptions import Forbidden
from google.cloud.bigquery import Dataset, SchemaField, Table, TimePartitioning
from tenacity import wait_none

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.rows.schema import COVERAGE, LONG
from airflow_provider_engagement.sinks.bigquery import BigQuerySink
from airflow_provider_engagement.sinks.bigquery.tables import table_schema
from airflow_provider_engagement.sinks.gcs import GcsStore

if TYPE_CHECKING:
    from tools.clients import BigQuery, Gcs

BY_TWEET = "tweet.id/engagement.type"
BY_HOUR = "tweet.id/engagement.type/engagement.day/engagement.hour"
BY_HOUR_OF_DAY = "tweet.id/engagement.type/engagement.hour"

NO_BILLING = Forbidden(
    "Billing has not been enabled for this project. Enable billing at "
    "https://console.cloud.google.com/billing. DML queries are not allowed in the free tier. Set "
    "up a billing account to remove this restriction.",
    errors=[{"reason": "billingNotEnabled"}],
)


def sink(client: Any, dataset: str, **options: Any) -> BigQuerySink:
    return BigQuerySink(client, f"{dataset}.counts", wait=wait_none(), **options)


def test_a_project_without_billing_is_refused(bigquery: BigQuery, dataset: str) -> None:
    client = Refusing(bigquery.client, query=[NO_BILLING])
    with pytest.raises(
        PermissionDeniedError, match=r"free tier.* Enable billing for project test: without it"
    ):
        sink(client, dataset).prepare()


@pytest.mark.parametrize("write_mode", ["upsert", "append", "truncate"])
def test_missing_permissions_are_refused_in_every_mode(
    bigquery: BigQuery, dataset: str, write_mode: str
) -> None:
    denied = failure("accessDenied", "Access Denied: User does not have bigquery.jobs.create")
    client = Refusing(bigquery.client, query=[denied])
    with pytest.raises(
        PermissionDeniedError, match=r"jobs\.create.*roles/bigquery\.jobUser on project test"
    ):
        sink(client, dataset, write_mode=write_mode).prepare()


def test_the_check_leaves_one_row_in_the_lock_table(bigquery: BigQuery, dataset: str) -> None:
    for _ in range(3):
        sink(bigquery.client, dataset).prepare()
    assert bigquery.rows(f"SELECT table_name FROM {dataset}.counts_lock") == [  # noqa: S608 - a table of the test
        {"table_name": "counts"}
    ]


class InEurope(GcsStore):
    """A bucket in Belgium; the emulator places every bucket in the US."""

    def location(self, prefix: str) -> str | None:
        assert prefix.startswith("engagement-staging")
        return "EUROPE-WEST1"


def test_a_staging_bucket_in_another_region_is_refused(
    bigquery: BigQuery, gcs: Gcs, dataset: str
) -> None:
    bucket = InEurope(gcs.client, gcs.make_bucket().name)
    for place, allowed in (("europe-west4", False), ("EU", True), ("europe-west1", True)):
        located = Dataset(f"test.{dataset}_{place.replace('-', '_')}")
        located.location = place
        bigquery.client.create_dataset(located)
        placed = sink(bigquery.client, located.dataset_id, staging=bucket)
        if allowed:
            placed.prepare()
        else:
            with pytest.raises(InvalidArgumentError, match="EUROPE-WEST1, and the dataset in eu"):
                placed.prepare()
            assert list(bigquery.client.list_tables(located.dataset_id)) == []
        bigquery.client.delete_dataset(located, delete_contents=True)


NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
SNAPSHOT = ReportingPeriod(NOW)
WEEK = ReportingPeriod(NOW, Window(NOW - timedelta(days=7), NOW))


@pytest.mark.parametrize(
    ("name", "groupings", "period", "allowed"),
    [
        ("tweet_id", [BY_TWEET], SNAPSHOT, True),
        ("tweet_id", [BY_TWEET, "engagement.type"], SNAPSHOT, False),
        ("tweet_id", [], None, False),
        ("engagement_type", [BY_HOUR], WEEK, True),
        ("engagement_type", ["tweet.id"], SNAPSHOT, False),
        ("period_start", [BY_HOUR], SNAPSHOT, True),
        ("period_end", [BY_TWEET], WEEK, True),
        ("period_start", [BY_TWEET], SNAPSHOT, False),
        ("hour_of_day", [BY_HOUR_OF_DAY], WEEK, True),
        ("hour_of_day", [BY_HOUR], WEEK, False),
        ("snapshot_at", [BY_TWEET], SNAPSHOT, True),
        ("snapshot_at", [BY_HOUR], SNAPSHOT, False),
        ("snapshot_at", [BY_TWEET], WEEK, False),
        ("snapshot_at", [BY_TWEET], None, False),
        ("tweet_created_at", [BY_TWEET], WEEK, False),
    ],
)
def test_a_required_column_is_refused_where_the_groupings_leave_it_null(
    bigquery: BigQuery,
    dataset: str,
    name: str,
    *,
    groupings: list[str],
    period: ReportingPeriod | None,
    allowed: bool,
) -> None:
    schema = [
        SchemaField(field.name, field.field_type, "REQUIRED") if field.name == name else field
        for field in table_schema(LONG)
    ]
    bigquery.client.create_table(Table(f"test.{dataset}.counts", schema=schema))
    prepared = sink(bigquery.client, dataset, groupings=groupings, period=period)
    if allowed:
        prepared.prepare()
    else:
        with pytest.raises(InvalidArgumentError, match=f"column {name} .* leave it null"):
            prepared.prepare()


def test_the_coverage_table_is_checked_too(bigquery: BigQuery, dataset: str) -> None:
    schema = [
        SchemaField(field.name, field.field_type, "REQUIRED") if field.name == "reason" else field
        for field in table_schema(COVERAGE)
    ]
    bigquery.client.create_table(Table(f"test.{dataset}.counts_coverage", schema=schema))
    with pytest.raises(InvalidArgumentError, match=r"reason of .*counts_coverage is REQUIRED"):
        sink(bigquery.client, dataset).prepare()


def require_filter(bigquery: BigQuery, dataset: str) -> None:
    """Create a table that is partitioned by load time and requires a filter on that."""
    columns = ", ".join(f"`{column.name}` {column.type}" for column in LONG)
    bigquery.client.query_and_wait(
        f"CREATE TABLE {dataset}.counts ({columns}) PARTITION BY _PARTITIONDATE "
        "OPTIONS (require_partition_filter = TRUE)"
    )


def test_a_partition_filter_on_another_column_is_refused_for_an_upsert(
    bigquery: BigQuery, dataset: str
) -> None:
    require_filter(bigquery, dataset)
    with pytest.raises(InvalidArgumentError, match="requires a partition filter on _PARTITION"):
        sink(bigquery.client, dataset).prepare()
    # These modes only insert and truncate, which need no filter.
    for write_mode in ("append", "truncate"):
        sink(bigquery.client, dataset, write_mode=write_mode).prepare()


def test_rows_that_expire_at_once_are_warned_of(
    bigquery: BigQuery, dataset: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(f"test.{dataset}.counts", schema=table_schema(LONG))
    table.time_partitioning = TimePartitioning(field="date", expiration_ms=60 * 24 * 3600 * 1000)
    bigquery.client.create_table(table)
    with caplog.at_level(logging.WARNING):
        sink(bigquery.client, dataset).prepare()
        sink(bigquery.client, dataset, period=WEEK).prepare()
        assert caplog.text == ""
        quarter = ReportingPeriod(NOW, Window(NOW - timedelta(days=90), NOW))
        sink(bigquery.client, dataset, period=quarter).prepare()
    assert caplog.text.count("counts expire after 60 days") == 1


def test_every_query_has_the_labels_and_the_byte_limit(bigquery: BigQuery, dataset: str) -> None:
    client = Recording(bigquery.client)
    labels = {"Team": "Reach & Co", "dag": "Daily"}
    sink(client, dataset, labels=labels, maximum_bytes_billed=10**12).prepare()
    configs = [options["job_config"] for name, _, options in client.calls if name == "query"]
    assert len(configs) == 1
    for config in configs:
        assert config.labels == {"team": "reach___co", "dag": "daily"}
        assert config.maximum_bytes_billed == 10**12
