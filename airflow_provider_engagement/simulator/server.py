"""The HTTP server: HTTP/1.1 with keep-alive, one thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, cast

from airflow_provider_engagement.simulator import error_responses
from airflow_provider_engagement.simulator.faults import Faults
from airflow_provider_engagement.simulator.service import Reply, Request, Service
from airflow_provider_engagement.simulator.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.simulator.request_log import Received
    from airflow_provider_engagement.simulator.world import World

__all__ = ["Simulator"]

_MAX_BODY: Final = 1_000_000
_WILDCARDS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


class Simulator:
    """A local stand-in for the Engagement API.

    ::

        world = World(seed=7, accounts=("acme",))
        with Simulator(world) as simulator:
            connection = simulator.connection("acme")

    :param world: the Tweets and their counts.
    :param host: the address to listen on.
    :param port: the port; 0 takes a free one.
    :param requests_per_minute: the contract's limit: one number for every endpoint, or a number
        per endpoint. None means no limit, and no headers about one.
    :param latency: the seconds that a response to a POST takes; can be changed at any time.
    :param faults: the faults; ``simulator.faults`` can be changed at any time.
    :param app_enabled: whether X has enabled the app; if not, every request is refused.
    :param require_gzip: refuse a request that does not accept gzip, as the service does.
    :param sends_reset: send ``x-per-minute-reset``.
    :param minute: the seconds of the contract's minute, for tests that cannot wait.
    :param keep: how many of the latest requests ``simulator.requests`` holds.
    """

    def __init__(
        self,
        world: World,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        requests_per_minute: int | Mapping[str, int] | None = None,
        latency: float = 0.0,
        faults: Faults | None = None,
        app_enabled: bool = True,
        require_gzip: bool = True,
        sends_reset: bool = True,
        minute: int = 60,
        keep: int = 10_000,
    ) -> None:
        self.world = world
        self.latency = latency
        self._host, self._port = host, port
        self._service = Service(
            world,
            Throttle(requests_per_minute, minute),
            faults or Faults(),
            app_enabled=app_enabled,
            require_gzip=require_gzip,
            sends_reset=sends_reset,
            keep=keep,
        )
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, and answer in threads.

        :raises OSError: if the address cannot be used.
        """
        if self._server is not None:
            msg = "The simulator is already running."
            raise RuntimeError(msg)
        try:
            self._server = _Server(self, self._service, (self._host, self._port))
        except OSError as error:
            why = f"cannot listen on {self._host}:{self._port}: {error.strerror}"
            raise OSError(error.errno, why) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="simulator", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, close all connections and wait for the threads."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.close_all()
        self._server = self._thread = None

    @property
    def url(self) -> str:
        """The base URL while it runs."""
        if self._server is None:
            msg = "The simulator is not running: use it in a with statement, or call start()."
            raise RuntimeError(msg)
        host = _WILDCARDS.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_port}"

    @property
    def faults(self) -> Faults:
        """The simulated faults."""
        return self._service.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._service.faults = faults

    @property
    def requests(self) -> list[Received]:
        """The latest requests, in the order of their responses."""
        return list(self._service.request_log.requests)

    def stats(self) -> dict[str, Any]:
        """Return the counts of requests by endpoint and status, of faults, and of requested ids."""
        return self._service.request_log.stats()

    def connection(
        self, account: str, *, user_tokens: bool = True, bearer: bool = True
    ) -> dict[str, Any]:
        """Return the Airflow connection of an account.

        :param account: one of the world's accounts.
        :param user_tokens: include the owner's tokens; without them access is app-only.
        :param bearer: include the bearer token; without it a client must exchange key and secret.
        :returns: the object that ``AIRFLOW_CONN_…`` holds as JSON.
        """
        keys = self.world.credentials(account)
        extra = {"account": account, "oauth2_endpoint": f"{self.url}/oauth2/token"}
        if user_tokens:
            extra["access_token"] = keys["access_token"]
            extra["access_token_secret"] = keys["access_token_secret"]
        if bearer:
            extra["bearer_token"] = keys["bearer_token"]
        return {
            "conn_type": "engagement",
            "host": self.url,
            "login": keys["consumer_key"],
            "password": keys["consumer_secret"],
            "extra": extra,
        }


class _Server(HTTPServer):
    """Serves each connection in a thread, and can close all of them.

    ThreadingHTTPServer waits for open keep-alive connections forever, or leaves them open.
    """

    request_queue_size = 1024
    allow_reuse_address = True

    def __init__(self, simulator: Simulator, service: Service, address: tuple[str, int]) -> None:
        self.simulator = simulator
        self.service = service
        self.stopping = threading.Event()
        self._live: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's method looks up the name of this machine, which can take seconds.
        super(HTTPServer, self).server_bind()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment] # typeshed allows bytes

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="simulator", daemon=True
        )
        with self._lock:
            self._live[thread] = request
        thread.start()

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            # The client may close the connection, or the simulator stop.
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - a bug here must be printed and not end the server
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)
            with self._lock:
                self._live.pop(threading.current_thread(), None)

    def close_all(self) -> None:
        """Close all connections and wait for their threads."""
        self.stopping.set()
        with self._lock:
            live = dict(self._live)
        for connection in live.values():
            with contextlib.suppress(OSError):  # already closed
                connection.shutdown(socket.SHUT_RDWR)
        for thread in live:
            thread.join(timeout=10)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True

    def do_GET(self) -> None:
        """Answer a GET."""
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Print nothing, because the request log has all requests."""

    def _serve(self) -> None:
        server = cast("_Server", self.server)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            body = self._read(headers)
        except error_responses.ErrorResponse as error:
            self.close_connection = True
            unread = Request(self.command, self.path, headers, b"")
            reply = server.service.error_reply(error, unread)
        else:
            reply = server.service.handle(Request(self.command, self.path, headers, body))
        if server.simulator.latency and self.command == "POST":
            server.stopping.wait(server.simulator.latency)
        self._send(reply, server)

    def _read(self, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
            raise error_responses.NO_LENGTH.error()
        if int(length) > _MAX_BODY:
            raise error_responses.TOO_LARGE.error(limit=_MAX_BODY)
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError
        return body

    def _send(self, reply: Reply, server: _Server) -> None:
        if reply.fault == "hang":
            self.close_connection = True
            self.connection.settimeout(server.service.faults.hang_seconds)
            # Ends early if the client closes the connection or the simulator stops.
            with contextlib.suppress(OSError):
                self.connection.recv(1)
            return
        if reply.fault == "truncated":
            self.close_connection = True
        headers = {
            "date": formatdate(usegmt=True),
            "server": "engagement-simulator",
            "content-length": str(len(reply.body)),
            **reply.headers,
        }
        if self.close_connection:
            headers.setdefault("connection", "close")
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        phrase = HTTPStatus(reply.status).phrase
        sent = len(reply.body) // 2 if reply.fault == "truncated" else len(reply.body)
        # In one write, so that the client does not wait for a second packet.
        self.wfile.write(
            f"HTTP/1.1 {reply.status} {phrase}\r\n{head}\r\n".encode() + reply.body[:sent]
        )
