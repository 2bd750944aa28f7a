from __future__ import annotations

import socket
from contextlib import ExitStack

from tools.ports import free_ports


def test_consecutive_ports_are_free() -> None:
    first = free_ports(3)
    with ExitStack() as stack:
        for port in range(first, first + 3):
            stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
