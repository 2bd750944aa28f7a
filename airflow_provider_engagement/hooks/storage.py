"""Files by URI: ``gs://`` by google-cloud-storage, all else by Airflow's object storage."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.collection import tweet_ids_from_file
from airflow_provider_engagement.collections.tweet_ids import is_uri, tweet_ids_from_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.cloud.storage import Blob

__all__ = ["open_uri", "put_file", "read_tweet_ids"]

_DEFAULT_GCP_CONN_ID = "google_cloud_default"

# Not as urllib reads a URL: the name of a file or object may hold a question mark or a hash.
_URI: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*):(?://([^/]*))?)?(.*)", re.IGNORECASE | re.DOTALL)


def read_tweet_ids(
    value: object,
    *,
    id_column: str | None = None,
    gcp_conn_id: str | None = None,
    impersonation_chain: str | Sequence[str] | None = None,
) -> list[str]:
    """Read the ids that the parameter ``tweet_ids`` stands for, each once, in their first order.

    :param value: the ids, in any form that a template renders them to; or the URI of a file of ids.
    :param id_column: which column of a table holds the ids; None to go by the known names.
    :param gcp_conn_id: the Google connection for ``gs://``, where the URI names none.
    :param impersonation_chain: the service accounts to impersonate by that connection.
    :raises InvalidArgumentError: if a value is not an id, or the file cannot be read.
    """
    if not is_uri(value):
        return tweet_ids_from_value(value, id_column=id_column)
    uri = str(value).strip()
    try:
        with open_uri(
            uri, gcp_conn_id=gcp_conn_id, impersonation_chain=impersonation_chain
        ) as file:
            return tweet_ids_from_file(file, name=uri, id_column=id_column)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"tweet_ids: {error.message}", advice=error.advice) from None


@contextlib.contextmanager
def open_uri(
    uri: str,
    *,
    gcp_conn_id: str | None = None,
    impersonation_chain: str | Sequence[str] | None = None,
) -> Iterator[IO[bytes]]:
    """Open a file for reading.

    :param uri: such as ``gs://bucket/ids.txt``, ``gs://conn_id@bucket/ids.txt``, ``file:///…``.
    :param gcp_conn_id: the Google connection for ``gs://``, where the URI names none.
    :param impersonation_chain: whom to act as by that connection; one that the URI names decides
        for itself.
    :raises InvalidArgumentError: if there is no such file, or its scheme needs a package that is
        missing.
    """
    with _advised(uri):
        scheme, _, path = _parts(uri)
        if scheme == "gs":
            blob = _blob(uri, gcp_conn_id, impersonation_chain)
            # Whether it exists is asked first: a stream says so only when it is read.
            if not blob.exists():
                raise FileNotFoundError(uri)
            opened = blob.open("rb")
        elif scheme == "file":
            opened = Path(path).open("rb")  # noqa: SIM115 - closed below
        else:
            opened = _path(uri).open("rb")
    with opened as file:
        yield file


def put_file(source: Path, uri: str, *, gcp_conn_id: str | None = None) -> None:
    """Put a file of this machine in place, whole or not at all.

    :param source: the file.
    :param uri: where to.
    :param gcp_conn_id: the Google connection for ``gs://``, where the URI names none.
    :raises InvalidArgumentError: if the place does not exist, or its scheme needs a package that
        is missing.
    """
    with _advised(uri):
        scheme, _, path = _parts(uri)
        if scheme == "gs":
            _blob(uri, gcp_conn_id).upload_from_filename(str(source))
        elif scheme == "file":
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.{os.getpid()}.part")
            shutil.copyfile(source, beside)
            beside.replace(target)
        else:
            with source.open("rb") as reading, _path(uri).open("wb") as writing:
                shutil.copyfileobj(reading, writing)


def _blob(
    uri: str, gcp_conn_id: str | None, impersonation_chain: str | Sequence[str] | None = None
) -> Blob:
    from airflow_provider_engagement.hooks.google import storage_client

    _, authority, path = _parts(uri)
    user, _, bucket = authority.rpartition("@")
    name = path.lstrip("/")
    if not bucket or not name:
        msg = f"{uri} names no object: it must read gs://bucket/path/to/object."
        raise InvalidArgumentError(msg)
    client = (
        storage_client(user)
        if user
        else storage_client(gcp_conn_id or _DEFAULT_GCP_CONN_ID, impersonation_chain)
    )
    return client.bucket(bucket).blob(name)


def _parts(uri: str) -> tuple[str, str, str]:
    """Take a URI apart: its scheme, what stands before the path, and the path."""
    found = _URI.fullmatch(uri)
    scheme, authority, path = found.groups(default="") if found else ("", "", uri)
    scheme = scheme.lower()
    if not scheme or (scheme == "file" and authority not in {"", "localhost"}):
        fault = f"names the host {authority}" if scheme else "has no scheme"
        path = f"/{authority}{path}" if authority else path
        rooted = path if path.startswith("/") else f"/folder/{path}"
        raise InvalidArgumentError(
            f"{uri} {fault}.",
            advice=f"Write a file of this machine by its path from the root: file://{rooted}.",
        )
    return scheme, authority, path


def _path(uri: str) -> Any:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(uri)


@contextlib.contextmanager
def _advised(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        msg = f"{uri} does not exist."
        raise InvalidArgumentError(msg) from None
    except (IsADirectoryError, NotADirectoryError, PermissionError) as error:
        msg = f"{uri} cannot be opened: {error.strerror}."
        raise InvalidArgumentError(msg) from None
    except ImportError as error:
        msg = f"{uri} cannot be reached: {error}."
        raise InvalidArgumentError(
            msg, advice="Install the Airflow provider or fsspec package for this scheme."
        ) from None
    except ValueError as error:
        if isinstance(error, InvalidArgumentError):
            raise
        msg = f"{uri} cannot be reached: {error}."
        raise InvalidArgumentError(
            msg,
            advice="Install the Airflow provider that brings this scheme, such as "
            "apache-airflow-providers-amazon for s3.",
        ) from None
