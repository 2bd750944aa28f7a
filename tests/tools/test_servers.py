"""Redis and PostgreSQL start, are killed, start again, and leave nothing running."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tools.env import ROOT
from tools.process import ProcessFailure, launch_command
from tools.servers import PostgresServer, RedisServer, Server, postgres_server, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, persistent=True) as server:
        yield server


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[PostgresServer]:
    with postgres_server(tmp_path) as server:
        yield server


def ask_redis(server: RedisServer, *commands: str) -> list[str]:
    with socket.create_connection(("127.0.0.1", server.port), 5) as client:
        client.sendall("".join(f"{line}\r\n" for line in (*commands, "QUIT")).encode())
        return client.makefile().read().splitlines()[:-1]


def test_killed_redis_starts_again_with_what_it_held(redis: RedisServer) -> None:
    assert redis.url == f"redis://default:{redis.password}@127.0.0.1:{redis.port}"
    sign_in = f"AUTH {redis.password}"
    assert ask_redis(redis, sign_in, "SET slot 7") == ["+OK", "+OK"]
    redis.kill()
    with pytest.raises(ConnectionRefusedError):
        ask_redis(redis, sign_in)
    redis.start()
    assert ask_redis(redis, sign_in, "GET slot") == ["+OK", "$1", "7"]
    redis.stop()
    redis.start()
    assert ask_redis(redis, sign_in, "GET slot") == ["+OK", "$1", "7"]


def test_redis_forgets_unless_it_is_persistent(tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis:
        redis.wait_until_ready()
        sign_in = f"AUTH {redis.password}"
        assert ask_redis(redis, sign_in, "SET slot 7") == ["+OK", "+OK"]
        redis.kill()
        redis.start()
        assert ask_redis(redis, sign_in, "GET slot") == ["+OK", "$-1"]


def test_redis_asks_for_its_password(redis: RedisServer) -> None:
    redis.wait_until_ready()
    assert ask_redis(redis, "GET slot") == ["-NOAUTH Authentication required."]


def test_killed_postgres_starts_again_with_what_it_held(postgres: PostgresServer) -> None:
    postgres.query("CREATE TABLE slot AS SELECT 7 AS next, NULL AS last, 'a,\"b' AS name")
    postgres.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", postgres.port), 5)
    postgres.start()
    assert postgres.query("SELECT * FROM slot") == [["7", "", 'a,"b']]
    postgres.stop()
    postgres.start()
    assert postgres.query("SELECT * FROM slot") == [["7", "", 'a,"b']]


def test_postgres_asks_for_its_password(postgres: PostgresServer) -> None:
    postgres.password = "wrong"
    with pytest.raises(ProcessFailure, match="password authentication failed"):
        postgres.query("SELECT 1")


# Starts both servers, writes the ids of their processes, and waits to be killed.
PARENT = """
import sys, time
from pathlib import Path
from tools.servers import postgres_server, redis_server

folder = Path(sys.argv[1])
with redis_server(folder) as redis, postgres_server(folder) as postgres:
    redis.wait_until_ready(), postgres.wait_until_ready()
    children = Path(f"/proc/{postgres.pid}/task/{postgres.pid}/children").read_text()
    (folder / "pids.part").write_text(f"{redis.pid} {postgres.pid} {children}")
    (folder / "pids.part").rename(folder / "pids")
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and needs prctl")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_servers_end_with_their_parent(tmp_path: Path, by: signal.Signals) -> None:
    parent = subprocess.Popen(  # noqa: S603 - the script above
        launch_command(sys.executable, "-c", PARENT, tmp_path),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    wait_until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) > 4
    parent.send_signal(by)
    assert parent.wait(20) != 0
    wait_until(lambda: not any(map(is_running, pids)))


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_connections_are_as_airflow_reads_them(tmp_path: Path) -> None:
    servers: list[Server] = [redis_server(tmp_path), postgres_server(tmp_path)]
    redis, postgres = (server.connection() for server in servers)
    assert (redis["conn_type"], postgres["conn_type"]) == ("redis", "postgres")
    assert (redis["port"], postgres["port"]) == tuple(server.port for server in servers)
    assert postgres["schema"] == "postgres"
