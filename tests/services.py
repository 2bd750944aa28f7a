"""Runs Airflow as separate processes, so that a test can stop or kill each of them."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import requests

from tools.ports import free_ports
from tools.process import Process
from tools.services import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

BIN = Path(sys.executable).parent
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


class Airflow:
    """API server, scheduler, DAG processor and triggerer on a SQLite database.

    :param folder: the folder of its home and its logs.
    :param dags_folder: the folder of its DAG files.
    :param settings: environment variables, set on top of those that isolate it.
    :param components: the commands to start.
    """

    def __init__(
        self,
        folder: Path,
        dags_folder: Path,
        settings: Mapping[str, str],
        components: Sequence[str] = COMPONENTS,
    ) -> None:
        self._folder = folder
        self._names = components
        self.database = folder / "airflow" / "airflow.db"
        self._port = free_ports(3)
        path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        own = airflow_environment(folder / "airflow", dags_folder, self._port)
        self._settings = {**own, **path, **settings}
        self._processes: dict[str, Process] = {}

    def __enter__(self) -> Self:
        migrate = self._process("db", "migrate")
        with migrate:
            self.wait(lambda: migrate.exit_code is not None)
            assert migrate.exit_code == 0, migrate.log.read_text()
        for name in self._names:
            self.start(name)
        self.wait(self._is_healthy, 120)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.__exit__()

    def start(self, component: str) -> None:
        self._processes[component] = self._process(component).__enter__()

    def stop(self, component: str) -> None:
        """Stop a component with SIGTERM, as a service manager would."""
        process = self._processes[component]
        os.kill(process.pid, signal.SIGTERM)
        self.wait(lambda: process.exit_code is not None)
        process.__exit__()

    def kill(self, component: str) -> None:
        """Kill a component and all its children."""
        self._processes[component].__exit__()

    def call(self, method: str, path: str, body: object = None) -> Any:
        url = f"http://localhost:{self._port}/api/v2/{path}"
        answer = requests.request(method, url, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def wait(self, poll: Callable[[], Any], seconds: float = 90) -> Any:
        """Call a function until it returns something true, and return that."""
        deadline = time.monotonic() + seconds
        while True:
            found = poll()
            if found:
                return found
            self.check()
            assert time.monotonic() < deadline, self._log_tails()
            time.sleep(0.25)

    def check(self) -> None:
        """Fail if a component has ended by itself."""
        for name, process in self._processes.items():
            assert process.exit_code in (None, 0, -signal.SIGKILL, -signal.SIGTERM), name

    def _log_tails(self) -> str:
        return "\n".join(
            f"--- {process.log.name}\n{process.log.read_text()[-3000:]}"
            for process in self._processes.values()
        )

    def _process(self, *command: str) -> Process:
        log = self._folder / f"{command[0]}.{time.monotonic_ns()}.log"
        return Process([BIN / "airflow", *command], log, self._settings)

    def _is_healthy(self) -> bool:
        with contextlib.suppress(requests.RequestException):
            health = self.call("GET", "monitor/health")
            names = (name.replace("-", "_") for name in self._names if name != "api-server")
            return all(health[name]["status"] == "healthy" for name in ("metadatabase", *names))
        return False
