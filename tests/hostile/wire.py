"""A server that sends given bytes, instead of the service or in front of it."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_engagement.simulator import Faults
from airflow_provider_engagement.simulator.service import Request, Service
from airflow_provider_engagement.simulator.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_engagement.simulator import World

    Say = Callable[[Request], Iterable[bytes]]


class Wire:
    """Answers each request with the bytes that ``say`` yields for it, then closes the connection.

    An empty chunk is a pause. Sending stops when the client closes the connection.

    :param say: yields the chunks to send; can be replaced at any time.
    """

    def __init__(self, say: Say) -> None:
        self.say = say
        self.requests: list[Request] = []
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client may close the connection
            request = _read(connection)
            self.requests.append(request)
            for chunk in self.say(request):
                if self._stopping.is_set():
                    return
                if chunk:
                    connection.sendall(chunk)
                elif not self._wait(connection):
                    return

    def _wait(self, connection: socket.socket) -> bool:
        """Wait 20 ms, and return whether the client is still connected."""
        connection.settimeout(0.02)
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return True
        finally:
            connection.settimeout(None)


def _read(connection: socket.socket) -> Request:
    with connection.makefile("rb") as stream:
        method, target, _ = stream.readline().decode().split(" ", 2)
        headers: dict[str, str] = {}
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


class Good:
    """Makes good responses, as the service would."""

    def __init__(self, world: World) -> None:
        self._service = Service(world, Throttle(None), Faults())

    def document(self, request: Request) -> dict[str, Any]:
        """Return the object of the good response to a request."""
        reply = self._service.handle(request)
        assert reply.status == 200, gzip.decompress(reply.body)
        document: dict[str, Any] = json.loads(gzip.decompress(reply.body))
        return document

    def say(self, request: Request) -> Iterable[bytes]:
        """Yield the bytes of the service's response, which may be an error."""
        reply = self._service.handle(request)
        head = [f"HTTP/1.1 {reply.status} Said", f"Content-Length: {len(reply.body)}"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        yield "\r\n".join([*head, "Connection: close", "", ""]).encode() + reply.body
