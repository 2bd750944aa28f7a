"""Runs a whole Airflow with its user interface: ``airflow standalone``."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import requests

from tools.ports import free_ports
from tools.process import Process
from tools.services import airflow_environment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Standalone"]

_BIN: Final = Path(sys.executable).parent

_SETTINGS: Final = Path(__file__).with_name("sqlite")

# Waits until the process that started it has ended, then kills the group.
_WATCH: Final = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), 9)"

_STARTS_WITHIN: Final = 180
_ANSWERS_WITHIN: Final = 30


class Standalone(Process):
    """A context manager that runs ``airflow standalone``; every user is an admin.

    Its scheduler, API server, triggerer and DAG processor outlive it. A second process kills the
    whole group when this process ends, even if it is killed.

    :param folder: the folder of its home, and of the log of all its components.
    :param dags_folder: the folder of its DAG files.
    :param environment: variables that are set on top of those that isolate it.
    """

    def __init__(self, folder: Path, dags_folder: Path, environment: Mapping[str, str]) -> None:
        self.home = folder / "airflow"
        self.port = free_ports(3)
        settings = airflow_environment(self.home, dags_folder, self.port)
        path = {
            "PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}",  # it starts `airflow` by name
            "PYTHONPATH": str(_SETTINGS),  # it imports `airflow_local_settings`
        }
        command: list[str | Path] = [_BIN / "airflow", "standalone"]
        super().__init__(command, folder / "standalone.log", {**settings, **path, **environment})
        self._watch: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        self._watch = subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-I", "-S", "-c", _WATCH, str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *exception: object) -> None:
        if self._watch:
            self._watch.kill()
            self._watch.communicate()
        super().__exit__(*exception)

    @cached_property
    def url(self) -> str:
        """The base URL; the first access waits until all components are healthy."""
        self.wait_for(self._is_healthy, _STARTS_WITHIN)
        return f"http://localhost:{self.port}"

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call its REST API.

        :param method: the HTTP method.
        :param path: the path below ``/api/v2/``.
        :param body: what to send as JSON.
        :raises requests.HTTPError: if the status is an error.
        """
        answer = requests.request(
            method, f"{self.url}/api/v2/{path}", json=body, timeout=_ANSWERS_WITHIN
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def _is_healthy(self) -> bool | None:
        """Return whether the API reports that all components are healthy; None if not."""
        url = f"http://localhost:{self.port}/api/v2/monitor/health"
        try:
            parts = requests.get(url, timeout=_ANSWERS_WITHIN).json()
        except requests.RequestException:  # it logs "Airflow is ready" before it listens
            return None
        return all(part["status"] == "healthy" for part in parts.values()) or None
