from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter

from airflow_provider_engagement.api.errors import InvalidArgumentError, PermissionDeniedError
from airflow_provider_engagement.sinks import gcs as module
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.sinks.objects import ObjectSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from google.cloud.storage import Bucket

    from tools.clients import Gcs

PREFIX = "reports/x"


@dataclass
class Interceptor(HTTPAdapter):
    """Answers some requests of the storage client in the service's place.

    :param answer: takes a request's method, and its decoded path with the beginning of its body;
        returns status and body, or None to let the emulator answer.
    """

    answer: Callable[[str, str], tuple[int, dict[str, Any]] | None]
    sent: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> Any:
        method, url = str(request.method), urlsplit(str(request.url))
        self.sent[method] += 1
        # An upload names its object in its body.
        named = request.body.decode(errors="replace") if isinstance(request.body, bytes) else ""
        found = self.answer(method, f"{unquote(url.path)}?{unquote(url.query)} {named[:1000]}")
        if found is None:
            return super().send(request, *args, **more)
        response = requests.Response()
        response.status_code, body = found
        response._content = json.dumps(body).encode()  # noqa: SLF001 - requests has no other way
        response.request, response.url = request, str(request.url)
        response.headers["Content-Type"] = "application/json"
        return response


def refusal(message: str) -> tuple[int, dict[str, Any]]:
    return 403, {"error": {"code": 403, "message": message}}


def intercept(gcs: Gcs, answer: Callable[[str, str], tuple[int, Any] | None]) -> Interceptor:
    adapter = Interceptor(answer)
    gcs.client._http.mount("http://", adapter)  # noqa: SLF001 - the client's public session
    return adapter


@pytest.fixture
def bucket(gcs: Gcs) -> Bucket:
    return gcs.make_bucket()


@pytest.fixture
def store(gcs: Gcs, bucket: Bucket) -> GcsStore:
    return GcsStore(gcs.client, bucket.name)


# ---- Permissions -----------------------------------------------------------------------------


def grants_for_prefix(*missing: str) -> Callable[[str, str], tuple[int, Any] | None]:
    """Grant nothing on the bucket, and all but some permissions below the prefix."""
    operations = {"POST": "create", "GET": "get", "DELETE": "delete"}

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        if "/iam/testPermissions" in path:
            return 200, {"kind": "storage#testIamPermissionsResponse"}
        operation = "list" if f"prefix={PREFIX}" in path else operations[method]
        if f"{PREFIX}/" not in path or operation in missing:
            name = f"storage.objects.{operation}"
            return refusal(f"me@example.com does not have {name} access to retention/hold/o.")
        return None

    return answer


def test_permissions_on_the_bucket_need_one_request(gcs: Gcs, store: GcsStore) -> None:
    adapter = intercept(gcs, lambda *_: None)
    store.check(PREFIX)
    assert adapter.sent == {"GET": 1}
    assert store.names("") == []


@pytest.mark.parametrize("status", [200, 403])
def test_permissions_below_a_prefix_are_enough(gcs: Gcs, store: GcsStore, status: int) -> None:
    grant = grants_for_prefix()

    def answer(method: str, path: str) -> tuple[int, Any] | None:
        if "/iam/testPermissions" in path and status == 403:
            return refusal("requests are not allowed by the service perimeter")
        return grant(method, path)

    intercept(gcs, answer)
    store.check(PREFIX)
    assert store.names(f"{PREFIX}/") == []
    with pytest.raises(PermissionDeniedError, match=r"lack storage\.objects\.create on gs://"):
        store.check("elsewhere")


@pytest.mark.parametrize("operation", ["create", "get", "list", "delete"])
def test_a_missing_permission_is_named(gcs: Gcs, store: GcsStore, operation: str) -> None:
    intercept(gcs, grants_for_prefix(operation))
    with pytest.raises(
        PermissionDeniedError,
        match=rf"lack storage\.objects\.{operation} on gs://[\w-]+/{PREFIX}/\..*storage\.objectUser",
    ):
        store.check(PREFIX)


@pytest.mark.parametrize(
    "message",
    [
        "Object 'b/o' is subject to bucket's retention policy and cannot be deleted or overwritten",
        "Object 'b/o' is subject to object retention and cannot be deleted or overwritten",
        "Object 'b/o' is under active Temporary hold and cannot be deleted.",
    ],
)
def test_a_retention_policy_is_not_a_missing_permission(
    gcs: Gcs, store: GcsStore, message: str
) -> None:
    grant = grants_for_prefix()
    intercept(gcs, lambda *request: refusal(message) if request[0] == "DELETE" else grant(*request))
    store.check(PREFIX)
    (left,) = store.names(f"{PREFIX}/")
    assert left.startswith(f"{PREFIX}/engagement-probe-")


def test_a_missing_bucket_is_named_with_the_command_to_create_it(gcs: Gcs) -> None:
    with pytest.raises(InvalidArgumentError, match="Bucket 'nowhere' does not exist") as refused:
        GcsStore(gcs.client, "nowhere").check(PREFIX)
    assert "gcloud storage buckets create gs://nowhere" in str(refused.value)


@pytest.mark.parametrize("name", ["gs://acme", "acme/x", "", "A"])
def test_what_is_not_a_buckets_name_is_refused(gcs: Gcs, name: str) -> None:
    with pytest.raises(InvalidArgumentError, match="is not a bucket's name"):
        GcsStore(gcs.client, name)


# ---- Objects ---------------------------------------------------------------------------------


def test_an_object_is_replaced_only_if_it_is_the_version_that_was_read(store: GcsStore) -> None:
    def replace(data: bytes, generation: int) -> bool:
        return store.replace(data, "a", "text/plain", generation=generation)

    assert store.read("a") is None
    assert replace(b"1", 0)
    first = store.read("a")
    assert first is not None
    assert first.data == b"1"
    assert not replace(b"2", 0)
    assert replace(b"3", first.generation)
    assert not replace(b"4", first.generation)
    second = store.read("a")
    assert second is not None
    assert second.data == b"3"
    assert second.generation != first.generation


def test_a_version_is_read_whole_while_it_is_replaced(gcs: Gcs, store: GcsStore) -> None:
    store.put_bytes(b"old", "a", "text/plain")
    replaced: list[bool] = []

    def answer(_: str, path: str) -> None:
        if "alt=media" in path and not replaced:
            replaced.append(True)
            store.put_bytes(b"new", "a", "text/plain")

    intercept(gcs, answer)
    stored = store.read("a")
    assert stored is not None
    assert stored.data == b"new"
    assert store.replace(b"next", "a", "text/plain", generation=stored.generation)


def test_deleting_an_object_that_does_not_exist_is_no_error(store: GcsStore) -> None:
    store.delete("nothing")
    assert store.read("nothing") is None


def test_names_are_those_below_a_prefix_and_before_a_name(store: GcsStore) -> None:
    for name in ("a/1", "a/2", "a/3", "b"):
        store.put_bytes(b"", name, "text/plain")
    assert store.names("a/") == ["a/1", "a/2", "a/3"]
    assert store.names("a/", before="a/3") == ["a/1", "a/2"]


def test_an_upload_is_repeated_on_passing_faults(
    gcs: Gcs, store: GcsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    path = tmp_path / "part"
    path.write_bytes(bytes(9_000_000))  # more than one request
    faults = [503, 429, 500, 502, 504, 408] * 3

    def answer(method: str, _: str) -> tuple[int, Any] | None:
        return (faults.pop(), {}) if method != "GET" and faults else None

    intercept(gcs, answer)
    store.put_file(path, "part")
    assert faults == []
    stored = store.read("part")
    assert stored is not None
    assert len(stored.data) == 9_000_000


def test_requests_are_repeated_for_at_least_five_minutes() -> None:
    assert module._RETRY._timeout >= 300  # noqa: SLF001 - the tests cannot wait for it


# ---- Locked objects --------------------------------------------------------------------------


def test_a_manifest_that_is_locked_fails_before_the_pull(gcs: Gcs, bucket: Bucket) -> None:
    store = GcsStore(gcs.client, bucket.name)
    store.put_bytes(b"{}", "folder/manifest.json", "application/json")
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

    def locked(extra: dict[str, Any]) -> Callable[[str, str], tuple[int, Any] | None]:
        def answer(method: str, path: str) -> tuple[int, Any] | None:
            if method != "GET" or "manifest.json" not in path or "alt=media" in path:
                return None
            return 200, {"name": "folder/manifest.json", "generation": generation, **extra}

        return answer

    found = store.read("folder/manifest.json")
    assert found is not None
    generation = str(found.generation)
    past = (until - timedelta(days=9)).isoformat()
    intercept(gcs, locked({"retentionExpirationTime": past.replace("+00:00", "Z")}))
    ObjectSink(store, "folder", fingerprint="types").prepare()
    for extra in (
        {"retentionExpirationTime": until.isoformat().replace("+00:00", "Z")},
        {"temporaryHold": True},
        {"eventBasedHold": True},
    ):
        intercept(gcs, locked(extra))
        with pytest.raises(
            PermissionDeniedError, match=r"manifest\.json cannot be replaced.*another object_prefix"
        ):
            ObjectSink(store, "folder", fingerprint="types").prepare()
