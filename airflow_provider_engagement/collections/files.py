"""Find and open the files that a URI names: one file, a folder, or a pattern."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from google.cloud.storage import Bucket, Client

__all__ = [
    "FileStore",
    "GcsFiles",
    "LocalFiles",
    "expand_uri",
    "is_pattern",
    "split_uri",
    "storage_errors",
]

# Not as urllib reads a URL: the name of a file or object may hold a question mark or a hash.
_URI: Final = re.compile(r"(?:([a-z][a-z0-9+.-]*):(?://([^/]*))?)?(.*)", re.IGNORECASE | re.DOTALL)

# Names that start so are markers and unfinished files, as in Hadoop and in Hive.
_NOT_HIDDEN: Final = r"(?![._])"
_ANY_FOLDERS: Final = rf"(?:{_NOT_HIDDEN}[^/]+/)*"


class FileStore(Protocol):
    """Where files lie."""

    def open(self, uri: str) -> AbstractContextManager[IO[bytes]]:
        """Open a file for reading.

        :param uri: the file's URI.
        """

    def names(self, prefix: str) -> Iterable[str]:
        """Return the URIs of all files whose URI starts so.

        :param prefix: the start, with a slash after the folder or bucket.
        """


def is_pattern(uri: str) -> bool:
    """Return whether a URI names more than one file: a folder, or names with ``*``."""
    return "*" in uri or uri.endswith("/")


def expand_uri(uri: str, store: FileStore) -> list[str]:
    """Return the files that a URI names, in the order of their names.

    In a pattern ``*`` stands for any part of a name, ``**/`` for any folders. A folder stands for
    all files in it and below it. Names that start with ``.`` or ``_`` have to be named.

    :param uri: a file's; a folder's, which ends in a slash; or a pattern.
    :param store: where the files lie.
    :raises InvalidArgumentError: if it names no file.
    """
    if not is_pattern(uri):
        return [uri]
    prefix = uri.partition("*")[0]
    if not split_uri(prefix)[2]:
        raise InvalidArgumentError(f"{uri} has * in the name of its bucket.")
    matches = re.compile(_regex(uri), re.DOTALL).fullmatch
    with storage_errors(uri):
        found = sorted(name for name in store.names(prefix) if matches(name))
    if not found:
        raise InvalidArgumentError(
            f"{uri} matches no file.",
            advice="Names that start with . or _ are left out, unless the pattern names them.",
        )
    return found


def _regex(uri: str) -> str:
    found, before = "", ""
    for part in re.split(r"(\*\*/|\*)", uri + "**/*" if uri.endswith("/") else uri):
        if part == "**/":
            found += _ANY_FOLDERS
        elif part == "*":
            found += (_NOT_HIDDEN if before.endswith("/") else "") + r"[^/]*"
        else:
            found += re.escape(part)
        before = part or before
    return found


def split_uri(uri: str) -> tuple[str, str, str]:
    """Split a URI into its scheme, what stands before the path, and the path.

    :raises InvalidArgumentError: if it has no scheme, or names a host for a file.
    """
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


class LocalFiles:
    """Files of this machine, by ``file:///…``."""

    @contextlib.contextmanager
    def open(self, uri: str) -> Iterator[IO[bytes]]:
        """Open a file for reading.

        :param uri: the file's URI.
        :raises InvalidArgumentError: if it does not exist, or may not be read.
        """
        with storage_errors(uri):
            opened = Path(split_uri(uri)[2]).open("rb")  # noqa: SIM115 - closed below
        with opened as file:
            yield file

    def names(self, prefix: str) -> Iterator[str]:
        """Return the URIs of all files below the folder that a prefix ends in.

        :param prefix: the start of their URIs.
        """
        base = prefix[: prefix.rindex("/") + 1]
        root = split_uri(base)[2]
        if not Path(root).is_dir():
            raise FileNotFoundError(root)
        for folder, _, names in os.walk(root):
            below = "" if folder == root else f"{os.path.relpath(folder, root)}/"
            yield from (f"{base}{below}{name}" for name in names)


class GcsFiles:
    """Objects of Google Cloud Storage, by ``gs://bucket/…``.

    :param client_of: returns the client for what stands before ``@`` in the URI, or for nothing.
    """

    def __init__(self, client_of: Callable[[str], Client]) -> None:
        self._client_of = client_of

    @contextlib.contextmanager
    def open(self, uri: str) -> Iterator[IO[bytes]]:
        """Open an object for reading.

        :param uri: the object's URI.
        :raises InvalidArgumentError: if it does not exist.
        """
        with storage_errors(uri):
            blob = self.blob(uri)
            # A stream would only report it when it is read.
            if not blob.exists():
                raise FileNotFoundError(uri)
            opened = blob.open("rb")
        with opened as file:
            yield file

    def names(self, prefix: str) -> Iterator[str]:
        """Return the URIs of all objects whose URI starts so.

        :param prefix: the start.
        """
        from google.api_core.exceptions import NotFound

        scheme, authority, _ = split_uri(prefix)
        bucket, path = self._bucket(prefix)
        try:
            for blob in bucket.list_blobs(prefix=path):
                if not blob.name.endswith("/"):  # what the console makes for a folder
                    yield f"{scheme}://{authority}/{blob.name}"
        except NotFound:
            raise FileNotFoundError(prefix) from None

    def blob(self, uri: str) -> Any:
        """Return the object that a URI names.

        :raises InvalidArgumentError: if it names none.
        """
        bucket, name = self._bucket(uri)
        if not name:
            msg = f"{uri} names no object: it must read gs://bucket/path/to/object."
            raise InvalidArgumentError(msg)
        return bucket.blob(name)

    def _bucket(self, uri: str) -> tuple[Bucket, str]:
        _, authority, path = split_uri(uri)
        user, _, bucket = authority.rpartition("@")
        if not bucket:
            msg = f"{uri} names no object: it must read gs://bucket/path/to/object."
            raise InvalidArgumentError(msg)
        return self._client_of(user).bucket(bucket), path.removeprefix("/")


@contextlib.contextmanager
def storage_errors(uri: str) -> Iterator[None]:
    """Turn what opening a file raises into an error that says what to do.

    :param uri: the file.
    """
    try:
        yield
    except InvalidArgumentError:
        raise
    except FileNotFoundError:
        msg = f"{uri} does not exist."
        raise InvalidArgumentError(msg) from None
    except IsADirectoryError as error:
        raise InvalidArgumentError(
            f"{uri} cannot be opened: {error.strerror}.",
            advice="To read all files in a folder, end its URI with a slash.",
        ) from None
    except (NotADirectoryError, PermissionError) as error:
        msg = f"{uri} cannot be opened: {error.strerror}."
        raise InvalidArgumentError(msg) from None
    except ImportError as error:
        raise InvalidArgumentError(
            f"{uri} cannot be reached: {error}.",
            advice="Install the Airflow provider or fsspec package for this scheme.",
        ) from None
    except ValueError as error:
        raise InvalidArgumentError(
            f"{uri} cannot be reached: {error}.",
            advice="Install the Airflow provider that brings this scheme, such as "
            "apache-airflow-providers-amazon for s3.",
        ) from None
