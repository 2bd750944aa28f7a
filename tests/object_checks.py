"""Check folders of objects against their manifests."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


def without_try(name: str) -> str:
    """Return the name of an object without the try that wrote it."""
    return re.sub(r"-[0-9a-f]{12}(?=\.)", "", name)


def listed_in(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries of a manifest: the objects, then the coverage."""
    return [*manifest["objects"], manifest["coverage"]]


def read_manifest(bucket: Bucket, folder: str) -> dict[str, Any] | None:
    """Return a folder's manifest, and check it: every object exists, with size and checksum.

    :returns: None if the folder has none.
    """
    blob = bucket.get_blob(f"{folder}/manifest.json")
    if blob is None:
        return None
    manifest: dict[str, Any] = json.loads(blob.download_as_bytes())
    for entry in listed_in(manifest):
        data = bucket.blob(f"{folder}/{entry['name']}").download_as_bytes()
        assert entry["uri"] == f"gs://{bucket.name}/{folder}/{entry['name']}"
        assert (entry["bytes"], entry["md5"]) == (len(data), hashlib.md5(data).hexdigest())  # noqa: S324 - no secret
    assert manifest["rows"] == sum(entry["rows"] for entry in manifest["objects"])
    return manifest


def files_of(bucket: Bucket, folder: str) -> dict[str, bytes]:
    """Return the objects of a finished folder, by their names without the try.

    Check that the folder holds its manifest, what that lists, and nothing else.
    """
    manifest = read_manifest(bucket, folder)
    assert manifest is not None
    names = {entry["name"] for entry in listed_in(manifest)} | {"manifest.json"}
    held = {blob.name.removeprefix(f"{folder}/") for blob in bucket.list_blobs(prefix=f"{folder}/")}
    assert held == names
    return {
        without_try(name): bucket.blob(f"{folder}/{name}").download_as_bytes() for name in names
    }
