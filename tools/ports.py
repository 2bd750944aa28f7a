"""Finds ports of this machine that are free."""

from __future__ import annotations

import socket
from contextlib import closing

__all__ = ["free_ports"]


def free_ports(count: int = 1) -> int:
    """Return the first of ``count`` consecutive free ports.

    :param count: how many are needed.
    :raises OSError: if it found no such ports.
    """
    for _ in range(100):
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            first = int(probe.getsockname()[1])
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(f"Found no {count} consecutive free ports.")


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
