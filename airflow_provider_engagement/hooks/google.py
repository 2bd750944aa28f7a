"""The one seam to Google: an Airflow connection in, a Google client out.

Where the Google provider is installed, its hooks resolve the connection, as users expect. Where it
is not, the plain clients do, on what google-auth alone can honour. What it cannot is refused by
name, never ignored: a key that is passed over would mean writing as someone else.
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

# Extras of a Google connection that change whom we act as, and that need code which the Google
# provider has. The tests compare these and the ones that are honoured with the provider's own.
_NOT_OURS: Final = (
    "key_secret_name",
    "key_secret_project_id",
    "credential_config_file",
    "idp_issuer_url",
    "client_id",
    "client_secret",
    "idp_extra_parameters",
    "idp_extra_params",
)

# The service account's project, as its address has it.
_HOME: Final = re.compile(r"[^@]+@([a-z0-9-]+)\.iam\.gserviceaccount\.com")


def bigquery_client(
    gcp_conn_id: str = DEFAULT_CONN_ID,
    impersonation_chain: str | Sequence[str] | None = None,
    location: str | None = None,
) -> BigQueryClient:
    """Make a BigQuery client. ``BIGQUERY_EMULATOR_HOST`` is read by Google's own code.

    :param gcp_conn_id: the connection. Without the Google provider the default one need not
        exist: application default credentials then serve.
    :param impersonation_chain: the service account to act as, or a chain that ends in it: a list,
        or what a template makes of one.
    :param location: where jobs run unless they say otherwise.
    :raises InvalidArgumentError: if a package is missing, or the connection holds what we cannot
        honour.
    :raises AuthenticationError: if there are no credentials, or they cannot be read.
    """
    if _has_provider():
        hook = _load(f"{_PROVIDER}.cloud.hooks.bigquery").BigQueryHook(
            gcp_conn_id=gcp_conn_id,
            impersonation_chain=_chain(impersonation_chain) or None,
            location=location,
            use_legacy_sql=False,
        )
        project = _needed(hook.project_id, gcp_conn_id)
        client = hook.get_client(project_id=project, location=location)
        return cast("BigQueryClient", client)
    try:
        from google.cloud.bigquery import Client
    except ImportError as error:
        raise _missing("google-cloud-bigquery") from error
    access = _access(gcp_conn_id, impersonation_chain)
    return Client(
        project=_needed(access.project, gcp_conn_id),
        credentials=access.credentials,
        location=location,
    )


def storage_client(
    gcp_conn_id: str = DEFAULT_CONN_ID,
    impersonation_chain: str | Sequence[str] | None = None,
) -> StorageClient:
    """Make a storage client. ``STORAGE_EMULATOR_HOST`` is read by Google's own code.

    :param gcp_conn_id: the connection. Without the Google provider the default one need not
        exist: application default credentials then serve.
    :param impersonation_chain: the service account to act as, or a chain that ends in it: a list,
        or what a template makes of one.
    :raises InvalidArgumentError: if a package is missing, or the connection holds what we cannot
        honour.
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
    # Buckets have names of their own: only making one would need a project.
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


def _needed(project: str | None, conn_id: str) -> str:
    if project:
        return project
    message = f"Nothing says which project BigQuery jobs are to run in: connection {conn_id!r}"
    raise InvalidArgumentError(f"{message} has none.", advice="Set its extra 'project'.")


def _access(conn_id: str, impersonation_chain: str | Sequence[str] | None) -> _Access:
    extra = _extra(conn_id)
    refused = [name for name in _NOT_OURS if _field(extra, name)]
    if refused:
        message = f"Connection {conn_id!r} holds {', '.join(refused)}, which needs more than"
        raise InvalidArgumentError(
            f"{message} google-auth.",
            advice="Install the Google provider: "
            "pip install 'airflow-provider-engagement[google]'.",
        )
    chain = _chain(impersonation_chain) or _chain(_field(extra, "impersonation_chain"))
    if str(_field(extra, "is_anonymous")).lower() == "true":
        return _anonymous(conn_id, extra, chain)
    scopes = _texts(_field(extra, "scope"), where="scope") or [_PLATFORM_SCOPE]
    access = _from_key(conn_id, extra, scopes) or _by_default(conn_id, scopes)
    credentials, project = access.credentials, access.project
    if chain:
        credentials = _impersonated(credentials, chain, scopes)
        # As the provider has it: who acts as another works, and pays, in the other's project.
        home = _HOME.fullmatch(chain[-1])
        project = home[1] if home else project
    credentials = _billed(conn_id, extra, credentials)
    return _Access(credentials, _field(extra, "project") or project)


def _anonymous(conn_id: str, extra: Mapping[str, Any], chain: list[str]) -> _Access:
    keys = [name for name in ("keyfile_dict", "key_path") if _field(extra, name)]
    if keys:
        message = f"Connection {conn_id!r} is anonymous, and has {keys[0]}."
        raise InvalidArgumentError(message, advice="Leave one of the two out.")
    if chain:
        message = f"Connection {conn_id!r} is anonymous, and {chain[-1]} is to be impersonated."
        raise InvalidArgumentError(
            message, advice="Nobody can act as another: leave one of the two out."
        )
    return _Access(
        _load("google.auth.credentials").AnonymousCredentials(), _field(extra, "project")
    )


def _extra(conn_id: str) -> Mapping[str, Any]:
    """Read a connection's extra, where there is one.

    Not by ``extra_dejson``: it takes text that is not JSON for an empty extra.
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
        message = f"Connection {conn_id!r}: its extra is no JSON object."
        raise InvalidArgumentError(message)
    return extra


def _field(extra: Mapping[str, Any], name: str) -> Any:
    """Read one field by its name, or by the name that Airflow's form once gave it."""
    value = extra.get(name)
    return extra.get(_OLD_PREFIX + name) if value in (None, "") else value


def _chain(given: object) -> list[str]:
    return _texts(given, where="impersonation_chain")


def _texts(given: object, *, where: str) -> list[str]:
    return [str(each) for each in parse_list(given, name=where)] if given else []


def _from_key(conn_id: str, extra: Mapping[str, Any], scopes: list[str]) -> _Access | None:
    """Read the key that the connection holds or points to, if it does."""
    from airflow.providers.common.compat.sdk import mask_secret
    from google.auth.exceptions import GoogleAuthError

    held, path = _field(extra, "keyfile_dict"), _field(extra, "key_path")
    if not held and not path:
        return None
    if held and path:
        message = f"Connection {conn_id!r} has both keyfile_dict and key_path."
        raise InvalidArgumentError(message, advice="Leave one of them out.")
    name = "keyfile_dict" if held else "key_path"
    account = _load("google.oauth2.service_account").Credentials
    try:
        if held:
            # Keys pasted into old forms carry the two letters \n for every line's end.
            info = dict(json.loads(held) if isinstance(held, str) else held)
            info["private_key"] = str(info["private_key"]).replace("\\n", "\n")
            mask_secret(info["private_key"])
            credentials = account.from_service_account_info(info, scopes=scopes)
        else:
            credentials = account.from_service_account_file(path, scopes=scopes)
    except (OSError, ValueError, KeyError, TypeError, GoogleAuthError) as error:
        # The parser's own words, and so the chain of causes, may quote the key.
        message = f"The service account key in {name} of connection {conn_id!r} cannot be read"
        raise AuthenticationError(
            f"{message} ({type(error).__name__}).",
            advice="It has to be the JSON key that Google Cloud gave out, whole.",
        ) from None
    return _Access(credentials, credentials.project_id)


def _by_default(conn_id: str, scopes: list[str]) -> _Access:
    from google.auth.exceptions import DefaultCredentialsError

    try:
        credentials, project = _load("google.auth").default(scopes=scopes)
    except DefaultCredentialsError as error:
        message = f"Connection {conn_id!r} holds no key, and this machine's default ones cannot be"
        advice = (
            "Give the connection keyfile_dict or key_path, or run where application default "
            "credentials are; against an emulator, set its extra is_anonymous."
        )
        raise AuthenticationError(f"{message} used: {error}", advice=advice) from error
    return _Access(credentials, project)


def _impersonated(source: Any, chain: list[str], scopes: list[str]) -> Any:
    return _load("google.auth.impersonated_credentials").Credentials(
        source_credentials=source,
        target_principal=chain[-1],
        delegates=chain[:-1],
        target_scopes=scopes,
    )


def _billed(conn_id: str, extra: Mapping[str, Any], credentials: Any) -> Any:
    """Let another project than their own pay for what the credentials ask, if one is named."""
    quota_project = _field(extra, "quota_project_id")
    if not quota_project:
        return credentials
    try:
        return credentials.with_quota_project(quota_project)
    except AttributeError:
        kind = type(credentials).__name__
        message = f"Connection {conn_id!r} holds quota_project_id, which {kind} do not know."
        raise InvalidArgumentError(message, advice="Leave it out.") from None


def _load(module: str) -> Any:
    """Import what may be missing here, or says nothing of its types."""
    return importlib.import_module(module)


def _missing(package: str) -> InvalidArgumentError:
    message = f"{package} is not installed."
    return InvalidArgumentError(
        message, advice="pip install 'airflow-provider-engagement[bigquery]'"
    )
