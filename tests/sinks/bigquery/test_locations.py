from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bigquery_checks import Refusing
from google.api_core.exceptions import Forbidden
from google.cloud.bigquery import Dataset

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.sinks.bigquery.locations import (
    can_load,
    check_bucket_location,
    dataset_location,
)
from airflow_provider_engagement.sinks.bigquery.names import TableName

if TYPE_CHECKING:
    from tools.clients import BigQuery


def named(dataset: str) -> TableName:
    return TableName("test", dataset, "counts")


def test_a_missing_dataset_is_named_with_the_command_that_creates_it(bigquery: BigQuery) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"dataset test\.nowhere does not exist"
    ) as refused:
        dataset_location(bigquery.client, named("nowhere"), "EU")
    assert "bq --location=EU mk --dataset test:nowhere" in str(refused.value)


def test_the_location_of_the_dataset_is_read(bigquery: BigQuery, dataset: str) -> None:
    assert dataset_location(bigquery.client, named(dataset), None) == "US"
    assert dataset_location(bigquery.client, named(dataset), "us") == "US"


def test_a_location_other_than_the_datasets_is_refused(bigquery: BigQuery) -> None:
    in_europe = Dataset("test.in_europe")
    in_europe.location = "EU"
    bigquery.client.create_dataset(in_europe, exists_ok=True)
    with pytest.raises(
        InvalidArgumentError, match=r"location is 'US', but dataset test\.in_europe is in EU"
    ):
        dataset_location(bigquery.client, named("in_europe"), "US")


def test_a_missing_permission_names_the_role(bigquery: BigQuery, dataset: str) -> None:
    refusing = Refusing(bigquery.client, get_dataset=[Forbidden("Access Denied")])
    with pytest.raises(PermissionDeniedError, match=r"may not read dataset .*dataEditor"):
        dataset_location(refusing, named(dataset), None)


@pytest.mark.parametrize(
    ("bucket", "dataset", "allowed"),
    [
        # A dataset in the US multi-region loads from any bucket.
        ("EUROPE-WEST1", "US", True),
        ("ASIA", "us", True),
        # The same location, however it is written.
        ("EU", "EU", True),
        ("ASIA-NORTHEAST1", "asia-northeast1", True),
        # A region or dual-region within the dataset's multi-region.
        ("EUROPE-WEST1", "EU", True),
        ("EUR4", "EU", True),
        # A dual-region or multi-region that can contain the dataset's region.
        ("NAM4", "us-central1", True),
        ("US", "us-east1", True),
        ("ASIA1", "asia-northeast1", True),
        # Unknown locations are accepted.
        (None, "EU", True),
        ("EU", None, True),
        ("MARS", "EU", True),
        ("EU", "me-central1", True),
        # Other regions and areas.
        ("US", "EU", False),
        ("us-central1", "EU", False),
        ("EU", "us-central1", False),
        ("US-EAST1", "us-central1", False),
        ("EUROPE-WEST1", "europe-west4", False),
        ("ASIA", "EU", False),
        ("NAM4", "europe-west1", False),
    ],
)
def test_bigquery_loads_from_a_bucket_in_the_same_region_or_area(
    bucket: str | None, dataset: str | None, allowed: bool
) -> None:
    assert can_load(bucket, dataset) is allowed


def test_a_bucket_in_another_region_is_refused_with_both_regions() -> None:
    check_bucket_location("gs://b/", "EUROPE-WEST1", "EU")
    with pytest.raises(
        InvalidArgumentError,
        match=r"bucket gs://b/ is in US-EAST1, and the dataset in EU\. .*leave staging_bucket out",
    ):
        check_bucket_location("gs://b/", "US-EAST1", "EU")
