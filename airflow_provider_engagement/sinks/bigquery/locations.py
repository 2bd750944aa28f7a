"""Where a dataset is, and whether BigQuery can load from a bucket into it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from google.api_core.exceptions import Forbidden, NotFound

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError

if TYPE_CHECKING:
    from google.cloud import bigquery

    from airflow_provider_engagement.sinks.bigquery.names import TableName

__all__ = ["can_load", "check_bucket_location", "dataset_location"]

# Regions, multi-regions and dual-regions by area: US, NAM4, us-east1; EU, EUR4, europe-west1; ASIA,
# ASIA1, asia-east1. https://cloud.google.com/storage/docs/locations
_AREAS: Final = (
    re.compile(r"US|NAM\d+|US-.*", re.IGNORECASE),
    re.compile(r"EU|EUR\d+|EUROPE-.*", re.IGNORECASE),
    re.compile(r"ASIA|ASIA\d+|ASIA-.*", re.IGNORECASE),
)


def dataset_location(client: bigquery.Client, table: TableName, location: str | None) -> str | None:
    """Return the location of a table's dataset, where every job must run.

    :param client: the BigQuery client.
    :param table: the destination.
    :param location: the parameter ``location``; None to read it from the dataset.
    :raises InvalidArgumentError: if the dataset does not exist or is in another location.
    :raises PermissionDeniedError: if the credentials may not read the dataset.
    """
    name = f"{table.project}.{table.dataset}"
    try:
        found: str | None = client.get_dataset(name).location
    except NotFound as error:
        message = f"destination_table is {str(table)!r}, and dataset {name} does not exist."
        command = f"bq --location={location or 'US'} mk --dataset {table.project}:{table.dataset}"
        raise InvalidArgumentError(message, advice=f"Create it: {command}") from error
    except Forbidden as error:
        message = f"The Google credentials may not read dataset {name}."
        advice = "Grant their account roles/bigquery.dataEditor on the dataset."
        raise PermissionDeniedError(message, advice=advice) from error
    if location and found and location.lower() != found.lower():
        message = f"location is {location!r}, but dataset {name} is in {found}."
        raise InvalidArgumentError(message, advice=f"Leave location out, or set it to {found!r}.")
    return found or location


def check_bucket_location(bucket: str, bucket_location: str | None, dataset: str | None) -> None:
    """Refuse a staging bucket that BigQuery cannot load from.

    :param bucket: the bucket's URI, for the message.
    :param bucket_location: where the bucket is; None for unknown.
    :param dataset: where the dataset is; None for unknown.
    :raises InvalidArgumentError: if the service would refuse the load job.
    """
    if can_load(bucket_location, dataset):
        return
    message = f"The staging bucket {bucket} is in {bucket_location}, and the dataset in {dataset}."
    advice = (
        "BigQuery loads only from a bucket in the dataset's region or multi-region: use such a "
        "bucket, or leave staging_bucket out."
    )
    raise InvalidArgumentError(message, advice=advice)


def can_load(bucket: str | None, dataset: str | None) -> bool:
    """Return whether BigQuery loads from a bucket's location into a dataset's.

    Documented: a dataset in the US multi-region loads from any bucket; for other datasets the
    bucket is in the same region, or within the same multi-region. A bucket in a multi-region or
    dual-region of the same area is accepted, because a dual-region can contain the dataset's
    region. https://cloud.google.com/bigquery/docs/batch-loading-data#data-locations

    :param bucket: the bucket's location; None for unknown, which is accepted.
    :param dataset: the dataset's location; None for unknown, which is accepted.
    """
    if not bucket or not dataset or dataset.upper() == "US":
        return True
    if bucket.upper() == dataset.upper():
        return True
    bucket_area, dataset_area = _area(bucket), _area(dataset)
    if "-" in bucket and "-" in dataset:
        return False
    return None in {bucket_area, dataset_area} or bucket_area == dataset_area


def _area(location: str) -> int | None:
    found = (place for place, pattern in enumerate(_AREAS) if pattern.fullmatch(location))
    return next(found, None)
