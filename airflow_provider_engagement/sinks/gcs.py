"""Google Cloud Storage as an object store."""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from google.api_core.exceptions import (
    Forbidden,
    GoogleAPIError,
    NotFound,
    PreconditionFailed,
)
from google.cloud.storage.retry import DEFAULT_RETRY

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.sinks.base import ObjectInfo, StoredObject

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.cloud.storage import Blob, Client

__all__ = ["GcsStore"]

_BUCKET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")

_PERMISSIONS: Final = (
    "storage.objects.create",
    "storage.objects.get",
    "storage.objects.list",
    "storage.objects.delete",
)

# Seconds for which a request is repeated on a passing fault: as long as the pull itself waits.
_PATIENCE: Final = 600.0
_RETRY: Final = DEFAULT_RETRY.with_timeout(_PATIENCE)

# What is deleted is not needed any more: do not hold up a task for it.
_DELETE_RETRY: Final = DEFAULT_RETRY.with_timeout(30.0)

# A retention policy, or a hold, refuses a delete with the same status as a missing permission.
# Seen: "is subject to bucket's retention policy", "is under active Temporary hold".
_LOCKED: Final = re.compile(r"is subject to \S+ \w*\s?retention|is under active \S+ hold")


class GcsStore:
    """A bucket of Google Cloud Storage. Implements ``ObjectStore`` of sinks/base.py.

    :param client: a storage client.
    :param bucket: the bucket's name, without ``gs://``.
    :raises InvalidArgumentError: if a bucket cannot have that name.
    """

    def __init__(self, client: Client, bucket: str) -> None:
        if not _BUCKET_NAME.fullmatch(bucket):
            raise InvalidArgumentError(
                f"bucket is {bucket!r}, which is not a bucket's name.",
                advice="Use the name alone, without gs:// and without a path.",
            )
        self._client = client
        self._bucket = client.bucket(bucket)

    def uri(self, name: str) -> str:
        """Return an object's URI."""
        return f"gs://{self._bucket.name}/{name}"

    def check(self, prefix: str) -> None:
        """Check that objects below a prefix can be written, read, listed and deleted.

        Grants on the whole bucket are looked up. Grants that hold for a prefix or a managed folder
        alone are not listed there, so a small object is then written, read and deleted below the
        prefix.

        :param prefix: the folder, without a slash at its end.
        :raises InvalidArgumentError: if the bucket does not exist.
        :raises PermissionDeniedError: naming the permission that is missing.
        """
        try:
            granted = self._bucket.test_iam_permissions(list(_PERMISSIONS), timeout=60)
        except NotFound as error:
            name = self._bucket.name
            raise InvalidArgumentError(
                f"Bucket {name!r} does not exist.",
                advice=f"Create it: gcloud storage buckets create gs://{name}",
            ) from error
        except Forbidden:
            granted = []
        if not set(_PERMISSIONS).issubset(granted):
            self._probe(prefix)

    def location(self, prefix: str) -> str | None:
        """Return the bucket's location, such as ``EU``; None if it cannot be read.

        The storage layout needs the permission to list objects only, and only below the prefix.
        https://cloud.google.com/storage/docs/json_api/v1/buckets/getStorageLayout

        :param prefix: the folder that the credentials may list.
        """
        path = f"{self._bucket.path}/storageLayout"
        try:
            layout = self._client._get_resource(path, query_params={"prefix": prefix})  # noqa: SLF001 - no public method
        except GoogleAPIError:
            return self._location_of_bucket()
        return str(layout["location"])

    def _location_of_bucket(self) -> str | None:
        try:
            self._bucket.reload(retry=_RETRY)
        except GoogleAPIError:
            return None
        location: str | None = self._bucket.location
        return location

    def put_file(self, path: Path, name: str) -> None:
        """Upload a file. The bucket compares its checksum."""
        blob = self._bucket.blob(name)
        blob.upload_from_filename(str(path), checksum="crc32c", retry=_RETRY)

    def put_bytes(self, data: bytes, name: str, content_type: str) -> None:
        """Upload some bytes. The bucket compares their checksum."""
        self._upload(data, name, content_type)

    def read(self, name: str) -> StoredObject | None:
        """Read an object, and which version it is; None if it does not exist."""
        while (blob := self._bucket.get_blob(name, retry=_RETRY)) is not None:
            # Read first: the download overwrites it with what its own answer says.
            generation = int(blob.generation)
            # Between the two requests another process may replace or delete the object.
            with contextlib.suppress(NotFound, PreconditionFailed):
                data = blob.download_as_bytes(if_generation_match=generation, retry=_RETRY)
                return StoredObject(data, generation, _locked_until(blob))
        return None

    def get_file(self, name: str, path: Path) -> bool:
        """Download an object to a file; return False if it does not exist."""
        try:
            self._bucket.blob(name).download_to_filename(str(path), retry=_RETRY)
        except NotFound:
            return False
        return True

    def describe(self, prefix: str) -> dict[str, ObjectInfo]:
        """Return sizes and checksums of the objects below a prefix, by their names.

        An object that was composed of others has no MD5 digest.
        """
        found = self._client.list_blobs(self._bucket, prefix=prefix, retry=_RETRY)
        return {blob.name: ObjectInfo(int(blob.size), _hex_md5(blob)) for blob in found}

    def replace(self, data: bytes, name: str, content_type: str, *, generation: int) -> bool:
        """Upload some bytes, if the object is still the version that was read."""
        try:
            self._upload(data, name, content_type, if_generation_match=generation)
        except PreconditionFailed:
            return False
        return True

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
        with contextlib.suppress(NotFound):
            self._bucket.blob(name).delete(retry=_DELETE_RETRY)

    def names(self, prefix: str, *, before: str | None = None) -> list[str]:
        """Return the names of the objects below a prefix, sorted.

        :param before: leave out the names from this one on.
        """
        found = self._client.list_blobs(
            self._bucket, prefix=prefix, end_offset=before, retry=_RETRY
        )
        return [blob.name for blob in found if before is None or blob.name < before]

    def _upload(self, data: bytes, name: str, content_type: str, **precondition: Any) -> None:
        self._bucket.blob(name).upload_from_string(
            data, content_type=content_type, checksum="crc32c", retry=_RETRY, **precondition
        )

    def _probe(self, prefix: str) -> None:
        name = f"{prefix}/engagement-probe-{secrets.token_hex(6)}"
        create, get, list_, delete = _PERMISSIONS
        self._try(create, prefix, lambda: self.put_bytes(b"", name, "text/plain"))
        self._try(get, prefix, lambda: self.read(name))
        self._try(list_, prefix, lambda: self.names(name))
        self._try(delete, prefix, lambda: self.delete(name))

    def _try(self, permission: str, prefix: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Forbidden as error:
            if _LOCKED.search(str(error)) and permission.endswith("delete"):
                return
            raise PermissionDeniedError(
                f"The Google credentials lack {permission} on {self.uri(prefix)}/.",
                advice=f"Grant their account roles/storage.objectUser on {self.uri('')}, or on a "
                "managed folder that holds the prefix.",
            ) from error


def _hex_md5(blob: Blob) -> str | None:
    return base64.b64decode(blob.md5_hash).hex() if blob.md5_hash else None


def _locked_until(blob: Blob) -> datetime | None:
    if blob.temporary_hold or blob.event_based_hold:
        return datetime.max.replace(tzinfo=UTC)
    expires: datetime | None = blob.retention_expiration_time
    return expires if expires is not None and expires > datetime.now(UTC) else None
