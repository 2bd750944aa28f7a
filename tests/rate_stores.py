"""Stores of the shared rate on servers of their own, and what they are for a client."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.rate_stores.base import RECOVERY, RemoteStore
from airflow_provider_engagement.api.rate_stores.postgres import PostgresStore
from airflow_provider_engagement.api.rate_stores.redis import RedisStore
from airflow_provider_engagement.api.settings import RateStoreSettings, Secret

if TYPE_CHECKING:
    from tools.servers import Server

KINDS: dict[str, type[RedisStore | PostgresStore]] = {
    "redis": RedisStore,
    "postgres": PostgresStore,
}


def settings_of(server: Server) -> RateStoreSettings:
    """Give the settings of a server, as they are read from its connection."""
    held = server.connection()
    return RateStoreSettings(
        conn_id="shared_rate",
        kind=str(held["conn_type"]),
        host=str(held["host"]),
        port=server.port,
        login=Secret(str(held["login"])),
        password=Secret(str(held["password"])),
        database=str(held.get("schema", "")),
    )


def wait_until_it_assigns_slots(settings: RateStoreSettings) -> None:
    """Wait for a server that has just started: workers may still be on their own."""
    store: RemoteStore = KINDS[settings.kind](settings, "started")
    while recovering := store.take(0, 0).recovering:
        assert recovering <= RECOVERY
        time.sleep(recovering)
    store.close()
