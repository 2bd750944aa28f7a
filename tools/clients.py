"""Google's own clients, on the emulators: for the tests and the demo."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Bucket, Client

from tools.services import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BigQuery", "Gcs"]


@dataclass(frozen=True)
class Gcs:
    """Google Cloud Storage, emulated.

    :param url: the emulator's base URL.
    :param folder: the folder of its objects: ``FOLDER/BUCKET/OBJECT``.
    """

    url: str
    folder: Path

    @cached_property
    def client(self) -> Client:
        """A client of google-cloud-storage."""
        return Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # it has no types
            client_options=ClientOptions(api_endpoint=self.url),
        )

    def make_bucket(self, name: str = "") -> Bucket:
        """Make a bucket; without a name it gets a unique one."""
        return self.client.create_bucket(name or f"bucket-{uuid.uuid4().hex[:12]}")


@dataclass(frozen=True)
class BigQuery:
    """BigQuery, emulated.

    :param url: the emulator's base URL.
    """

    url: str

    @cached_property
    def client(self) -> bigquery.Client:
        """A client of google-cloud-bigquery."""
        return bigquery.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # it has no types
            client_options=ClientOptions(api_endpoint=self.url),
        )

    def make_dataset(self, name: str = "") -> str:
        """Make a dataset and return its name; without a name it gets a unique one."""
        name = name or f"dataset_{uuid.uuid4().hex[:12]}"
        self.client.create_dataset(name)
        return name

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query, each as a dict."""
        return [dict(row) for row in self.client.query(query).result()]
