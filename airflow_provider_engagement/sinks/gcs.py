"""Google Cloud Storage as a place for objects."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Final

from google.api_core.exceptions import Forbidden, NotFound
from google.cloud.storage.retry import DEFAULT_RETRY

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError

if TYPE_CHECKING:
    from pathlib import Path

    from google.cloud.storage import Client

__all__ = ["GcsStore"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")

_NEEDED: Final = (
    "storage.objects.create",
    "storage.objects.delete",
    "storage.objects.get",
    "storage.objects.list",
)


class GcsStore:
    """A bucket. Satisfies ``ObjectStore`` of sinks/objects.py.

    Whatever is done here may be done twice, so every request is tried again when it is torn.

    :param client: a storage client.
    :param bucket: the bucket's name, without ``gs://``.
    :raises InvalidArgumentError: if it is none.
    """

    def __init__(self, client: Client, bucket: str) -> None:
        if not _NAME.fullmatch(bucket):
            message = f"bucket is {bucket!r}, which is no bucket's name."
            raise InvalidArgumentError(
                message, advice="Give the name alone, without gs:// and without a path."
            )
        self._client = client
        self._bucket = client.bucket(bucket)

    def uri(self, name: str) -> str:
        """Give an object's address."""
        return f"gs://{self._bucket.name}/{name}"

    def check(self) -> None:
        """See that the bucket is there and lets us write, before there is anything to write.

        :raises InvalidArgumentError: if there is no such bucket.
        :raises PermissionDeniedError: if we may not do everything that we have to.
        """
        bucket = self._bucket.name
        try:
            granted = self._bucket.test_iam_permissions(list(_NEEDED))
        except NotFound as error:
            message = f"There is no bucket {bucket!r}."
            advice = f"Make it: gcloud storage buckets create gs://{bucket}"
            raise InvalidArgumentError(message, advice=advice) from error
        except Forbidden as error:
            message = f"The Google credentials are not let into bucket {bucket!r}."
            raise PermissionDeniedError(message, advice=_advice(bucket)) from error
        refused = [permission for permission in _NEEDED if permission not in granted]
        if refused:
            message = f"The Google credentials lack {', '.join(refused)} in bucket {bucket!r}."
            raise PermissionDeniedError(message, advice=_advice(bucket))

    def put_file(self, path: Path, name: str) -> None:
        """Upload a file, checked on arrival."""
        blob = self._bucket.blob(name)
        blob.upload_from_filename(str(path), checksum="crc32c", retry=DEFAULT_RETRY)

    def put_bytes(self, data: bytes, name: str, content_type: str) -> None:
        """Upload a few bytes."""
        blob = self._bucket.blob(name)
        blob.upload_from_string(
            data, content_type=content_type, checksum="crc32c", retry=DEFAULT_RETRY
        )

    def read(self, name: str) -> bytes | None:
        """Read an object; None if there is none."""
        try:
            data: bytes = self._bucket.blob(name).download_as_bytes()
        except NotFound:
            return None
        return data

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with contextlib.suppress(NotFound):
            self._bucket.blob(name).delete(retry=DEFAULT_RETRY)

    def names(self, prefix: str) -> list[str]:
        """List the objects whose names start with a prefix."""
        found = self._client.list_blobs(self._bucket, prefix=prefix)
        return [blob.name for blob in found]


def _advice(bucket: str) -> str:
    return f"Grant their account roles/storage.objectUser on gs://{bucket}."
