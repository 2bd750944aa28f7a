"""Files by URI: ``gs://`` by google-cloud-storage, all else by Airflow's object storage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.collections.files import (
    GcsFiles,
    LocalFiles,
    split_uri,
    storage_errors,
)
from airflow_provider_engagement.collections.tweet_ids import (
    holds_tweets,
    is_uri,
    tweet_ids_from_value,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from google.cloud.storage import Client

    from airflow_provider_engagement.collections.collection import Collection, CollectionReader
    from airflow_provider_engagement.collections.files import FileStore
    from airflow_provider_engagement.collections.records import Reposts

__all__ = ["AirflowFiles", "put_file", "read_collection", "read_tweet_ids"]

_DEFAULT_GCP_CONN_ID = "google_cloud_default"


def read_tweet_ids(
    value: object,
    *,
    id_column: str | None = None,
    reposts: Reposts = "drop",
    gcp_conn_id: str | None = None,
    impersonation_chain: str | Sequence[str] | None = None,
) -> list[str]:
    """Read the ids that the parameter ``tweet_ids`` stands for, each once, in their first order.

    :param value: the ids, in any form that an upstream or a template passes; or the URI of a file
        of any format that :func:`collections.read_collection` reads, of a folder, or of a pattern.
    :param id_column: which column of a table holds the ids; None to go by the known names.
    :param reposts: ``"drop"`` or ``"keep"`` the ids of reposts.
    :param gcp_conn_id: the Google connection for ``gs://``, where the URI names none.
    :param impersonation_chain: the service accounts to impersonate by that connection.
    :raises InvalidArgumentError: if a value is not an id, or a file cannot be read.
    """
    if not is_uri(value) and not holds_tweets(value):
        return tweet_ids_from_value(value, id_column=id_column or None)
    store = AirflowFiles(gcp_conn_id, impersonation_chain)
    return _read(value, store, id_column, reposts, with_attributes=False).tweet_ids()


def read_collection(
    value: object,
    *,
    id_column: str | None = None,
    reposts: Reposts = "drop",
    gcp_conn_id: str | None = None,
    impersonation_chain: str | Sequence[str] | None = None,
) -> Collection:
    """Read the Tweets that ``tweet_ids`` stands for, and what is known of them.

    The parameters are those of :func:`read_tweet_ids`.

    :raises InvalidArgumentError: if a value is not an id, or a file cannot be read.
    """
    store = AirflowFiles(gcp_conn_id, impersonation_chain)
    return _read(value, store, id_column, reposts, with_attributes=True).collection()


def _read(
    value: object,
    store: FileStore,
    id_column: str | None,
    reposts: Reposts,
    *,
    with_attributes: bool,
) -> CollectionReader:
    from airflow_provider_engagement.collections.reading import read_source
    from airflow_provider_engagement.collections.records import ReadOptions

    options = ReadOptions(id_column=id_column or None, with_attributes=with_attributes)
    try:
        return read_source(value, store=store, options=options, reposts=reposts)
    except InvalidArgumentError as error:
        if error.message.startswith("tweet_ids"):
            raise
        raise InvalidArgumentError(f"tweet_ids: {error.message}", advice=error.advice) from None


class AirflowFiles:
    """Files by Airflow's connections: ``file://``, ``gs://``, and what its object storage reaches.

    :param gcp_conn_id: the Google connection for ``gs://``, where the URI names none.
    :param impersonation_chain: the service accounts to impersonate by that connection.
    """

    def __init__(
        self,
        gcp_conn_id: str | None = None,
        impersonation_chain: str | Sequence[str] | None = None,
    ) -> None:
        self._gcp_conn_id = gcp_conn_id or _DEFAULT_GCP_CONN_ID
        self._impersonation_chain = impersonation_chain
        self._gcs = GcsFiles(self._client)

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading.

        :param uri: such as ``gs://bucket/ids.txt``, ``gs://conn_id@bucket/ids.txt``,
            ``file:///…``.
        :raises InvalidArgumentError: if there is no such file, or its scheme needs a package that
            is missing.
        """
        return self._store(uri).open(uri)

    def names(self, prefix: str) -> Iterable[str]:
        """Return the URIs of all files whose URI starts so.

        :param prefix: the start, with a slash after the folder or bucket.
        """
        return self._store(prefix).names(prefix)

    def put(self, source: Path, uri: str) -> None:
        """Put a file of this machine in place, whole or not at all.

        :param source: the file.
        :param uri: where to.
        :raises InvalidArgumentError: if the place does not exist, or its scheme needs a package
            that is missing.
        """
        with storage_errors(uri):
            scheme, _, path = split_uri(uri)
            if scheme == "gs":
                self._gcs.blob(uri).upload_from_filename(str(source))
            elif scheme == "file":
                _replace(Path(path), source)
            else:
                with source.open("rb") as reading, _path(uri).open("wb") as writing:
                    shutil.copyfileobj(reading, writing)

    def _store(self, uri: str) -> FileStore:
        stores: dict[str, FileStore] = {"gs": self._gcs, "file": LocalFiles()}
        return stores.get(split_uri(uri)[0]) or _ObjectStorage()

    def _client(self, conn_id: str) -> Client:
        from airflow_provider_engagement.hooks.google import storage_client

        # A connection that the URI names decides on impersonation itself.
        if conn_id:
            return storage_client(conn_id)
        return storage_client(self._gcp_conn_id, self._impersonation_chain)


class _ObjectStorage:
    """Files by Airflow's ``ObjectStoragePath``."""

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading."""
        with storage_errors(uri):
            opened: AbstractContextManager[IO[bytes]] = _path(uri).open("rb")
        return opened

    def names(self, prefix: str) -> Iterator[str]:
        """Return the URIs of all files below the folder that a prefix ends in."""
        base = prefix[: prefix.rindex("/") + 1]
        files = _path(base).fs
        root = files._strip_protocol(_without_connection(base)[1])  # noqa: SLF001 - no public method
        for name in files.find(root):
            yield base + str(name).removeprefix(root).lstrip("/")


class _AttachedFile:
    """A file of Airflow's object storage, reached without ``ObjectStoragePath``.

    Airflow 3.0 accepts versions of universal-pathlib that its ``ObjectStoragePath`` cannot use.

    :param uri: the file's URI.
    """

    def __init__(self, uri: str) -> None:
        from airflow.sdk.io.store import attach

        conn_id, self._uri = _without_connection(uri)
        self.fs = attach(split_uri(uri)[0], conn_id).fs

    def open(self, mode: str) -> Any:
        """Open the file."""
        return self.fs.open(self._uri, mode)


def put_file(source: Path, uri: str, *, gcp_conn_id: str | None = None) -> None:
    """Put a file of this machine in place: see :class:`AirflowFiles`."""
    AirflowFiles(gcp_conn_id).put(source, uri)


def _replace(target: Path, source: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.copyfile(source, beside)
    beside.replace(target)


def _path(uri: str) -> Any:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    try:
        return ObjectStoragePath(uri)
    except ValueError as error:
        if "incompatible with ObjectStoragePath" not in str(error):
            raise
    return _AttachedFile(uri)


def _without_connection(uri: str) -> tuple[str | None, str]:
    scheme, authority, path = split_uri(uri)
    conn_id, _, host = authority.rpartition("@")
    return conn_id or None, f"{scheme}://{host}{path}"
