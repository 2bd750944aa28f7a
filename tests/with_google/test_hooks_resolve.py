"""With Airflow's Google provider installed its hooks resolve the connection, for all that we do."""

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
from run_operator import CONN_ID, NOW, connect, counts, run, truth

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS
from airflow_provider_engagement.hooks import google as seam
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
    """Give a function that makes a Google connection, and says its id."""

    def make(conn_id: str = "mine", **extra: Any) -> str:
        held = {"conn_type": "google_cloud_platform", "extra": extra}
        connect(monkeypatch, held, conn_id)
        return conn_id

    return make


@pytest.fixture
def emulators(bigquery: BigQuery, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away all that leads to the emulators' project, but for the connections of a test."""
    del bigquery, gcs
    monkeypatch.delenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")


@pytest.fixture
def warehouse(emulators: None, google_connection: Connect) -> str:
    del emulators
    return google_connection("warehouse", is_anonymous=True, project="test")


@pytest.fixture
def bucket(ids: list[str], gcs: Gcs, emulators: None) -> Bucket:
    """Make a bucket that holds the ids."""
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
    """The hooks of the Google provider that were made, each with what it was made with."""

    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Hooks:
    """Watch the hooks being made."""
    from airflow.providers.google.common.hooks.base_google import GoogleBaseHook

    watched = Hooks()
    make = GoogleBaseHook.__init__

    def noted(self: Any, **options: Any) -> None:
        watched.made.append((type(self).__name__, options))
        make(self, **options)

    monkeypatch.setattr(GoogleBaseHook, "__init__", noted)
    return watched


@pytest.mark.usefixtures("simulator")
def test_rows_land_in_bigquery_by_the_connection_that_is_named(
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
    assert counts(rows_of(bigquery, dataset)) == truth(world, ids, TYPES)
    assert ran.value["table"] == f"test.{dataset}.totals"
    # For the ids and the bucket to load through, and for the table.
    assert {kind for kind, _ in hooks.made} == {"GCSHook", "BigQueryHook"}
    asked = {"gcp_conn_id": "warehouse", "impersonation_chain": None}
    assert [made for _, made in hooks.made if made != asked] == []


@pytest.mark.usefixtures("simulator", "warehouse")
def test_jobs_carry_labels_and_run_where_the_dataset_is(
    bucket: Bucket, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.cloud.bigquery import Client

    started: list[tuple[Any, Any]] = []

    def noted(name: str) -> Callable[..., Any]:
        start = getattr(Client, name)

        def job(self: Client, *given: Any, **options: Any) -> Any:
            started.append((options["job_config"].labels, options["location"]))
            return start(self, *given, **options)

        return job

    for name in ("query", "load_table_from_uri"):
        monkeypatch.setattr(Client, name, noted(name))
    run(to_bigquery(bucket, dataset, gcp_conn_id="warehouse"), at=SNAPSHOT, dag_id="Daily")
    assert len(started) >= 2
    for labels, location in started:
        assert (labels["dag"], labels["task"]) == ("daily", "to_bigquery")
        assert location == "US"


@pytest.mark.usefixtures("simulator")
def test_rows_land_in_gcs_by_the_connection_that_is_named(
    world: World, ids: list[str], bucket: Bucket, warehouse: str, hooks: Hooks
) -> None:
    ran = run(to_gcs(bucket, gcp_conn_id=warehouse), at=SNAPSHOT)
    (uri,) = ran.value["uris"]
    assert counts(rows_in(bucket, uri)) == truth(world, ids, TYPES)
    asked = {"gcp_conn_id": "warehouse", "impersonation_chain": None}
    assert len(hooks.made) >= 2
    assert [made for made in hooks.made if made != ("GCSHook", asked)] == []


@pytest.mark.usefixtures("simulator", "warehouse")
def test_a_uri_may_name_another_connection(
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
    assert counts(rows) == truth(world, ids, TYPES)
    used = [options["gcp_conn_id"] for _, options in hooks.made]
    assert used == ["other", "warehouse", "warehouse"]


@pytest.mark.parametrize("conn_id", ["nowhere", "google_cloud_default"])
def test_a_connection_that_is_not_there_is_told_in_the_hooks_own_words(
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
    """Stand in for those whom Google would have to be asked for; tell who is acted as."""
    source = AnonymousCredentials()  # type: ignore[no-untyped-call]  # it has no types
    asked: list[dict[str, Any]] = []

    def acting_as(**options: Any) -> AnonymousCredentials:
        assert options.pop("source_credentials") is source
        asked.append(options)
        return AnonymousCredentials()  # type: ignore[no-untyped-call]  # it has no types

    monkeypatch.setattr(google.auth, "default", lambda **_: (source, "home"))
    monkeypatch.setattr(impersonated_credentials, "Credentials", acting_as)
    return asked


@pytest.mark.usefixtures("simulator", "emulators")
def test_operators_act_as_whom_they_are_told_to(
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
    given: dict[str, Any] = {
        "gcp_conn_id": "{{ connection }}",
        "impersonation_chain": ["{{ deputy }}", BOSS],
    }
    variables = {"connection": google_connection(project="test"), "deputy": DEPUTY}
    run(to_bigquery(bucket, dataset, **given), at=SNAPSHOT, variables=variables)
    run(to_gcs(bucket, **given), at=SNAPSHOT, variables=variables)
    assert counts(rows_of(bigquery, dataset)) == truth(world, ids, TYPES)
    asked = {"target_principal": BOSS, "delegates": [DEPUTY], "target_scopes": (PLATFORM,)}
    assert len(hooks.made) >= 5  # for ids, a bucket to load through, a table; ids, objects
    assert impersonated == [asked] * len(hooks.made)


@pytest.mark.usefixtures("simulator", "emulators")
def test_the_connection_that_a_uri_names_says_itself_whom_it_acts_as(
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
    hooks.made.clear()
    operator.tweet_ids = f"gs://plain@{bucket.name}/ids.txt.gz"
    run(operator, at=SNAPSHOT)
    # Who reads is nobody else, and so acts as one less than there are hooks.
    assert [each["target_principal"] for each in impersonated] == [BOSS] * (len(hooks.made) - 1)


# ---- The same client both ways ---------------------------------------------------------------


def described(client: Any) -> dict[str, Any]:
    """Tell who a client acts as, where and at whose expense."""
    credentials = credentials_of(client)
    source = getattr(credentials, "_source_credentials", None)
    return {
        "project": client.project,
        "kind": type(credentials),
        "who": getattr(credentials, "service_account_email", None),
        "source": getattr(source, "service_account_email", None),
        "delegates": getattr(credentials, "_delegates", None) or [],
        "payer": getattr(credentials, "quota_project_id", None),
        "scopes": set(getattr(credentials, "scopes", None) or ()),
        "asked": set(getattr(credentials, "_target_scopes", None) or ()),
    }


EXTRAS: dict[str, dict[str, Any]] = {
    "key": {"keyfile_dict": "KEY"},
    "key in a file": {"key_path": "PATH"},
    "another project": {"keyfile_dict": "KEY", "project": "mine"},
    "scopes": {"keyfile_dict": "KEY", "scope": "https://a/x, https://a/y"},
    "another pays": {"keyfile_dict": "KEY", "quota_project_id": "the-payer"},
    "impersonation": {"keyfile_dict": "KEY", "impersonation_chain": f"{DEPUTY}, {BOSS}"},
    "all of it": {
        "keyfile_dict": "KEY",
        "project": "mine",
        "scope": "https://a/x",
        "quota_project_id": "the-payer",
        "impersonation_chain": BOSS,
    },
    "the machine's own": {},
    "the machine's own, another project": {"project": "mine"},
    "what is of no concern to us": {"keyfile_dict": "KEY", "num_retries": 3, "labels": {"a": "b"}},
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
def test_the_client_is_the_same_with_the_provider_and_without(
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
    stands = {"KEY": key, "PATH": str(path)}
    held = {
        f"{prefix}{name}": stands.get(value, value) if isinstance(value, str) else value
        for name, value in extra.items()
    }
    conn_id = google_connection(**held)
    with_hooks = make(conn_id, chain)
    monkeypatch.setattr(seam, "_has_provider", lambda: False)
    assert described(make(conn_id, chain)) == described(with_hooks)


@pytest.mark.parametrize("make", MAKERS)
def test_anonymous_is_the_same_but_that_the_hooks_pass_over_impersonation(
    make: Callable[..., Any], google_connection: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn_id = google_connection(is_anonymous=True, project="mine")
    with_hooks = described(make(conn_id))
    assert described(make(conn_id, BOSS)) == with_hooks
    monkeypatch.setattr(seam, "_has_provider", lambda: False)
    assert described(make(conn_id)) == with_hooks
    with pytest.raises(InvalidArgumentError, match="is anonymous"):
        make(conn_id, BOSS)


def test_the_hooks_are_what_makes_the_clients(
    google_connection: Connect, key: dict[str, str], hooks: Hooks
) -> None:
    conn_id = google_connection(keyfile_dict=key)
    assert credentials_of(bigquery_client(conn_id, location="EU")).service_account_email == ROBOT
    assert bigquery_client(conn_id, location="EU").location == "EU"
    assert credentials_of(storage_client(conn_id)).service_account_email == ROBOT
    assert [name for name, _ in hooks.made] == ["BigQueryHook", "BigQueryHook", "GCSHook"]


def test_a_connection_without_a_project_is_told(google_connection: Connect) -> None:
    with pytest.raises(InvalidArgumentError, match="'mine' has none"):
        bigquery_client(google_connection(is_anonymous=True))


def test_no_extra_of_the_providers_is_passed_over_without_it() -> None:
    from airflow.providers.google import get_provider_info
    from airflow.providers.google.common.hooks import base_google

    ours = inspect.getsource(seam)
    for_requests_of_other_hooks = {"num_retries"}
    (form,) = (
        connection["conn-fields"]
        for connection in get_provider_info.get_provider_info()["connection-types"]
        if connection["connection-type"] == "google_cloud_platform"
    )
    read = re.findall(r'_get_field\(\s*"(\w+)"', inspect.getsource(base_google))
    theirs = {*form, *read} - for_requests_of_other_hooks
    assert len(theirs) > 10
    assert {name for name in theirs if f'"{name}"' not in ours} == set()


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
    held: Any = {
        "text": json.dumps(key)[:-40] + secret,
        "cut": key | {"private_key": key["private_key"][:-300]},
    }[broken]
    with pytest.raises((AirflowException, ValueError)) as refused:
        make(google_connection(keyfile_dict=held))
    assert secret not in "".join(traceback.format_exception(refused.value)) + caplog.text
