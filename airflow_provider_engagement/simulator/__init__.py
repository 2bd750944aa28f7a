"""A local stand-in for the Engagement API: for demos, tests, and users' own CI.

Nobody can try the service without a contract. The simulator speaks its protocol: it verifies
OAuth 1.0a signatures and bearer tokens, enforces every limit in ``api/spec.py``, says who may not
see what in the service's own words where they are known, and can be slow, throttle and break.
Behind it is a :class:`World`, which tells a test the true counts.
"""

from __future__ import annotations

from airflow_provider_engagement.simulator.faults import FAULT_KINDS, FaultKind, Faults
from airflow_provider_engagement.simulator.request_log import Received
from airflow_provider_engagement.simulator.server import Simulator
from airflow_provider_engagement.simulator.world import World

__all__ = ["FAULT_KINDS", "FaultKind", "Faults", "Received", "Simulator", "World"]
