"""Google clients from Airflow connections.

Where the Google provider is installed, its hooks read the connection. Where it is not, this module
reads it and uses google-auth. A field that google-auth cannot honour is refused by name, because
ignoring a key would mean writing as another account.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError
from airflow_provider_engagement.collections.parsing import parse_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.cloud.bigquery import Client as BigQueryClient
    from google.cloud.storage import Client as StorageClient

__all__ = ["DEFAULT_CONN_ID", "bigquery_client", "storage_client"]

DEFAULT_CONN_ID: Final = "google_cloud_default"

_PLATFORM_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_PROVIDER: Final = "airflow.providers.google"
_OLD_PREFIX: Final = "extra__google_cloud_platform__"

# Extras of a Google connection that select the identity and need code of the Google provider. A
# test compares these, and the extras that are honoured, with the provider's own list.
_NEEDS_PROVIDER: Final = (
    "key_secret_name",
    "key_secret_project_id",
    "credential_config_file",
    "idp_issuer_url",
    "client_id",
    "client_secret",
    "idp_extra_parameters",
    "idp_extra_params",
)

# A service account's address names its project.
_ACCOUNT_PROJECT: Final = re.compile(r"[^@]+@([a-z0-9-]+)\.iam\.gserviceaccount\.com")


def bigquery_client(
    gcp_conn_id: str = DEFAULT_CONN_ID,
    impersonation_chain: str | Sequence[str] | None = None,
    location: str | None = None,
) -> BigQueryClient:
    """Return a BigQuery client. Google's code reads ``BIGQUERY_EMULATOR_HOST``.

    :param gcp_conn_id: the connection. Without the Google provider the default connection need not
        exist; application default credentials are used then.
    :param impersonation_chain: the service account to act as, or a chain of accounts that ends in
        it: a list, or the text that a template renders a list to.
    :param location: where jobs run unless they name a location.
    :raises InvalidArgumentError: if a package is missing, or the connection has a field that only
        the Google provider can honour.
    :raises AuthenticationError: if there are no credentials, or they cannot be read.
    """
    if _has_provider():
        return _provider_bigquery_client(gcp_conn_id, _chain(impersonation_chain), location)
    try:
        from google.cloud.bigquery import Client
    except ImportError as error:
        raise _missing("google-cloud-bigquery") from error
    access = _access(gcp_conn_id, impersonation_chain)
    return Client(
        project=_required_project(access.project, gcp_conn_id),
        credentials=access.credentials,
        location=location,
    )


def _provider_bigquery_client(
    gcp_conn_id: str, chain: list[str], location: str | None
) -> BigQueryClient:
    hook = _load(f"{_PROVIDER}.cloud.hooks.bigquery").BigQueryHook(
        gcp_conn_id=gcp_conn_id,
        impersonation_chain=chain or None,
        location=location,
        use_legacy_sql=False,
    )
    project = _required_project(hook.project_id, gcp_conn_id)
    return cast("BigQueryClient", hook.get_client(project_id=project, location=location))


def storage_client(
    gcp_conn_id: str = DEFAULT_CONN_ID,
    impersonation_chain: str | Sequence[str] | None = None,
) -> StorageClient:
    """Return a storage client. Google's code reads ``STORAGE_EMULATOR_HOST``.

    :param gcp_conn_id: as for :func:`bigquery_client`.
    :param impersonation_chain: as for :func:`bigquery_client`.
    :raises InvalidArgumentError: if a package is missing, or the connection has a field that only
        the Google provider can honour.
    :raises AuthenticationError: if there are no credentials, or they cannot be read.
    """
    if _has_provider():
        hook = _load(f"{_PROVIDER}.cloud.hooks.gcs").GCSHook(
            gcp_conn_id=gcp_conn_id, impersonation_chain=_chain(impersonation_chain) or None
        )
        return cast("StorageClient", hook.get_conn())
    try:
        from google.cloud.storage import Client
    except ImportError as error:
        raise _missing("google-cloud-storage") from error
    access = _access(gcp_conn_id, impersonation_chain)
    # Bucket names are global: only creating a bucket needs a project.
    return Client(project=access.project or "none", credentials=access.credentials)


@dataclass(frozen=True, slots=True)
class _Access:
    credentials: Any
    project: str | None


def _has_provider() -> bool:
    try:
        return importlib.util.find_spec(_PROVIDER) is not None
    except ModuleNotFoundError:
        return False


def _required_project(project: str | None, conn_id: str) -> str:
    if project:
        return project
    message = f"Connection {conn_id!r} has no project, so BigQuery jobs have no project to run in."
    raise InvalidArgumentError(message, advice="Set its extra 'project'.")


def _access(conn_id: str, impersonation_chain: str | Sequence[str] | None) -> _Access:
    extra = _extra(conn_id)
    _refuse_provider_fields(conn_id, extra)
    chain = _chain(impersonation_chain) or _chain(_field(extra, "impersonation_chain"))
    if str(_field(extra, "is_anonymous")).lower() == "true":
        return _anonymous(conn_id, extra, chain)
    scopes = _texts(_field(extra, "scope"), name="scope") or [_PLATFORM_SCOPE]
    access = _from_key(conn_id, extra, scopes) or _by_default(conn_id, scopes)
    if chain:
        access = _impersonated(access, chain, scopes)
    credentials = _with_quota_project(conn_id, extra, access.credentials)
    return _Access(credentials, _field(extra, "project") or access.project)


def _refuse_provider_fields(conn_id: str, extra: Mapping[str, Any]) -> None:
    refused = [name for name in _NEEDS_PROVIDER if _field(extra, name)]
    if refused:
        message = f"Connection {conn_id!r} has {', '.join(refused)}, which needs more than"
        raise InvalidArgumentError(
            f"{message} google-auth.",
            advice="Install the Google provider: "
            "pip install 'airflow-provider-engagement[google]'.",
        )


def _anonymous(conn_id: str, extra: Mapping[str, Any], chain: list[str]) -> _Access:
    keys = [name for name in ("keyfile_dict", "key_path") if _field(extra, name)]
    if keys:
        message = f"Connection {conn_id!r} is anonymous, and has {keys[0]}."
        raise InvalidArgumentError(message, advice="Leave one of the two out.")
    if chain:
        message = f"Connection {conn_id!r} is anonymous, and {chain[-1]} is to be impersonated."
        raise InvalidArgumentError(
            message,
            advice="Anonymous credentials cannot impersonate: leave one of the two out.",
        )
    return _Access(
        _load("google.auth.credentials").AnonymousCredentials(), _field(extra, "project")
    )


def _extra(conn_id: str) -> Mapping[str, Any]:
    """Return a connection's extra; empty where the default connection does not exist.

    ``extra_dejson`` is not used, because it reads text that is not JSON as an empty extra.
    """
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    try:
        text = BaseHook.get_connection(conn_id).extra
    except AirflowNotFoundException:
        if conn_id != DEFAULT_CONN_ID:
            raise
        return {}
    try:
        extra = json.loads(text or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        message = f"Connection {conn_id!r}: its extra is not a JSON object."
        raise InvalidArgumentError(message, advice="Write it as a JSON object.")
    return extra


def _field(extra: Mapping[str, Any], name: str) -> Any:
    """Return a field by its name, or by the prefixed name that older Airflow forms stored."""
    value = extra.get(name)
    return extra.get(_OLD_PREFIX + name) if value in (None, "") else value


def _chain(value: object) -> list[str]:
    return _texts(value, name="impersonation_chain")


def _texts(value: object, *, name: str) -> list[str]:
    return [str(each) for each in parse_list(value, name=name)] if value else []


def _from_key(conn_id: str, extra: Mapping[str, Any], scopes: list[str]) -> _Access | None:
    """Return the access of the connection's service account key; None without a key."""
    from google.auth.exceptions import GoogleAuthError

    key, path = _field(extra, "keyfile_dict"), _field(extra, "key_path")
    if not key and not path:
        return None
    if key and path:
        message = f"Connection {conn_id!r} has both keyfile_dict and key_path."
        raise InvalidArgumentError(message, advice="Leave one of them out.")
    name = "keyfile_dict" if key else "key_path"
    account = _load("google.oauth2.service_account").Credentials
    try:
        if key:
            credentials = account.from_service_account_info(_key_info(key), scopes=scopes)
        else:
            credentials = account.from_service_account_file(path, scopes=scopes)
    except (OSError, ValueError, KeyError, TypeError, GoogleAuthError) as error:
        # The parser's message, and the chain of causes, may quote the key.
        message = f"The service account key in {name} of connection {conn_id!r} cannot be read"
        raise AuthenticationError(
            f"{message} ({type(error).__name__}).",
            advice="Use the whole JSON key, as Google Cloud created it.",
        ) from None
    return _Access(credentials, credentials.project_id)


def _key_info(key: Any) -> dict[str, Any]:
    """Return a key as google-auth reads it, and have Airflow mask it."""
    from airflow_provider_engagement.compat import mask_secret

    info = dict(json.loads(key) if isinstance(key, str) else key)
    # Keys that were pasted into older forms have the two characters \n for each line break.
    info["private_key"] = str(info["private_key"]).replace("\\n", "\n")
    mask_secret(info["private_key"])
    return info


def _by_default(conn_id: str, scopes: list[str]) -> _Access:
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, project = _load("google.auth").default(scopes=scopes)
    except DefaultCredentialsError as error:
        message = (
            f"Connection {conn_id!r} has no key, and application default credentials cannot be"
        )
        advice = (
            "Set keyfile_dict or key_path in the connection, or run where application default "
            "credentials exist. Against an emulator, set the extra is_anonymous."
        )
        raise AuthenticationError(f"{message} used: {error}", advice=advice) from error
    return _Access(credentials, project)


def _impersonated(source: _Access, chain: list[str], scopes: list[str]) -> _Access:
    credentials = _load("google.auth.impersonated_credentials").Credentials(
        source_credentials=source.credentials,
        target_principal=chain[-1],
        delegates=chain[:-1],
        target_scopes=scopes,
    )
    # Use (and bill) the impersonated account's project, as the provider's hooks do.
    account = _ACCOUNT_PROJECT.fullmatch(chain[-1])
    return _Access(credentials, account[1] if account else source.project)


def _with_quota_project(conn_id: str, extra: Mapping[str, Any], credentials: Any) -> Any:
    """Bill quota to the project that the connection names, if it names one."""
    quota_project = _field(extra, "quota_project_id")
    if not quota_project:
        return credentials
    try:
        return credentials.with_quota_project(quota_project)
    except AttributeError:
        kind = type(credentials).__name__
        message = f"Connection {conn_id!r} has quota_project_id, which {kind} does not support."
        raise InvalidArgumentError(message, advice="Leave it out.") from None


def _load(module: str) -> Any:
    """Import a module that is optional or has no types."""
    return importlib.import_module(module)


def _missing(package: str) -> InvalidArgumentError:
    message = f"{package} is not installed."
    return InvalidArgumentError(
        message, advice="pip install 'airflow-provider-engagement[bigquery]'"
    )
