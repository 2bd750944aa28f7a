from __future__ import annotations

import importlib.machinery
import json
import subprocess
import sys
import traceback
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import google.auth
import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from keys import BOSS, PLATFORM, ROBOT, make_key

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)
from airflow_provider_engagement.hooks.google import bigquery_client, storage_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tools.clients import BigQuery, Gcs

    Connect = Callable[..., str]

MAKERS = [bigquery_client, storage_client]


@pytest.fixture(scope="session")
def key() -> dict[str, str]:
    return make_key()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Return a function that sets a connection and returns its id."""

    def make(conn_id: str = "google_cloud_default", **extra: Any) -> str:
        connection = {"conn_type": "google_cloud_platform", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection))
        return conn_id

    return make


@pytest.fixture
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    def get_connection(conn_id: str) -> None:
        message = f"The conn_id `{conn_id}` isn't defined"
        raise AirflowNotFoundException(message)

    monkeypatch.setattr(BaseHook, "get_connection", get_connection)


@pytest.fixture
def default_credentials(monkeypatch: pytest.MonkeyPatch) -> Any:
    credentials = AnonymousCredentials()

    def default(scopes: list[str]) -> tuple[Any, str]:
        assert scopes == [PLATFORM]
        return credentials, "home-project"

    monkeypatch.setattr(google.auth, "default", default)
    return credentials


def credentials_of(client: Any) -> Any:
    return client._credentials  # noqa: SLF001 - Google's clients have no public name for it


def test_an_anonymous_connection_reaches_the_emulators(
    connect: Connect, bigquery: BigQuery, dataset: str, gcs: Gcs
) -> None:
    bucket = gcs.make_bucket()
    connect(is_anonymous=True, project="test")
    client = bigquery_client(location="US")
    assert (client.project, client.location) == ("test", "US")
    assert client.get_dataset(dataset).dataset_id == dataset
    storage_client().bucket(bucket.name).blob("a").upload_from_string("1")
    assert [blob.name for blob in bucket.list_blobs()] == ["a"]
    assert bigquery.client.project == "test"


@pytest.mark.parametrize("anonymous", [True, "true", "True"])
def test_fields_with_the_old_form_prefix_are_read(connect: Connect, anonymous: object) -> None:
    connect(
        extra__google_cloud_platform__is_anonymous=anonymous,
        extra__google_cloud_platform__project="old",
        project="",
    )
    assert bigquery_client().project == "old"
    assert isinstance(credentials_of(bigquery_client()), AnonymousCredentials)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("as_text", [True, False])
def test_a_key_in_the_connection_is_used(
    connect: Connect, key: dict[str, str], make: Callable[..., Any], as_text: bool
) -> None:
    client = make(connect("mine", keyfile_dict=json.dumps(key) if as_text else key))
    assert credentials_of(client).service_account_email == ROBOT
    assert client.project == "key-project"
    other = make(connect("mine", keyfile_dict=key, project="other"))
    assert other.project == "other"


def test_a_key_pasted_into_an_old_form_is_used(connect: Connect, key: dict[str, str]) -> None:
    pasted = key | {"private_key": key["private_key"].replace("\n", "\\n")}
    client = bigquery_client(connect(keyfile_dict=pasted))
    assert credentials_of(client).service_account_email == ROBOT


def test_a_key_in_a_file_is_used(connect: Connect, key: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    client = bigquery_client(connect(key_path=str(path)))
    assert credentials_of(client).service_account_email == ROBOT


def test_scopes_of_the_connection_are_used(connect: Connect, key: dict[str, str]) -> None:
    assert credentials_of(storage_client(connect(keyfile_dict=key))).scopes
    client = storage_client(connect(keyfile_dict=key, scope="https://a/x, https://a/y"))
    assert {"https://a/x", "https://a/y"} <= set(credentials_of(client).scopes)


@pytest.mark.parametrize(
    ("parameter", "extra", "principal", "delegates"),
    [
        ("boss@p", None, "boss@p", []),
        (["deputy@p", "boss@p"], None, "boss@p", ["deputy@p"]),
        (("deputy@p", "boss@p"), None, "boss@p", ["deputy@p"]),
        ("['deputy@p', 'boss@p']", None, "boss@p", ["deputy@p"]),
        ("deputy@p, boss@p", None, "boss@p", ["deputy@p"]),
        (None, "deputy@p, boss@p", "boss@p", ["deputy@p"]),
        ("boss@p", "other@p", "boss@p", []),
    ],
)
@pytest.mark.parametrize("make", MAKERS)
def test_impersonation_chain_is_used(
    connect: Connect,
    key: dict[str, str],
    make: Callable[..., Any],
    *,
    parameter: Any,
    extra: str | None,
    principal: str,
    delegates: list[str],
) -> None:
    client = make(connect(keyfile_dict=key, impersonation_chain=extra), parameter)
    credentials = credentials_of(client)
    assert credentials.service_account_email == principal
    assert credentials._delegates == delegates  # noqa: SLF001 - there is no public name for it
    assert credentials._source_credentials.service_account_email == ROBOT  # noqa: SLF001 - as above
    assert client.project == "key-project"


@pytest.mark.parametrize("make", MAKERS)
def test_impersonation_uses_the_project_of_the_impersonated_account(
    connect: Connect, key: dict[str, str], make: Callable[..., Any]
) -> None:
    assert make(connect(keyfile_dict=key), BOSS).project == "head-office"
    assert make(connect(keyfile_dict=key, project="mine"), BOSS).project == "mine"
    # The address of a default service account does not name its project.
    compute = "1234-compute@developer.gserviceaccount.com"
    assert make(connect(keyfile_dict=key), compute).project == "key-project"


@pytest.mark.parametrize("chain", [None, BOSS])
@pytest.mark.parametrize("make", MAKERS)
def test_quota_project_is_used(
    connect: Connect, key: dict[str, str], make: Callable[..., Any], chain: str | None
) -> None:
    client = make(connect(keyfile_dict=key, quota_project_id="payer"), chain)
    assert credentials_of(client).quota_project_id == "payer"
    assert credentials_of(make(connect(keyfile_dict=key), chain)).quota_project_id is None


def test_quota_project_is_refused_where_the_credentials_do_not_support_it(
    connect: Connect, default_credentials: Any
) -> None:
    assert not hasattr(default_credentials, "with_quota_project")
    with pytest.raises(
        InvalidArgumentError, match="has quota_project_id, which AnonymousCredentials"
    ):
        bigquery_client(connect(project="mine", quota_project_id="payer"))


@pytest.mark.parametrize("make", MAKERS)
def test_application_default_credentials_are_found(
    connect: Connect,
    key: dict[str, str],
    make: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    client = make(connect())
    assert credentials_of(client).service_account_email == ROBOT
    assert credentials_of(client).scopes
    assert client.project == "key-project"
    assert make(connect(project="mine")).project == "mine"
    assert credentials_of(make(connect(), BOSS)).service_account_email == BOSS


def test_a_broken_default_key_is_not_shown(
    connect: Connect, key: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    secret = key["private_key"].splitlines()[5]
    cut = key | {"private_key": key["private_key"][:-300]}
    for broken in (json.dumps(cut), json.dumps(key)[:-40] + secret, json.dumps({"a": secret})):
        path.write_text(broken)
        with pytest.raises(
            AuthenticationError, match=r"default credentials .*key\.json"
        ) as refused:
            bigquery_client(connect())
        assert secret not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("make", MAKERS)
def test_default_credentials_are_used_without_a_connection(
    no_connection: None, default_credentials: Any, make: Callable[..., Any]
) -> None:
    del no_connection
    client = make()
    assert credentials_of(client) is default_credentials
    assert client.project == "home-project"


def test_the_project_of_a_connection_without_a_key_is_used(
    connect: Connect, default_credentials: Any
) -> None:
    client = bigquery_client(connect(project="mine"))
    assert credentials_of(client) is default_credentials
    assert client.project == "mine"


@pytest.mark.usefixtures("no_connection")
def test_a_named_connection_must_exist() -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException

    with pytest.raises(AirflowNotFoundException, match="mine"):
        bigquery_client("mine")


@pytest.mark.parametrize(
    "name",
    [
        "key_secret_name",
        "key_secret_project_id",
        "credential_config_file",
        "idp_issuer_url",
        "client_id",
        "client_secret",
        "idp_extra_parameters",
        "idp_extra_params",
    ],
)
@pytest.mark.parametrize("prefix", ["", "extra__google_cloud_platform__"])
@pytest.mark.parametrize("make", MAKERS)
def test_a_field_that_needs_the_provider_is_refused_by_name(
    connect: Connect, make: Callable[..., Any], name: str, prefix: str
) -> None:
    conn_id = connect("mine", **{f"{prefix}{name}": "hush", "is_anonymous": True})
    with pytest.raises(InvalidArgumentError, match=f"Connection 'mine' has {name}") as refused:
        make(conn_id)
    assert "airflow-provider-engagement[google]" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_contradicting_fields_are_refused(connect: Connect, key: dict[str, str]) -> None:
    with pytest.raises(InvalidArgumentError, match="both keyfile_dict and key_path"):
        bigquery_client(connect(keyfile_dict=key, key_path="/key.json"))
    for name, value in (("keyfile_dict", key), ("key_path", "/key.json")):
        with pytest.raises(InvalidArgumentError, match=f"is anonymous, and has {name}"):
            storage_client(connect(is_anonymous=True, **{name: value}))
    with pytest.raises(
        InvalidArgumentError, match="is anonymous, and boss@p is to be impersonated"
    ):
        bigquery_client(connect(is_anonymous=True), "boss@p")
    with pytest.raises(InvalidArgumentError, match="has no project"):
        bigquery_client(connect(is_anonymous=True))


@pytest.mark.parametrize("broken", ["text", "cut", "list", "nothing"])
def test_a_broken_key_is_not_shown(
    connect: Connect,
    key: dict[str, str],
    broken: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = key["private_key"].splitlines()[5]
    broken_key: Any = {
        "text": json.dumps(key)[:-40] + secret,
        "cut": key | {"private_key": key["private_key"][:-300]},
        "list": json.dumps([secret]),
        "nothing": {"client_email": ROBOT, "comment": secret},
    }[broken]
    with pytest.raises(AuthenticationError, match="keyfile_dict of connection 'mine'") as refused:
        bigquery_client(connect("mine", keyfile_dict=broken_key))
    shown = "".join(traceback.format_exception(refused.value)) + caplog.text
    assert secret not in shown
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("broken", ["text", "cut", "bytes"])
def test_a_broken_key_file_is_not_shown(
    connect: Connect, key: dict[str, str], broken: str, tmp_path: Path
) -> None:
    secret = key["private_key"].splitlines()[5]
    path = tmp_path / "key.json"
    content = {
        "text": (json.dumps(key)[:-40] + secret).encode(),
        "cut": json.dumps(key | {"private_key": key["private_key"][:-300]}).encode(),
        "bytes": secret.encode() + bytes(range(128, 256)),
    }
    path.write_bytes(content[broken])
    with pytest.raises(AuthenticationError, match="key_path of connection 'mine'") as refused:
        storage_client(connect("mine", key_path=str(path)))
    assert secret not in "".join(traceback.format_exception(refused.value))


def test_a_missing_key_file_is_reported(connect: Connect, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"key_path .* \(FileNotFoundError\)"):
        storage_client(connect(key_path=str(tmp_path / "none.json")))


def test_missing_credentials_are_reported(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def default(scopes: list[str]) -> None:
        del scopes
        raise DefaultCredentialsError("There are none.")

    monkeypatch.setattr(google.auth, "default", default)
    with pytest.raises(
        AuthenticationError, match=r"default credentials .*: There are none\. Set keyfile_dict"
    ):
        bigquery_client(connect())


@pytest.mark.parametrize(
    ("make", "module"),
    [(bigquery_client, "google.cloud.bigquery"), (storage_client, "google.cloud.storage")],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Callable[..., Any], module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        InvalidArgumentError, match=r"airflow-provider-engagement\[bigquery\]"
    ) as refused:
        make()
    assert module.replace(".", "-") in str(refused.value)
    assert isinstance(refused.value, EngagementError)


@dataclass
class FakeHook:
    """The part of a Google provider hook that is used here."""

    options: dict[str, Any]

    @property
    def project_id(self) -> str | None:
        return None if self.options["gcp_conn_id"] == "no_project" else "hooked"

    def get_client(self, **options: Any) -> Any:
        return "bigquery client", self.options, options

    def get_conn(self) -> Any:
        return "storage client", self.options


@pytest.fixture
def google_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the Google provider; tests/with_google uses the real one."""
    hooks = {"bigquery": "BigQueryHook", "gcs": "GCSHook"}
    names = ["", ".cloud", ".cloud.hooks", *(f".cloud.hooks.{name}" for name in hooks)]
    for name in names:
        module = ModuleType(f"airflow.providers.google{name}")
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    for name, kind in hooks.items():
        module = sys.modules[f"airflow.providers.google.cloud.hooks.{name}"]
        monkeypatch.setattr(module, kind, lambda **options: FakeHook(options), raising=False)


@pytest.mark.usefixtures("google_provider")
def test_hooks_of_the_google_provider_make_the_clients() -> None:
    options = {"gcp_conn_id": "mine", "impersonation_chain": ["boss@p"]}
    client: Any = bigquery_client("mine", ["boss@p"], "EU")
    assert client == (
        "bigquery client",
        {**options, "location": "EU", "use_legacy_sql": False},
        {"project_id": "hooked", "location": "EU"},
    )
    client = storage_client("mine", ["boss@p"])
    assert client == ("storage client", options)
    client = storage_client("mine", "deputy@p, boss@p")
    assert client[1]["impersonation_chain"] == ["deputy@p", "boss@p"]
    client = storage_client("mine", "")
    assert client[1]["impersonation_chain"] is None


@pytest.mark.usefixtures("google_provider")
def test_hooks_of_the_google_provider_need_a_project() -> None:
    with pytest.raises(InvalidArgumentError, match="'no_project' has no project"):
        bigquery_client("no_project")
    assert storage_client("no_project")


def test_importing_the_module_loads_no_google_package() -> None:
    code = (
        "import sys, airflow_provider_engagement.hooks.google;"
        "print([name for name in sys.modules if name.startswith(('google', 'airflow.'))])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)  # noqa: S603 - our own code
    assert ran.stdout.strip() == b"[]"
