"""Runs `engagement` as a process, on a terminal or in a pipe, and reads what it prints."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import requests

from airflow_provider_engagement.api.spec import ENDPOINTS
from tools.process import launch_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_engagement.simulator import World

TYPES = ENDPOINTS["totals"].engagement_types


def counts(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    found = {(row["tweet_id"], row["engagement_type"]): int(row["value"]) for row in rows}
    assert len(found) == len(rows)
    return found


def true_counts(world: World, tweets: list[str]) -> dict[tuple[str, str], int]:
    return {(each, name): world.count(each, name) for each in tweets for name in TYPES}


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def pin_for(question: str, account: str) -> str:
    """Return the PIN that is on the page whose URL the question names."""
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/oauth/authorize\?oauth_token=\w+", question)
    page = requests.get(url, {"account": account}, timeout=30)
    page.raise_for_status()
    (pin,) = re.findall(r"\d{7}", page.text.partition("app: ")[2])
    return str(pin)


def connection_of(line: str) -> dict[str, Any]:
    words = shlex.split(line)
    assert words[:3] == ["airflow", "connections", "add"]
    options = dict(pairwise(words)) | dict(
        word.split("=", maxsplit=1) for word in words if word.startswith("--") and "=" in word
    )
    return {
        "conn_id": words[3],
        "conn_type": options["--conn-type"],
        "host": options["--conn-host"],
        "login": options["--conn-login"],
        "password": options["--conn-password"],
        "extra": json.loads(options["--conn-extra"]),
    }


COMMAND = [sys.executable, "-m", "airflow_provider_engagement.cli"]
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def piped(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a fixed program, without a shell
        [*COMMAND, *arguments], check=False, capture_output=True, text=True, **options
    )


@dataclass
class Terminal:
    """A process on a terminal of its own."""

    process: subprocess.Popen[bytes]
    descriptor: int
    shown: str = ""

    def wait_for(self, condition: Callable[[str], object]) -> str:
        """Read what is shown until it meets a condition or the process ends."""
        deadline = time.monotonic() + 60
        while not condition(self.shown):
            assert time.monotonic() < deadline, self.shown
            if select.select([self.descriptor], [], [], 1)[0]:
                try:
                    data = os.read(self.descriptor, 65536)
                except OSError:  # the process has ended
                    break
                self.shown += data.decode()
        return ANSI.sub("", self.shown)

    def wait(self) -> int:
        self.wait_for(lambda _: False)
        return self.process.wait(60)


@contextlib.contextmanager
def on_terminal(*arguments: str) -> Iterator[Terminal]:
    """Run a command whose three streams are one terminal."""
    descriptor, theirs = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - a fixed program, without a shell
        launch_command(*COMMAND, *arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, descriptor)
    finally:
        process.kill()
        process.wait()
        os.close(descriptor)
