"""What a transfer does when its bucket fails, or lets it do only some things."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core.exceptions import Forbidden, ServiceUnavailable
from object_checks import files_of, read_manifest
from run_operator import CONN_ID, NOW, run

from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.gcs import GcsStore
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from google.cloud.storage import Bucket


pytestmark = pytest.mark.usefixtures("airflow_home")

DAY = timedelta(days=1)
TODAY = NOW.replace(hour=0, minute=0, second=0)


@pytest.fixture
def world() -> World:
    return World(seed=12, accounts=("acme",), now=NOW)


@pytest.fixture
def operator(simulator: Simulator, bucket: Bucket) -> EngagementToGCSOperator:
    ids = simulator.world.tweets("acme", 60, since=TODAY - 40 * DAY, until=TODAY - 20 * DAY)
    return EngagementToGCSOperator(
        task_id="to_gcs",
        tweet_ids=ids,
        bucket=bucket.name,
        endpoint="historical",
        engagement_types=["impressions"],
        engagement_conn_id=CONN_ID,
    )


def names_in(bucket: Bucket) -> list[str]:
    return [blob.name for blob in bucket.list_blobs()]


def only_folder(bucket: Bucket) -> str:
    (manifest,) = (name for name in names_in(bucket) if name.endswith("manifest.json"))
    return manifest.rpartition("/")[0]


@pytest.mark.parametrize("operation", ["put_file", "replace", "names"])
def test_a_landing_that_fails_is_repeated_without_a_request(
    operator: EngagementToGCSOperator,
    simulator: Simulator,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
) -> None:
    works = getattr(GcsStore, operation)

    def fail(self: GcsStore, *args: Any, **kwargs: Any) -> Any:
        if simulator.requests and not any(str(arg).endswith(".arrow") for arg in args):
            message = "the bucket cannot be reached"
            raise ServiceUnavailable(message)
        return works(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(GcsStore, operation, fail)
        with pytest.raises(ServiceUnavailable):
            run(operator, at=TODAY)
    sent = len(simulator.requests)
    assert sent == 3
    second = run(operator, at=TODAY, try_number=2)
    assert len(simulator.requests) == sent
    assert second.summary["requests_resumed"] == 3
    assert second.value["rows"] == 60
    assert files_of(bucket, only_folder(bucket))
    assert len(names_in(bucket)) == 3


def test_a_bucket_that_refuses_every_delete_fails_no_pull(
    operator: EngagementToGCSOperator,
    simulator: Simulator,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: GcsStore, name: str) -> None:
        message = f"{name} is subject to bucket's retention policy"
        raise Forbidden(message)

    monkeypatch.setattr(GcsStore, "delete", refuse)
    for day in (9, 1, 0):
        assert run(operator, at=TODAY - day * DAY).value["rows"] == 60
    folders = [name.rpartition("/")[0] for name in names_in(bucket) if "manifest" in name]
    assert len(folders) == 3
    assert all(read_manifest(bucket, folder) for folder in folders)
    assert len(simulator.requests) == 9


def test_permissions_below_the_prefix_are_enough(
    operator: EngagementToGCSOperator, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud.storage import Bucket as GoogleBucket

    monkeypatch.setattr(GoogleBucket, "test_iam_permissions", lambda *_, **__: [])
    assert run(operator, at=TODAY).value["rows"] == 60
    assert len(names_in(bucket)) == 3


def test_a_missing_permission_fails_before_the_first_request(
    operator: EngagementToGCSOperator, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException
    from google.cloud.storage import Bucket as GoogleBucket

    def refuse(_: GcsStore, name: str) -> None:
        message = f"me does not have storage.objects.delete access to {name}"
        raise Forbidden(message)

    monkeypatch.setattr(GoogleBucket, "test_iam_permissions", lambda *_, **__: [])
    monkeypatch.setattr(GcsStore, "delete", refuse)
    with pytest.raises(AirflowFailException, match=r"lack storage\.objects\.delete on gs://"):
        run(operator, at=TODAY)
    assert simulator.requests == []
