"""A deadline for a whole HTTP exchange: when it is over, the connection is cut.

The timeouts of sockets apply to each read. A service that sends a byte now and then could prolong
a request without an end, in its headers as well as in its body.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DeadlineAdapter", "RequestDeadline", "request_deadline"]

_THREAD = threading.local()


class RequestDeadline:
    """Cuts the connection that it is given, once the time is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def attach(self, connected: socket.socket) -> None:
        """Cut this connection at the deadline."""
        with self._lock:
            self._socket = connected
            if self.is_over:
                self._cut()

    def expire(self) -> None:
        """Cut the connection, or the one that is attached later."""
        with self._lock:
            self.is_over = True
            self._cut()

    def _cut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # it may have just been closed
                # Not SSLSocket's own, which would end TLS while another thread reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


@contextlib.contextmanager
def request_deadline(seconds: float) -> Iterator[RequestDeadline]:
    """Set a deadline for what this thread sends through a :class:`DeadlineAdapter`.

    :param seconds: until when the whole response must be there.
    """
    deadline = RequestDeadline()
    timer = threading.Timer(seconds, deadline.expire)
    timer.daemon = True
    timer.start()
    _THREAD.deadline = deadline
    try:
        yield deadline
    finally:
        _THREAD.deadline = None
        timer.cancel()


class _WithDeadline:
    """Attaches its socket to the thread's deadline when it waits for the response."""

    sock: Any

    def getresponse(self) -> Any:
        """Wait for the response's head."""
        deadline = getattr(_THREAD, "deadline", None)
        if deadline is not None and self.sock is not None:
            deadline.attach(self.sock)
        return super().getresponse()  # type: ignore[misc]  # of the connection it is mixed into


@functools.cache
def _pool_with_deadline(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Derive a pool whose connections have deadlines; pools of SOCKS proxies have their own."""
    connection = type(pool.ConnectionCls.__name__, (_WithDeadline, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _set_deadlines(manager: Any) -> None:
    pools = getattr(manager, "pool_classes_by_scheme", None) or {
        "http": HTTPConnectionPool,
        "https": HTTPSConnectionPool,
    }
    manager.pool_classes_by_scheme = {
        scheme: pool if issubclass(pool.ConnectionCls, _WithDeadline) else _pool_with_deadline(pool)
        for scheme, pool in pools.items()
    }


class DeadlineAdapter(HTTPAdapter):
    """Sends through connections that :func:`request_deadline` can cut, also through a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _set_deadlines(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Return the manager of connections through a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        _set_deadlines(manager)
        return manager
