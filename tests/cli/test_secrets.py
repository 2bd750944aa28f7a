"""Secrets are in nothing that a command prints, but in the connection that `authorize` prints."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from command_line import pin_for

from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.cli import terminal
from airflow_provider_engagement.cli.connection import VARIABLES
from airflow_provider_engagement.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Command, Ended

    from airflow_provider_engagement.simulator import Simulator


def planted(service: Simulator) -> set[str]:
    """Return every form of every secret of the account."""
    held = service.world.credentials("acme").values()
    return {form for each in held for form in Secret(str(each)).encoded_variants()}


def found_in(text: str, secrets: set[str]) -> set[str]:
    return {secret for secret in secrets if secret in text}


def both(ended: Ended) -> str:
    return ended.out + ended.err


@pytest.fixture
def echo() -> Iterator[str]:
    """Serve errors that repeat the whole request, with its headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            words = [{"message": f"could not be authenticated: {self.headers}"}]
            body = json.dumps({"errors": words}).encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("arguments", ["check -v", "pull totals 20 -v", "authorize -v"])
def test_a_service_that_repeats_the_request_reveals_nothing(
    engagement: Command,
    service: Simulator,
    echo: str,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
) -> None:
    held: dict[str, Any] = service.connection("acme")
    extra = {**held["extra"], "oauth2_endpoint": f"{echo}/oauth2/token"}
    connection = {**held, "host": echo, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(connection))
    ended = engagement(*arguments.split())
    assert ended.code == ExitCode.ACCESS
    assert "Traceback" in ended.err
    assert found_in(both(ended), planted(service)) == set()


@pytest.mark.parametrize("arguments", ["check -v", "pull totals 20 -v", "plan totals 20 -v"])
@pytest.mark.parametrize("source", ["json", "uri", "variables"])
def test_an_error_with_secrets_in_its_text_and_frames_reveals_nothing(
    engagement: Command,
    service: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    source: str,
) -> None:
    held = service.connection("acme")
    fields = {"login": held["login"], "password": held["password"], **held["extra"]}
    if source == "variables":
        monkeypatch.delenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT")
        for name, value in {**fields, "host": held["host"]}.items():
            monkeypatch.setenv(VARIABLES[name], value)
    elif source == "uri":
        from airflow.models.connection import Connection

        extra = json.dumps(held["extra"])
        stored = Connection(
            "x", "engagement", None, held["host"], held["login"], held["password"], extra=extra
        )
        monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", stored.get_uri())
    secrets = planted(service)

    def fail(*_: object, **__: object) -> None:
        logging.getLogger("airflow_provider_engagement.x").warning("Sent: %s", " ".join(secrets))
        raise RuntimeError(" ".join(secrets))

    for name in ("check_command.probe", "pull_commands.plan_requests"):
        monkeypatch.setattr(f"airflow_provider_engagement.cli.{name}", fail)
    ended = engagement(*arguments.split())
    assert ended.code == ExitCode.UNEXPECTED
    assert "WARNING Sent: *** ***" in ended.err
    assert "RuntimeError: *** ***" in ended.err
    assert found_in(both(ended), secrets) == set()
    quiet = engagement(*arguments.removesuffix(" -v").split(), "-q")
    assert quiet.err == (
        "engagement: unexpected RuntimeError. Run the command with --verbose for its traceback.\n"
    )


def test_only_the_output_of_authorize_holds_secrets(
    engagement: Command,
    service: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = service.connection("acme", user_tokens=False, bearer=False)
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(held))

    def ask(_: object, question: str) -> str:
        assert found_in(question, planted(service)) == set()
        return pin_for(question, "acme")

    monkeypatch.setattr(terminal.Terminal, "ask", ask)
    caplog.set_level(logging.DEBUG)
    ended = engagement("authorize", "-v")
    granted: dict[str, Any] = dict(service.world.credentials("acme"))
    for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret"):
        assert granted[name] in ended.out
    assert found_in(ended.err + caplog.text, planted(service)) == set()


def test_a_token_that_is_received_is_hidden(
    engagement: Command, service: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = service.connection("acme", user_tokens=False, bearer=False)
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(held))
    hidden: list[Secret] = []
    hide: Callable[..., None] = terminal.Terminal.hide

    def note(self: terminal.Terminal, secret: Secret) -> None:
        hidden.append(secret)
        hide(self, secret)

    monkeypatch.setattr(terminal.Terminal, "hide", note)
    ended = engagement("pull", "totals", "20", "-v")
    assert ended.code == ExitCode.OK
    assert service.world.app.bearer in {secret.reveal() for secret in hidden}
    assert found_in(both(ended), planted(service)) == set()
