"""A pytest plugin: fixtures that run DAGs against the simulator. pytest loads it by itself.

pytest imports this module in every run of whoever has the package installed, so it imports nothing
that pytest has not: neither Airflow nor the simulator, before a test asks for them.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_engagement.simulator import Simulator, World

__all__ = ["engagement_connection", "engagement_simulator", "engagement_world"]


@pytest.fixture
def engagement_world() -> World:
    """Return the simulated Tweets of one account, ``acme``, at a fixed moment.

    Override it in ``conftest.py`` for other accounts, another moment, or Tweets that are deleted.
    """
    from airflow_provider_engagement.simulator import World

    return World(accounts=("acme",), now=datetime.now(UTC))


@pytest.fixture
def engagement_simulator(engagement_world: World) -> Iterator[Simulator]:
    """Run a simulator of the Engagement API on a free port of this machine."""
    from airflow_provider_engagement.simulator import Simulator

    with Simulator(engagement_world) as simulator:
        yield simulator


@pytest.fixture
def engagement_connection(engagement_simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set connections to the simulator in environment variables, where Airflow finds them.

    They hold in this process and in those that the test starts: ``engagement_default`` for the
    first account of the world, and ``engagement_<account>`` for each.

    :returns: the id of the default connection.
    """
    default = "engagement_default"
    accounts = engagement_simulator.world.accounts
    owners = {f"engagement_{re.sub(r'[^a-z0-9]+', '_', each.lower())}": each for each in accounts}
    for conn_id, account in {default: accounts[0], **owners}.items():
        connection = json.dumps(engagement_simulator.connection(account))
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
    return default
