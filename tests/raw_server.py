"""A server that answers one request with given bytes, for what only the wire can show."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def http_response(body: bytes, *headers: str, length: int | None = None) -> bytes:
    """Return the bytes of a response with status 200.

    :param body: the body as it is sent.
    :param headers: further header lines, such as ``Content-Encoding: gzip``.
    :param length: the Content-Length to state, instead of the true one.
    """
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


@contextmanager
def raw_server(chunks: Iterable[bytes]) -> Iterator[str]:
    """Serve one connection; yield the URL.

    :param chunks: sent one after another, then the connection is closed.
    """
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with listening, listening.accept()[0] as connection:
            connection.recv(65536)
            try:
                for chunk in chunks:
                    connection.sendall(chunk)
            except OSError:
                return  # the client closed the connection

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        thread.join()
