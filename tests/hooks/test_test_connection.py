"""What Airflow shows when "Test" is pressed: four faults, four messages, and no secret."""

from __future__ import annotations

import inspect
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, connect

from airflow_provider_engagement.api import auth as auth_module
from airflow_provider_engagement.api import probe as probe_module
from airflow_provider_engagement.api import refusal as refusal_module
from airflow_provider_engagement.api import response as response_module
from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.simulator import Simulator, World
from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET, TOKEN = "canary-secret-1+/=", "canary-token-2+/="


@pytest.fixture(autouse=True)
def _nothing_exchanged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_module, "_EXCHANGED", {})


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(World(foreign=["20"]), requests_per_minute=300) as running:
        yield running


@pytest.fixture
def test(monkeypatch: pytest.MonkeyPatch) -> Any:
    def press(connection: dict[str, Any]) -> tuple[bool, str]:
        connect(monkeypatch, connection)
        return EngagementHook(CONN_ID).test_connection()

    return press


def with_extra(connection: dict[str, Any], **changes: str | None) -> dict[str, Any]:
    extra = {name: value for name, value in {**connection["extra"], **changes}.items() if value}
    return {**connection, "extra": extra}


def test_four_faults_have_four_messages_without_secrets(
    test: Any, simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good = simulator.connection("acme")
    with Simulator(World(), app_enabled=False) as not_enabled:
        faulty = {
            "The API key or the API secret is wrong.": {**good, "password": SECRET},
            "The API key and secret are right, the owner's tokens are not.": with_extra(
                good, access_token=TOKEN
            ),
            "The app is not enabled for the Engagement API.": not_enabled.connection("acme"),
            "The Engagement API was not found at http://127.0.0.1:9.": {
                **good,
                "host": "http://127.0.0.1:9",
            },
        }
        for beginning, connection in faulty.items():
            well, message = test(connection)
            assert not well
            assert message.startswith(beginning)
            assert len(message) < 2000
            held = [connection["login"], connection["password"], *connection["extra"].values()]
            secrets = [text for text in held if len(text) > 5 and "://" not in text]
            assert len(secrets) == 5
            for secret in secrets:
                for form in Secret(secret).encoded_variants():
                    assert form not in message
                    assert form not in caplog.text


def test_docs_explain_the_messages() -> None:
    source = Path(inspect.getfile(probe_module)).read_text()
    responses = "".join(
        Path(inspect.getfile(module)).read_text() for module in (refusal_module, response_module)
    )
    page = (ROOT / "docs" / "how-to" / "test-the-connection.md").read_text()
    for message in re.findall(r'^\| "([^"]+)" \|', page, re.MULTILINE):
        assert message in source + responses
    for message in re.findall(r'"(The [^"{]+\.)"', source):
        assert message in page


def test_success_shows_account_access_and_limits(test: Any, simulator: Simulator) -> None:
    well, message = test(simulator.connection("acme"))
    assert well
    assert message == (
        f"Account acme, at {simulator.url}. "
        "Private counts of the owner's Tweets: totals, 28hr, historical. "
        "Public counts of any Tweet: totals (favorites, retweets, replies, quote_tweets, "
        "video_views). "
        "Requests per minute, as the service reports them: totals 300, 28hr 300, historical 300."
    )


def test_the_id_that_airflow_makes_up_is_not_shown(test: Any, simulator: Simulator) -> None:
    well, message = test(with_extra(simulator.connection("acme"), account=None))
    assert well
    assert message.startswith("Account named by the connection's id, at http://")
    well, message = test(with_extra(simulator.connection("acme"), access_token=None))
    assert not well
    assert message.startswith("The connection: ")
    assert CONN_ID not in message


def test_an_unexpected_error_shows_only_its_type(
    test: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(probe_module, "probe", break_off)
    assert test(simulator.connection("acme")) == (False, "The test failed: RuntimeError.")
