"""The parts of a running Airflow, each by itself, so that one can be stopped and killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from tools.process import Process
from tools.services import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BIN = Path(sys.executable).parent
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


def free_ports(count: int = 3) -> int:
    """Find so many ports in a row that nobody listens on; return the first."""
    while True:
        with ExitStack() as stack:
            first = 0
            try:
                for place in range(count):
                    listener = stack.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", first + place if first else 0))
                    first = first or listener.getsockname()[1]
            except OSError:
                continue
            return first


class Airflow:
    """API server, scheduler, DAG processor and triggerer, on a database of SQLite.

    :param folder: for its home and its logs.
    :param dags_folder: the folder of its DAG files.
    :param settings: set for it, beside what makes it keep to itself.
    :param parts: what to start: all of it, or less where that is enough.
    """

    def __init__(
        self,
        folder: Path,
        dags_folder: Path,
        settings: Mapping[str, str],
        parts: Sequence[str] = PARTS,
    ) -> None:
        self._folder = folder
        self._wanted = parts
        self.database = folder / "airflow" / "airflow.db"
        self._port = free_ports()
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        own = airflow_environment(folder / "airflow", dags_folder, self._port)
        self._settings = {**own, **path, **settings}
        self._parts: dict[str, Process] = {}

    def __enter__(self) -> Self:
        migrate = self._process("db", "migrate")
        with migrate:
            self.wait(lambda: migrate.exit_code is not None)
            assert migrate.exit_code == 0, migrate.log.read_text()
        for part in self._wanted:
            self.start(part)
        self.wait(self._is_healthy, 120)
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts.values():
            part.__exit__()

    def start(self, part: str) -> None:
        self._parts[part] = self._process(part).__enter__()

    def stop(self, part: str) -> None:
        """End a part in order, as a service manager would."""
        process = self._parts[part]
        os.kill(process.pid, signal.SIGTERM)
        self.wait(lambda: process.exit_code is not None)
        process.__exit__()

    def kill(self, part: str) -> None:
        """End a part and all that it started, at once."""
        self._parts[part].__exit__()

    def call(self, method: str, path: str, body: object = None) -> Any:
        url = f"http://localhost:{self._port}/api/v2/{path}"
        answer = requests.request(method, url, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def wait(self, seen: Callable[[], Any], seconds: float = 90) -> Any:
        """Wait for something to be so, and give what it is."""
        deadline = time.monotonic() + seconds
        while True:
            found = seen()
            if found:
                return found
            self.check()
            assert time.monotonic() < deadline, self._told()
            time.sleep(0.25)

    def check(self) -> None:
        """See that every part still runs, or was ended by us."""
        for name, part in self._parts.items():
            assert part.exit_code in (None, 0, -signal.SIGKILL, -signal.SIGTERM), name

    def _told(self) -> str:
        return "\n".join(
            f"--- {part.log.name}\n{part.log.read_text()[-3000:]}" for part in self._parts.values()
        )

    def _process(self, *command: str) -> Process:
        log = self._folder / f"{command[0]}.{time.monotonic_ns()}.log"
        return Process([BIN / "airflow", *command], log, self._settings)

    def _is_healthy(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            health = self.call("GET", "monitor/health")
            names = (name.replace("-", "_") for name in self._wanted if name != "api-server")
            return all(health[name]["status"] == "healthy" for name in ("metadatabase", *names))
        return False
