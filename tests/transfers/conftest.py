"""A simulator with a connection to it, which each file gives a ``world`` of its own."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest
from run_operator import connect

from airflow_provider_engagement.api import client as client_module
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.simulator import Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_engagement.simulator import World


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Serve the world, and set the connection to it."""
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture
def one_request_at_a_time(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the connection send no request before the last one is answered."""
    held = simulator.connection("acme")
    held["extra"]["max_concurrency"] = 1
    connect(monkeypatch, held)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a request up after 20 ms of failures."""
    quick = RetryPolicy(budget=0.02, first_wait=0.001, max_wait=0.001)
    monkeypatch.setattr(client_module, "RetryPolicy", lambda: quick)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set a folder for temporary files, which must be empty at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("engagement-")]
