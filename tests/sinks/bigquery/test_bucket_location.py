"""The location of a staging bucket, read with narrow permissions.

The emulator has no storage layout and places every bucket in the US, so these tests answer the
requests of Google's client themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import http_response
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client

from airflow_provider_engagement.sinks.gcs import GcsStore

if TYPE_CHECKING:
    import requests

BUCKET = "https://storage.googleapis.com/storage/v1/b/staging"


class Service:
    """Answers requests by URL, without the query."""

    def __init__(self, answers: dict[str, tuple[int, dict[str, Any]]]) -> None:
        self._answers = answers
        self.urls: list[str] = []
        self.is_mtls = False

    def request(self, method: str, url: str, **_: Any) -> requests.Response:
        assert method == "GET"
        self.urls.append(url)
        status, body = self._answers[url.partition("?")[0]]
        return http_response(method, url, status, body)


FORBIDDEN = 403, {"error": {"message": "does not have storage.buckets.get access"}}
NOT_FOUND = 404, {"error": {"message": "Not Found"}}
LAYOUT = 200, {"kind": "storage#storageLayout", "location": "EU", "locationType": "multi-region"}
METADATA = 200, {"kind": "storage#bucket", "location": "EUROPE-WEST1"}


@pytest.mark.parametrize(
    ("layout", "metadata", "location"),
    [
        # Listing objects below the prefix is enough.
        (LAYOUT, FORBIDDEN, "EU"),
        # Services without storage layouts, such as emulators.
        (NOT_FOUND, METADATA, "EUROPE-WEST1"),
        (FORBIDDEN, METADATA, "EUROPE-WEST1"),
        (FORBIDDEN, FORBIDDEN, None),
    ],
)
def test_the_location_needs_no_permission_on_the_whole_bucket(
    layout: Any, metadata: Any, location: str | None
) -> None:
    service = Service({f"{BUCKET}/storageLayout": layout, BUCKET: metadata})
    client = Client("test", credentials=AnonymousCredentials(), _http=service)
    assert GcsStore(client, "staging").location("engagement-staging/") == location
    assert "prefix=engagement-staging%2F" in service.urls[0]
