"""The connection that `rate_limit_conn_id` names: what is read of it, and what never shows."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import json
import logging
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import redact
from blockbuster import blockbuster_ctx
from run_operator import CONN_ID, connect

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
    PermissionDeniedError,
    RateStoreError,
)
from airflow_provider_engagement.api.rate_stores import open_store
from airflow_provider_engagement.api.rate_stores.postgres_sql import CREATE
from airflow_provider_engagement.api.settings import RateStoreSettings, Secret
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.cli.connection import find_settings
from airflow_provider_engagement.hooks.engagement import EngagementHook

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import Settings

PASSWORD = "a-password/of+the=store"
LOGIN = "a-login-of-the-store"
REDIS = {
    "conn_type": "redis",
    "host": "redis.example.com",
    "login": LOGIN,
    "password": PASSWORD,
    "extra": {"db": 3, "ssl": True, "ssl_ca_certs": "/certificates/ca.pem"},
}
POSTGRES = {
    "conn_type": "postgres",
    "host": "db.example.com",
    "port": 6543,
    "login": LOGIN,
    "password": PASSWORD,
    "schema": "rates",
    "extra": {"sslmode": "verify-full", "sslpassword": "of-the-key"},
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that reads the settings of a connection that names a store."""

    def settings(store: dict[str, Any] | None) -> Settings:
        connect(
            monkeypatch,
            {
                "conn_type": "engagement",
                "extra": {"bearer_token": "b" * 20, "rate_limit_conn_id": "rates"},
            },
        )
        if store is not None:
            monkeypatch.setenv("AIRFLOW_CONN_RATES", json.dumps(store))
        return EngagementHook(CONN_ID).get_settings()

    return settings


def test_redis_is_read_without_its_provider(read: Any) -> None:
    assert read(REDIS).rate_store == RateStoreSettings(
        conn_id="rates",
        kind="redis",
        host="redis.example.com",
        port=6379,
        login=Secret(LOGIN),
        password=Secret(PASSWORD),
        database="3",
        options=(("ssl", Secret("true")), ("ssl_ca_certs", Secret("/certificates/ca.pem"))),
    )


def test_postgres_is_read_without_its_provider(read: Any) -> None:
    assert read(POSTGRES).rate_store == RateStoreSettings(
        conn_id="rates",
        kind="postgres",
        host="db.example.com",
        port=6543,
        login=Secret(LOGIN),
        password=Secret(PASSWORD),
        database="rates",
        options=(("sslmode", Secret("verify-full")), ("sslpassword", Secret("of-the-key"))),
    )


def test_triggers_and_the_command_line_read_the_same(read: Any) -> None:
    for store in (REDIS, POSTGRES):
        expected = read(store)
        assert asyncio.run(EngagementHook(CONN_ID).aget_settings()) == expected
        hidden: list[Secret] = []
        assert find_settings(CONN_ID, hide=hidden.append) == expected
        assert Secret(PASSWORD) in hidden


@pytest.mark.parametrize(
    ("store", "kind", "says"),
    [
        (None, AuthenticationError, "'rates' does not exist. Create one of type redis or postgres"),
        (
            {**REDIS, "conn_type": "mysql"},
            InvalidArgumentError,
            "'mysql'. It must be of type redis",
        ),
        ({**REDIS, "extra": {"db": "first"}}, InvalidArgumentError, "db is 'first'; it must be"),
        ({**POSTGRES, "extra": {"iam": True}}, InvalidArgumentError, "iam is set"),
    ],
)
def test_other_connections_are_refused(
    read: Any, store: dict[str, Any] | None, kind: type[EngagementError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        read(store)
    assert says in str(caught.value)
    assert not caught.value.retryable
    assert PASSWORD not in str(caught.value)


def test_unused_extras_are_named(read: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="airflow_provider_engagement"):
        read({**REDIS, "extra": {"db": 1, "ssl_typo": "a-value"}})
    (record,) = caplog.records
    assert record.getMessage().endswith("does not use the extras ssl_typo.")


def test_password_is_masked_in_every_form(read: Any) -> None:
    settings = read(POSTGRES)
    for secret in settings.rate_store.secrets():
        for form in secret.encoded_variants():
            assert form not in str(redact({"text": f"before {form} after"}))
    shown = f"{settings!r} {settings.rate_store} {dataclasses.replace(settings)!r}"
    for text in (PASSWORD, LOGIN, "of-the-key"):
        assert text not in shown


# ---- What goes wrong with a server -----------------------------------------------------------


def error_of(store: RateStoreSettings) -> EngagementError:
    opened = open_store(store, "app")
    try:
        with pytest.raises(EngagementError) as caught:
            opened.status()
    finally:
        opened.close()
    error = caught.value
    for text in (PASSWORD, LOGIN, "engagement", "default"):
        assert text not in error.message.replace("engagement_rate_limits", "")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - the bytes were made in this line
    return error


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_wrong_password_is_permanent(kind: str, request: pytest.FixtureRequest) -> None:
    store = request.getfixturevalue(f"{kind}_store")
    error = error_of(dataclasses.replace(store, password=Secret(PASSWORD)))
    assert isinstance(error, AuthenticationError)
    assert not error.retryable
    assert "'shared_rate'" in str(error)


@pytest.mark.parametrize("kind", ["redis", "postgres"])
def test_server_that_is_away_is_tried_again(kind: str) -> None:
    store = RateStoreSettings("rates", kind, "127.0.0.1", 1, Secret(LOGIN), Secret(PASSWORD))
    error = error_of(store)
    assert isinstance(error, RateStoreError)
    assert error.retryable


def test_missing_table_that_may_not_be_created_is_explained(
    postgres_store: RateStoreSettings,
) -> None:
    import psycopg

    def run(*statements: str) -> None:
        assert postgres_store.login
        assert postgres_store.password
        with psycopg.connect(
            host=postgres_store.host,
            port=postgres_store.port,
            dbname="postgres",
            user=postgres_store.login.reveal(),
            password=postgres_store.password.reveal(),
            autocommit=True,
        ) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    run(
        "CREATE DATABASE bare",
        f"CREATE ROLE \"{LOGIN}\" LOGIN PASSWORD '{PASSWORD}'",
    )
    error = error_of(
        dataclasses.replace(
            postgres_store, database="bare", login=Secret(LOGIN), password=Secret(PASSWORD)
        )
    )
    assert isinstance(error, PermissionDeniedError)
    assert f"{CREATE};" in str(error)


@pytest.mark.parametrize(("kind", "package"), [("redis", "redis"), ("postgres", "psycopg")])
def test_missing_client_names_the_extra(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def find(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", find)
    store = RateStoreSettings("rates", kind, "127.0.0.1", 1)
    with pytest.raises(InvalidArgumentError, match=rf"airflow-provider-engagement\[{kind}\]"):
        open_store(store, "app")


# ---- The client ------------------------------------------------------------------------------


def test_client_waits_for_its_store_before_it_sends(read: Any) -> None:
    settings = read({**REDIS, "host": "127.0.0.1", "port": 1, "extra": {}})
    patient = RetryPolicy(budget=0.3, first_wait=0.05)
    with (
        EngagementClient(settings, retry=patient) as client,
        pytest.raises(RateStoreError, match="does not answer"),
    ):
        client.prepare(EndpointName.TOTALS, Access.PUBLIC)


def test_reading_the_store_does_not_block_an_event_loop(read: Any) -> None:
    expected = read(REDIS)

    async def work() -> None:
        hook = EngagementHook(CONN_ID)
        await hook.aget_settings()  # imports
        with blockbuster_ctx("airflow_provider_engagement"):
            assert await hook.aget_settings() == expected

    asyncio.run(work())
