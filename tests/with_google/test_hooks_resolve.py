"""Where Airflow's Google provider is installed, its hooks read every Google connection."""

from __future__ import annotations

import gzip
import inspect
import json
import re
import traceback
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import google.auth
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from keys import BOSS, PLATFORM, ROBOT, make_key
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.hooks import google as google_hooks
from airflow_provider_engagement.hooks.google import bigquery_client, storage_client
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.transfers.engagement_to_gcs import EngagementToGCSOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.cloud.storage import Bucket

    from tools.clients import BigQuery, Gcs

    Connect = Callable[..., str]

pytestmark = [pytest.mark.google, pytest.mark.usefixtures("airflow_home")]

SNAPSHOT = NOW - timedelta(hours=1)
TYPES = ENDPOINTS["totals"].engagement_types
DEPUTY = "deputy@head-office.iam.gserviceaccount.com"
MAKERS = [bigquery_client, storage_client]


@pytest.fixture
def world() -> World:
    return World(seed=9, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 20, since=NOW - timedelta(days=80), until=SNAPSHOT)


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture(scope="session")
def key() -> dict[str, str]:
    return make_key()


@pytest.fixture
def google_connection(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that sets a Google connection and returns its id."""

    def make(conn_id: str = "mine", **extra: Any) -> str:
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        connect(monkeypatch, connection, conn_id)
        return conn_id

    return make


@pytest.fixture
def emulators(bigquery: BigQuery, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every setting that names the emulators' project, except a test's connections."""
    del bigquery, gcs
    monkeypatch.delenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")


@pytest.fixture
def warehouse(emulators: None, google_connection: Connect) -> str:
    del emulators
    return google_connection("warehouse", is_anonymous=True, project="test")


@pytest.fixture
def bucket(ids: list[str], gcs: Gcs, emulators: None) -> Bucket:
    """Create a bucket with a file of the ids."""
    del emulators
    bucket = gcs.make_bucket()
    bucket.blob("ids.txt.gz").upload_from_string(gzip.compress("\n".join(ids).encode()))
    return bucket


def to_bigquery(bucket: Bucket, dataset: str, **more: Any) -> EngagementToBigQueryOperator:
    return EngagementToBigQueryOperator(
        task_id="to_bigquery",
        tweet_ids=f"gs://{bucket.name}/ids.txt.gz",
        destination_table=f"{dataset}.totals",
        staging_bucket=bucket.name,
        engagement_conn_id=CONN_ID,
        **more,
    )


def to_gcs(bucket: Bucket, **more: Any) -> EngagementToGCSOperator:
    given = {"tweet_ids": f"gs://{bucket.name}/ids.txt.gz", "file_format": "jsonl"} | more
    return EngagementToGCSOperator(
        task_id="to_gcs", bucket=bucket.name, engagement_conn_id=CONN_ID, **given
    )


def rows_of(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    return bigquery.rows(f"SELECT * FROM {dataset}.totals")  # noqa: S608 - a table of ours


def rows_in(bucket: Bucket, uri: str) -> list[dict[str, Any]]:
    text = bucket.blob(uri.removeprefix(f"gs://{bucket.name}/")).download_as_text()
    return [json.loads(line) for line in text.splitlines()]


def credentials_of(client: Any) -> Any:
    return client._credentials  # noqa: SLF001 - Google's clients have no public name for it


# ---- The operators ---------------------------------------------------------------------------


@dataclass
class Hooks:
    """The hooks of the Google provider that were created, each with its parameters."""

    created: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """Record every hook that is created."""
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook

    recorded = Hooks()
    original = GoogleBaseHook.__init__

    def recording(self: Any, **options: Any) -> None:
        recorded.created.append((type(self).__name__, options))
        original(self, **options)

    monkeypatch.setattr(GoogleBaseHook, "__init__", recording)
    return recorded


@pytest.mark.usefixtures("simulator")
def test_rows_are_written_to_bigquery_through_gcp_conn_id(
    world: World,
    ids: list[str],
    bucket: Bucket,
    *,
    bigquery: BigQuery,
    dataset: str,
    warehouse: str,
    hooks: Hooks,
) -> None:
    ran = run(to_bigquery(bucket, dataset, gcp_conn_id=warehouse, location="US"), at=SNAPSHOT)
    assert counts(rows_of(bigquery, dataset)) == expected_counts(world, ids, TYPES)
    assert ran.value["table"] == f"test.{dataset}.totals"
    # GCS for the ids and the staging bucket, BigQuery for the table.
    assert {kind for kind, _ in hooks.created} == {"GCSHook", "BigQueryHook"}
    options = {"gcp_conn_id": "warehouse", "impersonation_chain": None}
    assert [used for _, used in hooks.created if used != options] == []


@pytest.mark.usefixtures("simulator", "warehouse")
def test_jobs_have_labels_and_run_in_the_location_of_the_dataset(
    bucket: Bucket, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud.bigquery import Client

    started: list[tuple[Any, Any]] = []

    def recording(name: str) -> Callable[..., Any]:
        start = getattr(Client, name)

        def job(self: Client, *args: Any, **options: Any) -> Any:
            started.append((options["job_config"].labels, options["location"]))
            return start(self, *args, **options)

        return job

    for name in ("query", "load_table_from_uri"):
        monkeypatch.setattr(Client, name, recording(name))
    run(to_bigquery(bucket, dataset, gcp_conn_id="warehouse"), at=SNAPSHOT, dag_id="Daily")
    assert len(started) >= 2
    for labels, location in started:
        assert (labels["dag"], labels["task"]) == ("daily", "to_bigquery")
        assert location == "US"


@pytest.mark.usefixtures("simulator")
def test_rows_are_written_to_gcs_through_gcp_conn_id(
    world: World, ids: list[str], bucket: Bucket, warehouse: str, hooks: Hooks
) -> None:
    ran = run(to_gcs(bucket, gcp_conn_id=warehouse), at=SNAPSHOT)
    (uri,) = ran.value["uris"]
    assert counts(rows_in(bucket, uri)) == expected_counts(world, ids, TYPES)
    options = {"gcp_conn_id": "warehouse", "impersonation_chain": None}
    assert len(hooks.created) >= 2
    assert [hook for hook in hooks.created if hook != ("GCSHook", options)] == []


@pytest.mark.usefixtures("simulator", "warehouse")
def test_a_uri_can_name_another_connection(
    world: World, ids: list[str], bucket: Bucket, google_connection: Connect, hooks: Hooks
) -> None:
    other = google_connection("other", is_anonymous=True, project="test")
    operator = EngagementTotalsOperator(
        task_id="to_file",
        tweet_ids=f"gs://{other}@{bucket.name}/ids.txt.gz",
        output_path=f"gs://warehouse@{bucket.name}/counts.jsonl",
        engagement_conn_id=CONN_ID,
    )
    run(operator, at=SNAPSHOT)
    rows = rows_in(bucket, f"gs://{bucket.name}/counts.jsonl")
    assert counts(rows) == expected_counts(world, ids, TYPES)
    used = [options["gcp_conn_id"] for _, options in hooks.created]
    assert used == ["other", "warehouse", "warehouse"]


@pytest.mark.parametrize("conn_id", ["nowhere", "google_cloud_default"])
def test_a_missing_connection_is_reported_by_the_hook(
    conn_id: str, bucket: Bucket, dataset: str, simulator: Simulator
) -> None:
    for operator in (
        to_bigquery(bucket, dataset, gcp_conn_id=conn_id),
        to_gcs(bucket, gcp_conn_id=conn_id),
    ):
        with pytest.raises(AirflowNotFoundException, match=f"`{conn_id}` isn't defined"):
            run(operator, at=SNAPSHOT)
    assert simulator.requests == []


# ---- Impersonation ---------------------------------------------------------------------------


@pytest.fixture
def impersonated(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Replace impersonation, which needs Google, and return the accounts that are impersonated."""
    source = AnonymousCredentials()  # type: ignore[no-untyped-call]  # it has no types
    impersonations: list[dict[str, Any]] = []

    def impersonate(**options: Any) -> AnonymousCredentials:
        assert options.pop("source_credentials") is source
        impersonations.append(options)
        return AnonymousCredentials()  # type: ignore[no-untyped-call]  # it has no types

    monkeypatch.setattr(google.auth, "default", lambda **_: (source, "home"))
    monkeypatch.setattr(impersonated_credentials, "Credentials", impersonate)
    return impersonations


@pytest.mark.usefixtures("simulator", "emulators")
def test_operators_impersonate_the_templated_chain(
    world: World,
    ids: list[str],
    bucket: Bucket,
    *,
    bigquery: BigQuery,
    dataset: str,
    google_connection: Connect,
    hooks: Hooks,
    impersonated: list[dict[str, Any]],
) -> None:
    google: dict[str, Any] = {
        "gcp_conn_id": "{{ connection }}",
        "impersonation_chain": ["{{ deputy }}", BOSS],
    }
    variables = {"connection": google_connection(project="test"), "deputy": DEPUTY}
    run(to_bigquery(bucket, dataset, **google), at=SNAPSHOT, variables=variables)
    run(to_gcs(bucket, **google), at=SNAPSHOT, variables=variables)
    assert counts(rows_of(bigquery, dataset)) == expected_counts(world, ids, TYPES)
    expected = {"target_principal": BOSS, "delegates": [DEPUTY], "target_scopes": (PLATFORM,)}
    assert len(hooks.created) >= 5  # ids, staging bucket, table; ids, objects
    assert impersonated == [expected] * len(hooks.created)


@pytest.mark.usefixtures("simulator", "emulators")
def test_impersonation_of_a_connection_in_a_uri_is_its_own(
    bucket: Bucket, google_connection: Connect, hooks: Hooks, impersonated: list[dict[str, Any]]
) -> None:
    google_connection("reader", project="test", impersonation_chain=DEPUTY)
    google_connection("plain", project="test")
    operator = to_gcs(
        bucket,
        tweet_ids=f"gs://reader@{bucket.name}/ids.txt.gz",
        gcp_conn_id=google_connection("writer", project="test"),
        impersonation_chain=BOSS,
    )
    run(operator, at=SNAPSHOT)
    reader, *writers = (each["target_principal"] for each in impersonated)
    assert (reader, {*writers}) == (DEPUTY, {BOSS})
    impersonated.clear()
    hooks.created.clear()
    operator.tweet_ids = f"gs://plain@{bucket.name}/ids.txt.gz"
    run(operator, at=SNAPSHOT)
    # The hook that reads the ids impersonates no account.
    assert [each["target_principal"] for each in impersonated] == [BOSS] * (len(hooks.created) - 1)


# ---- The same client with and without the provider --------------------------------------------


def described(client: Any) -> dict[str, Any]:
    """Return the identity, the project and the quota project of a client."""
    credentials = credentials_of(client)
    source = getattr(credentials, "_source_credentials", None)
    return {
        "project": client.project,
        "kind": type(credentials),
        "account": getattr(credentials, "service_account_email", None),
        "source": getattr(source, "service_account_email", None),
        "delegates": getattr(credentials, "_delegates", None) or [],
        "quota_project": getattr(credentials, "quota_project_id", None),
        "scopes": set(getattr(credentials, "scopes", None) or ()),
        "target_scopes": set(getattr(credentials, "_target_scopes", None) or ()),
    }


EXTRAS: dict[str, dict[str, Any]] = {
    "key": {"keyfile_dict": "KEY"},
    "key in a file": {"key_path": "PATH"},
    "another project": {"keyfile_dict": "KEY", "project": "mine"},
    "scopes": {"keyfile_dict": "KEY", "scope": "https://a/x, https://a/y"},
    "quota project": {"keyfile_dict": "KEY", "quota_project_id": "the-payer"},
    "impersonation": {"keyfile_dict": "KEY", "impersonation_chain": f"{DEPUTY}, {BOSS}"},
    "every field": {
        "keyfile_dict": "KEY",
        "project": "mine",
        "scope": "https://a/x",
        "quota_project_id": "the-payer",
        "impersonation_chain": BOSS,
    },
    "default credentials": {},
    "default credentials, another project": {"project": "mine"},
    "fields of other hooks": {"keyfile_dict": "KEY", "num_retries": 3, "labels": {"a": "b"}},
}


@pytest.mark.parametrize("chain", [None, BOSS, f"['{DEPUTY}', '{BOSS}']"])
@pytest.mark.parametrize("extra", EXTRAS.values(), ids=EXTRAS)
@pytest.mark.parametrize(
    ("make", "prefix"),
    [
        (bigquery_client, ""),
        (storage_client, ""),
        (storage_client, "extra__google_cloud_platform__"),
    ],
)
def test_the_client_is_the_same_with_and_without_the_provider(
    extra: dict[str, Any],
    prefix: str,
    make: Callable[..., Any],
    chain: Any,
    *,
    key: dict[str, str],
    google_connection: Connect,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    if not extra.keys() & {"keyfile_dict", "key_path"}:
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    values = {"KEY": key, "PATH": str(path)}
    prefixed = {
        f"{prefix}{name}": values.get(value, value) if isinstance(value, str) else value
        for name, value in extra.items()
    }
    conn_id = google_connection(**prefixed)
    with_hooks = make(conn_id, chain)
    monkeypatch.setattr(google_hooks, "_has_provider", lambda: False)
    assert described(make(conn_id, chain)) == described(with_hooks)


@pytest.mark.parametrize("make", MAKERS)
def test_anonymous_access_is_the_same_except_that_hooks_ignore_impersonation(
    make: Callable[..., Any], google_connection: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_id = google_connection(is_anonymous=True, project="mine")
    with_hooks = described(make(conn_id))
    assert described(make(conn_id, BOSS)) == with_hooks
    monkeypatch.setattr(google_hooks, "_has_provider", lambda: False)
    assert described(make(conn_id)) == with_hooks
    with pytest.raises(InvalidArgumentError, match="is anonymous"):
        make(conn_id, BOSS)


def test_hooks_make_the_clients(
    google_connection: Connect, key: dict[str, str], hooks: Hooks
) -> None:
    conn_id = google_connection(keyfile_dict=key)
    assert credentials_of(bigquery_client(conn_id, location="EU")).service_account_email == ROBOT
    assert bigquery_client(conn_id, location="EU").location == "EU"
    assert credentials_of(storage_client(conn_id)).service_account_email == ROBOT
    assert [name for name, _ in hooks.created] == ["BigQueryHook", "BigQueryHook", "GCSHook"]


def test_a_connection_without_a_project_is_reported(google_connection: Connect) -> None:
    with pytest.raises(InvalidArgumentError, match="'mine' has no project"):
        bigquery_client(google_connection(is_anonymous=True))


def test_every_extra_of_the_provider_is_honoured_or_refused_without_it() -> None:
    from airflow.providers.google import get_provider_info
    from airflow.providers.google.common.hooks import base_google

    source = inspect.getsource(google_hooks)
    of_other_hooks = {"num_retries"}
    (form,) = (
        connection["conn-fields"]
        for connection in get_provider_info.get_provider_info()["connection-types"]
        if connection["connection-type"] == "google_cloud_platform"
    )
    read = re.findall(r'_get_field\(\s*"(\w+)"', inspect.getsource(base_google))
    extras = {*form, *read} - of_other_hooks
    assert len(extras) > 10
    assert {name for name in extras if f'"{name}"' not in source} == set()


@pytest.mark.parametrize("broken", ["text", "cut"])
@pytest.mark.parametrize("make", MAKERS)
def test_a_broken_key_is_not_shown(
    make: Callable[..., Any],
    broken: str,
    google_connection: Connect,
    key: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = key["private_key"].splitlines()[5]
    broken_key: Any = {
        "text": json.dumps(key)[:-40] + secret,
        "cut": key | {"private_key": key["private_key"][:-300]},
    }[broken]
    with pytest.raises((AirflowException, ValueError)) as refused:
        make(google_connection(keyfile_dict=broken_key))
    assert secret not in "".join(traceback.format_exception(refused.value)) + caplog.text
