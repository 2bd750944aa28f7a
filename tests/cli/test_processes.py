"""The command as a process: on a terminal, in a pipe, interrupted, and through Airflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import (
    ANSI,
    COMMAND,
    connection_of,
    counts,
    on_terminal,
    pin_for,
    piped,
    read_csv,
    true_counts,
)

from airflow_provider_engagement.compat import HAS_RETRY_POLICIES

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator import Simulator, World


@pytest.fixture
def many(world: World) -> list[str]:
    """Make Tweets for 12 requests to /totals."""
    return world.tweets("acme", 2900)


def test_a_terminal_shows_a_bar_and_then_the_rows(
    service: Simulator, many: list[str], tmp_path: Path
) -> None:
    service.latency = 0.2
    (tmp_path / "ids.txt").write_text("\n".join(many))
    arguments = ("pull", "totals", str(tmp_path / "ids.txt"), "--types", "favorites")
    with on_terminal(*arguments) as terminal:
        assert terminal.wait() == 0
    text = ANSI.sub("", terminal.shown)
    assert re.search(r"Requests .*\b[1-9]\d?/12\b", text)
    rows = re.findall(r'"(\d+)","favorites","lifetime"', text)
    assert sorted(rows) == sorted(many)
    bar, _, after = text.partition('"account"')
    assert "/12" in bar
    assert "/12" not in after
    assert "Of 2,900 Tweets: 2,900 answered." in after


def test_a_pipe_gets_rows_only_and_no_bar(
    service: Simulator, world: World, tweets: list[str]
) -> None:
    service.latency = 0.2
    ended = piped("pull", "totals", "-", input="\n".join(tweets))
    assert ended.returncode == 0
    assert counts(read_csv(ended.stdout)) == true_counts(world, tweets)
    assert "\x1b" not in ended.stderr + ended.stdout
    (line,) = ended.stderr.splitlines()
    assert "140 rows in standard output" in line


def test_compressed_rows_are_for_a_pipe_and_not_for_a_terminal(service: Simulator) -> None:
    arguments = ("pull", "totals", "20", "--types", "favorites", "--format", "parquet")
    ended = subprocess.run([*COMMAND, *arguments], check=False, capture_output=True)  # noqa: S603 - a fixed program, without a shell
    assert ended.stdout[:4] == ended.stdout[-4:] == b"PAR1"
    sent = len(service.requests)
    with on_terminal(*arguments) as terminal:
        assert terminal.wait() == 2
    assert "parquet is not for a terminal" in terminal.shown
    assert len(service.requests) == sent


def test_a_closed_pipe_ends_the_command_quietly(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(map(str, range(10**15, 10**15 + 50_000))))
    with subprocess.Popen(  # noqa: S603 - a fixed program, without a shell
        [*COMMAND, "ids", str(tmp_path / "ids.txt"), "--list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"1000000000000000\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_ctrl_c_ends_a_pull_without_rows(
    service: Simulator, many: list[str], tmp_path: Path
) -> None:
    service.latency = 100.0
    (tmp_path / "ids.txt").write_text("\n".join(many))
    output = tmp_path / "counts.parquet"
    with on_terminal("pull", "totals", str(tmp_path / "ids.txt"), "-o", str(output)) as terminal:
        terminal.wait_for(lambda text: "0/12" in text)
        os.killpg(terminal.process.pid, signal.SIGINT)
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.shown
    assert "engagement: interrupted" in terminal.shown
    assert [path.name for path in tmp_path.iterdir()] == ["ids.txt"]


def authorize(*arguments: str) -> str:
    """Authorize the app on a terminal, as the owner of acme; return the command that is printed."""
    with on_terminal("authorize", *arguments) as terminal:
        question = terminal.wait_for(lambda text: text.endswith("PIN: "))
        os.write(terminal.descriptor, f"{pin_for(question, 'acme')}\n".encode())
        assert terminal.wait() == 0
    return "".join(terminal.shown.partition("airflow connections")[1:]).strip()


def test_an_owner_authorizes_the_app_on_a_terminal(
    service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = service.connection("acme", user_tokens=False, bearer=False)
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(held))
    connection = connection_of(authorize())
    assert connection["extra"]["access_token"] == service.world.credentials("acme")["access_token"]


@pytest.fixture
def in_database(
    airflow_home: Path, tmp_path: Path, service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Store the connection in Airflow's database, by the command that `authorize` prints."""
    shutil.copy(airflow_home / "unused.db", tmp_path / "airflow.db")
    database = f"sqlite:///{tmp_path}/airflow.db"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
    held = service.connection("acme", user_tokens=False, bearer=False)
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(held))
    line = authorize("--name", "stored")
    monkeypatch.delenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    subprocess.run(["sh", "-c", line], check=True, capture_output=True)  # noqa: S603, S607 - the command that `authorize` printed
    return "stored"


def test_a_connection_of_airflows_database_is_found_by_its_id(
    in_database: str, world: World, tweets: list[str]
) -> None:
    ended = piped("pull", "totals", *tweets, "--conn-id", in_database)
    assert ended.returncode == 0, ended.stderr
    assert counts(read_csv(ended.stdout)) == true_counts(world, tweets)
    missing = piped("check", "--conn-id", "missing")
    assert missing.returncode == 5
    assert "'missing' does not exist" in missing.stderr
    if not HAS_RETRY_POLICIES:  # Airflow 3.2 is the first to read a provider's commands
        return
    command = [sys.executable, "-m", "airflow", "engagement", "pull", "totals", *tweets]
    ended = subprocess.run(  # noqa: S603 - Airflow's command
        [*command, "--conn-id", in_database], check=False, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert counts(read_csv(ended.stdout)) == true_counts(world, tweets)
