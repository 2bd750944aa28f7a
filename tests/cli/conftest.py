from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.cli.__main__ import main
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Command = Callable[..., "Ended"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def engagement(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # from argparse
            code = int(end.code or 0)
        caught = capsys.readouterr()
        return Ended(int(code), caught.out, caught.err)

    return run


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("ENGAGEMENT_", "AIRFLOW_CONN_")):
            monkeypatch.delenv(name)


@pytest.fixture
def world() -> World:
    return World(seed=7, accounts=("acme",), now=datetime.now(UTC))


@pytest.fixture
def service(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Run a simulator, and set the default connection."""
    with Simulator(world) as simulator:
        text = json.dumps(simulator.connection("acme"))
        monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", text)
        yield simulator


@pytest.fixture
def tweets(world: World) -> list[str]:
    now = world.now()
    return world.tweets("acme", 20, since=now - timedelta(days=20), until=now - timedelta(days=2))
