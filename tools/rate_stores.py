"""Servers of a shared rate: the settings by which a client finds one, and when it is of use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.rate_stores.base import RECOVERY, RemoteStore
from airflow_provider_engagement.api.rate_stores.postgres import PostgresStore
from airflow_provider_engagement.api.rate_stores.redis import RedisStore
from airflow_provider_engagement.api.settings import RateStoreSettings, Secret

if TYPE_CHECKING:
    from tools.servers import Server

__all__ = ["STORES", "settings_of", "wait_until_it_assigns_slots"]

STORES: dict[str, type[RedisStore | PostgresStore]] = {
    "redis": RedisStore,
    "postgres": PostgresStore,
}
"""The stores, by their kind."""


def settings_of(server: Server) -> RateStoreSettings:
    """Return the settings of a server, as they are read from its connection.

    :param server: a Redis or a PostgreSQL server.
    """
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
    """Wait until a server that has just started assigns slots.

    It assigns none at first, because workers may still send at their own pace.

    :param settings: the settings of the server.
    """
    store: RemoteStore = STORES[settings.kind](settings, "started")
    while recovering := store.take(0, 0).recovering:
        assert recovering <= RECOVERY  # noqa: S101 - a longer wait would be a fault of the store
        time.sleep(recovering)
    store.close()
