"""A watch on an HTTP exchange: when its time is up, its connection is cut.

Timeouts of sockets are for each read, so that a service that sends a byte now and then could hold
a request for ever, in the middle of its headers as well as of its body.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, ClassVar

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DeadlineAdapter", "RequestDeadline", "request_deadline"]

_THREAD = threading.local()


class RequestDeadline:
    """Cuts the connection that it is shown, once its time is up."""

    def __init__(self) -> None:
        self.is_up = False
        self._held: socket.socket | None = None
        self._lock = threading.Lock()

    def hold(self, held: socket.socket) -> None:
        """See to a connection."""
        with self._lock:
            self._held = held
            if self.is_up:
                self._cut()

    def ring(self) -> None:
        """Cut the connection, or the one that is still to come."""
        with self._lock:
            self.is_up = True
            self._cut()

    def _cut(self) -> None:
        if self._held is not None:
            with contextlib.suppress(OSError):  # it may have just been closed
                # Not SSLSocket's, which would take the TLS away from under whoever reads.
                socket.socket.shutdown(self._held, socket.SHUT_RDWR)


@contextlib.contextmanager
def request_deadline(seconds: float) -> Iterator[RequestDeadline]:
    """Watch what this thread asks by way of a :class:`DeadlineAdapter`.

    :param seconds: until when the whole answer must be there.
    """
    watch = RequestDeadline()
    timer = threading.Timer(seconds, watch.ring)
    timer.daemon = True
    timer.start()
    _THREAD.watch = watch
    try:
        yield watch
    finally:
        _THREAD.watch = None
        timer.cancel()


class _Watched:
    """Shows its socket to the thread's watch when the answer is waited for."""

    sock: Any

    def getresponse(self) -> Any:
        """Wait for the answer's head."""
        watch = getattr(_THREAD, "watch", None)
        if watch is not None and self.sock is not None:
            watch.hold(self.sock)
        return super().getresponse()  # type: ignore[misc]  # of the connection it is mixed into


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class DeadlineAdapter(HTTPAdapter):
    """Sends by connections that :func:`request_deadline` can cut, by way of a proxy too."""

    _POOLS: ClassVar = {"http": _HttpPool, "https": _HttpsPool}

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the manager of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """Give the manager of connections by way of a proxy."""
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = self._POOLS
        return manager
