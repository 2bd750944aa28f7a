from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from command_line import connection_of, pin_for
from raw_server import http_response, raw_server

from airflow_provider_engagement.api.errors import AuthenticationError, ServiceError
from airflow_provider_engagement.api.pin_flow import PinFlow
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.cli import terminal
from airflow_provider_engagement.cli.exit_codes import ExitCode
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from conftest import Command


@pytest.fixture
def world() -> World:
    return World(seed=7, accounts=("acme", "bolt"))


@pytest.fixture
def app_only(service: Simulator, monkeypatch: pytest.MonkeyPatch) -> Simulator:
    """Leave the connection only the app's key and secret."""
    held = service.connection("acme", user_tokens=False, bearer=False)
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(held))
    return service


@pytest.fixture
def questions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Answer the question for the PIN, as the owner of bolt."""
    asked: list[str] = []

    def ask(_: object, question: str) -> str:
        asked.append(question)
        return pin_for(question, "bolt") + "\n"

    monkeypatch.setattr(terminal.Terminal, "ask", ask)
    return asked


@pytest.mark.usefixtures("questions")
def test_tokens_are_printed_as_a_connection_that_works(
    engagement: Command, app_only: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = engagement("authorize", "-v")
    assert ended.code == ExitCode.OK, ended.err
    (line,) = ended.out.splitlines()
    connection = connection_of(line)
    assert connection["conn_id"] == "engagement_bolt"
    expected = app_only.connection("bolt", bearer=False)
    assert connection["extra"].pop("oauth2_endpoint") == expected["extra"].pop("oauth2_endpoint")
    assert connection == {"conn_id": "engagement_bolt", **expected}
    granted = app_only.world.credentials("bolt")
    for secret in granted.values():
        assert secret not in ended.err
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_BOLT", json.dumps(app_only.connection("bolt")))
    checked = engagement("check", "--conn-id", "engagement_bolt")
    assert "totals, 28hr, historical" in checked.out


@pytest.mark.usefixtures("app_only", "questions")
def test_the_new_connection_can_be_named(engagement: Command) -> None:
    assert connection_of(engagement("authorize", "--name", "mine").out)["conn_id"] == "mine"


@pytest.mark.usefixtures("app_only")
@pytest.mark.parametrize(
    ("pin", "code", "words"),
    [
        ("0000000\n", ExitCode.ACCESS, "The service did not accept the PIN."),
        ("no\n", ExitCode.USAGE, "The PIN must be the number that the page shows."),
        ("", ExitCode.USAGE, "The PIN must be the number that the page shows."),
    ],
)
def test_a_wrong_pin_is_refused(
    engagement: Command, monkeypatch: pytest.MonkeyPatch, pin: str, code: ExitCode, words: str
) -> None:
    monkeypatch.setattr(terminal.Terminal, "ask", lambda *_: pin)
    ended = engagement("authorize")
    assert (ended.code, ended.out) == (code, "")
    assert words in ended.err


def test_wrong_keys_are_refused_before_the_owner_is_asked(
    engagement: Command, app_only: Simulator, monkeypatch: pytest.MonkeyPatch, questions: list[str]
) -> None:
    held = app_only.connection("acme", user_tokens=False, bearer=False)
    wrong = json.dumps({**held, "password": "wrong-secret"})
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", wrong)
    ended = engagement("authorize")
    assert ended.code == ExitCode.ACCESS
    assert "did not accept the app's key and secret" in ended.err
    assert "wrong-secret" not in ended.err
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", '{"extra": {"bearer_token": "AAAA"}}')
    ended = engagement("authorize")
    assert ended.code == ExitCode.ACCESS
    assert "does not hold the app's key and secret" in ended.err
    assert questions == []


def test_a_pin_is_valid_once(app_only: Simulator) -> None:
    held = app_only.world.credentials("acme")
    settings = Settings(
        Credentials(Secret(held["consumer_key"]), Secret(held["consumer_secret"])),
        account="x",
        oauth2_endpoint=f"{app_only.url}/oauth2/token",
    )
    received: list[Secret] = []
    with PinFlow(settings, on_secret=received.append) as flow:
        pin = pin_for(flow.begin(), "acme")
        tokens = flow.finish(f" {pin}\n")
        assert tokens.account == "acme"
        assert tokens.access_token == Secret(held["access_token"])
        assert tokens.access_token_secret == Secret(held["access_token_secret"])
        assert received[1:] == [tokens.access_token, tokens.access_token_secret]
        with pytest.raises(AuthenticationError, match="did not accept the PIN"):
            flow.finish(pin)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"oauth_token=a", b"\xff", b""])
def test_a_reply_without_tokens_is_an_error(body: bytes) -> None:
    key = Secret("key-of-app")
    with raw_server([http_response(body)]) as url:
        settings = Settings(
            Credentials(key, key), account="x", oauth2_endpoint=f"{url}/oauth2/token"
        )
        flow = PinFlow(settings, on_secret=lambda _: None)
        with flow, pytest.raises(ServiceError, match="did not send tokens"):
            flow.begin()
