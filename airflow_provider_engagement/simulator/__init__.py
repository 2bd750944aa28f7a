"""A local stand-in for the Engagement API: for demos, tests, and users' own CI.

The real service needs a contract. The simulator speaks its protocol: it verifies OAuth 1.0a
signatures and bearer tokens, enforces every limit in ``api/spec.py``, and refuses requests with
the service's own messages where they are known. It can be slow, limit the rate, and fail.
A :class:`World` holds its Tweets; tests read the expected counts from it.
"""

from __future__ import annotations

from airflow_provider_engagement.simulator.faults import FAULT_KINDS, FaultKind, Faults
from airflow_provider_engagement.simulator.request_log import Received
from airflow_provider_engagement.simulator.server import Simulator
from airflow_provider_engagement.simulator.world import World

__all__ = ["FAULT_KINDS", "FaultKind", "Faults", "Received", "Simulator", "World"]
