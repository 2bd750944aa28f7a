"""Connections that cannot be read: what is permanent, and what a retry may mend."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook
from failing_secrets import NAME, SECRET, FailingBackend
from run_operator import run

from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_engagement.api.settings import Settings

pytestmark = pytest.mark.usefixtures("airflow_home")

GOOD = json.dumps({"conn_type": "engagement", "extra": {"bearer_token": "t"}})


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return what lets Airflow ask a backend first that fails, and then has a connection or none.

    Airflow passes over a backend that fails, and then says that there is no such connection.
    """

    def configure(*, failures: int, value: str | None = None) -> None:
        monkeypatch.setattr(FailingBackend, "failures", failures)
        monkeypatch.setattr(FailingBackend, "value", value)
        monkeypatch.setenv("AIRFLOW__SECRETS__BACKEND", NAME)

    yield configure
    if importlib.util.find_spec("airflow.sdk"):
        from airflow.sdk.configuration import clear_secrets_backends_cache

        clear_secrets_backends_cache()


def _asynchronous(get: Callable[[str], Any]) -> Any:
    async def aget(conn_id: str) -> Any:
        return get(conn_id)

    return staticmethod(aget)


def get(conn_id: str) -> Settings:
    return EngagementHook(conn_id).get_settings()


def aget(conn_id: str) -> Settings:
    return asyncio.run(EngagementHook(conn_id).aget_settings())


both = pytest.mark.parametrize("read", [get, aget], ids=["on a worker", "in a trigger"])


@both
def test_a_connection_that_no_backend_has_does_not_exist(read: Callable[[str], Any]) -> None:
    with pytest.raises(AuthenticationError, match="'nowhere' does not exist") as caught:
        read("nowhere")
    assert not caught.value.retryable


@both
def test_a_backend_that_fails_is_a_passing_fault(
    use: Callable[..., None], read: Callable[[str], Any]
) -> None:
    use(failures=99)
    with pytest.raises(EngagementError, match="secrets backend raised TimeoutError") as caught:
        read("nowhere")
    assert caught.value.retryable
    assert SECRET not in str(caught.value)


@both
def test_a_backend_that_fails_once_is_asked_again(
    use: Callable[..., None], read: Callable[[str], Any]
) -> None:
    use(failures=1, value=GOOD)
    assert read("elsewhere").account == "elsewhere"
    assert FailingBackend.failures == 0


def test_a_task_is_retried_when_a_backend_fails(use: Callable[..., None]) -> None:
    use(failures=99)
    operator = EngagementTotalsOperator(task_id="a", tweet_ids=["20"], engagement_conn_id="nowhere")
    with pytest.raises(EngagementError, match="cannot be read now"):
        run(operator)


@both
@pytest.mark.parametrize("kind", [PermissionError, RuntimeError])
def test_any_other_exception_of_airflow_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[str], Any], kind: type[Exception]
) -> None:
    def fail(conn_id: str) -> Any:
        raise kind(f"{conn_id} {SECRET}")

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(fail))
    monkeypatch.setattr(BaseHook, "aget_connection", _asynchronous(fail), raising=False)
    with pytest.raises(EngagementError, match=f"raised {kind.__name__}") as caught:
        read("nowhere")
    assert caught.value.retryable
    assert SECRET not in str(caught.value)


# ---- Environment variables -------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "value",
    ['{"login": "' + SECRET, "engagement://a:b@host:port", '{"loginn": "x"}', "  "],
    ids=["half of JSON", "a port that is no number", "an unknown field", "blanks"],
)
def test_a_variable_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[str], Any], value: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IN_THE_ENVIRONMENT", value)
    message = "AIRFLOW_CONN_IN_THE_ENVIRONMENT is set, but cannot be read as a connection"
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        read("in_the_environment")
    assert not caught.value.retryable
    assert SECRET not in str(caught.value)


def test_a_variable_that_cannot_be_read_fails_the_task_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IN_THE_ENVIRONMENT", "{")
    operator = EngagementTotalsOperator(
        task_id="a", tweet_ids=["20"], engagement_conn_id="in_the_environment"
    )
    with pytest.raises(AirflowFailException, match="AIRFLOW_CONN_IN_THE_ENVIRONMENT is set"):
        run(operator)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IN_THE_ENVIRONMENT", "")
    with pytest.raises(AuthenticationError, match="does not exist"):
        get("in_the_environment")
