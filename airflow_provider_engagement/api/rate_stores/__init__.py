"""Where the rate of an app is shared: a file of the machine, Redis or PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from airflow_provider_engagement.api.rate_stores.file import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_engagement.api.rate_stores.base import RateStore, RemoteStore
    from airflow_provider_engagement.api.settings import RateStoreSettings

__all__ = ["open_store"]


def open_store(
    settings: RateStoreSettings | None, key: str, directory: Path | None = None
) -> RateStore:
    """Return the store of one app at one endpoint. It connects when it is first used.

    :param settings: the server that workers share; None for a file of this machine.
    :param key: whose rate it is. The store keeps a hash of it, because it holds an API key.
    :param directory: where the files lie; None for the default.
    :raises InvalidArgumentError: if the client of the server is not installed.
    """
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    if settings is None:
        return FileStore(digest, directory)
    from airflow_provider_engagement.api.rate_stores.shared import SharedStore

    return SharedStore(_remote(settings, digest))


def _remote(settings: RateStoreSettings, digest: str) -> RemoteStore:
    if settings.kind == "redis":
        from airflow_provider_engagement.api.rate_stores.redis import RedisStore

        return RedisStore(settings, digest)
    from airflow_provider_engagement.api.rate_stores.postgres import PostgresStore

    return PostgresStore(settings, digest)
