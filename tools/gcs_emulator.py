"""Runs the GCS emulator on a port that the system chooses, and prints it.

Its own command line takes a port, says nothing of the one that it gets, and hangs where the port
is taken. Runs in ``.venv/emulators``: ``python gcs_emulator.py FOLDER``.
"""

from __future__ import annotations

import signal
import sys
from http import HTTPStatus
from http.server import HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gcp_storage_emulator import (  # type: ignore[import-not-found] # another environment
    server as emulator,
)
from gcp_storage_emulator.storage import (  # type: ignore[import-not-found] # another environment
    Storage,
)


class _PreconditionFailedError(Exception):
    """The object is not of the generation that the request names."""


class _Storage(Storage):  # type: ignore[misc] # another environment
    """A storage that honours ``ifGenerationMatch``, which the emulator ignores.

    It is called by one thread, so that nothing happens between the comparison and the write.
    """

    method: str = ""
    required: str | None = None
    """The method of the request being handled, and the generation that it requires."""

    def create_file(self, bucket: str, name: str, *content: Any) -> None:
        self._check(bucket, name)
        super().create_file(bucket, name, *content)

    def delete_file(self, bucket: str, name: str) -> None:
        self._check(bucket, name)
        super().delete_file(bucket, name)

    def get_file(self, bucket: str, name: str, show_error: bool = True) -> bytes:  # noqa: FBT002 - the emulator's signature
        if self.method == "GET":  # an upload in several requests reads its own beginning
            self._check(bucket, name)
        content: bytes = super().get_file(bucket, name, show_error)
        return content

    def _check(self, bucket: str, name: str) -> None:
        current = self.objects.get(bucket, {}).get(name, {}).get("generation", "0")
        if self.required not in {None, current}:
            raise _PreconditionFailedError


class _Router(emulator.Router):  # type: ignore[misc] # another environment
    """Hands the condition of a request to the storage, and answers 412 where it fails."""

    def handle(self, method: str) -> None:
        handler = self._request_handler
        query = parse_qs(urlsplit(handler.path).query)
        handler.storage.method = method
        handler.storage.required = query.get("ifGenerationMatch", [None])[0]
        try:
            super().handle(method)
        except _PreconditionFailedError:
            handler.send_response(HTTPStatus.PRECONDITION_FAILED)
            handler.send_header("Content-Length", "0")
            handler.end_headers()


def main(folder: str) -> None:
    """Serve the folder that ``$STORAGE_DIR`` names in this one, until killed."""
    # With the default of 5 the client's many connections wait for a second.
    HTTPServer.request_queue_size = 128
    # The emulator would save its state after each change, for a restart that does not happen.
    Storage._write_config_to_file = lambda _: None  # noqa: SLF001 - no setting says so
    emulator.Storage, emulator.Router = _Storage, _Router
    server = emulator.create_server("127.0.0.1", 0, data_dir=folder)
    server.start()
    print("listening on", server._api._httpd.server_port, flush=True)  # noqa: SLF001 - the only way
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1])
