from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from airflow.models.connection import Connection

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError
from airflow_provider_engagement.cli.connection import (
    VARIABLES,
    find_settings,
    parse_connection,
    settings_of_environment,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_engagement.api.settings import Secret
    from airflow_provider_engagement.simulator import Simulator

FIELDS = ("host", "login", "password", "schema", "port", "extra")


@pytest.mark.parametrize(
    "text",
    [
        "engagement://key:secret@",
        "engagement://key:sec%2Fret%3D%40@?access_token=1-a%2B&access_token_secret=b%25",
        "engagement://key:secret@data-api.x.com:443/https?account=acme",
        "engagement://https://key:secret@data-api.x.com:8443/?account=",
        "engagement://http://key:secret@127.0.0.1:8080",
        "engagement://key:secret@/?__extra__=%7B%22timeout%22%3A+5%7D",
        "http://key:secret@[::1]:80/",
        json.dumps({"conn_type": "engagement", "login": "key", "password": "s", "port": "443"}),
        json.dumps({"login": "key", "extra": {"account": "acme", "timeout": 5}}),
        json.dumps({"login": "key", "extra": '{"account": "acme"}', "host": "https://a.example"}),
    ],
)
def test_a_connection_is_read_as_airflow_reads_it(text: str) -> None:
    if text.startswith("{"):
        expected = Connection.from_json(text, conn_id="x")
    else:
        expected = Connection(conn_id="x", uri=text)
    found = parse_connection(text)
    assert found is not None
    for name in FIELDS[:-1]:
        assert (getattr(found, name) or None) == (getattr(expected, name) or None), name
    assert json.loads(found.extra or "{}") == json.loads(expected.extra or "{}")


@pytest.mark.parametrize("text", ["{", "[]", '{"port": "x"}', "just-a-key", "e://k:s@h:99999999"])
def test_a_connection_that_cannot_be_read_is_never_shown(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", text)
    with pytest.raises(InvalidArgumentError) as raised:
        find_settings("broken", hide=lambda _: None)
    assert "AIRFLOW_CONN_BROKEN is set, but cannot be read" in str(raised.value)
    assert text not in str(raised.value)


def test_every_field_has_its_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "login": "key-of-app",
        "password": "secret-of-app",
        "access_token": "1-token",
        "access_token_secret": "secret-of-token",
        "bearer_token": "AAAA%2F",
        "host": "http://127.0.0.1:1234",
        "oauth2_endpoint": "http://127.0.0.1:1234/oauth2/token",
        "requests_per_minute": '{"totals": 300}',
        "max_concurrency": "3",
        "account": "acme",
        "timeout": "7.5",
        "strict_range": "true",
    }
    assert set(values) <= set(VARIABLES)
    for name, value in values.items():
        monkeypatch.setenv(VARIABLES[name], value)
    hidden: set[Secret] = set()
    settings = settings_of_environment(None, hide=hidden.add)
    assert settings is not None
    assert {each.reveal() for each in hidden} == set(list(values.values())[:5])
    assert hidden == set(settings.credentials.secrets())
    assert (settings.account, settings.host, settings.timeout) == ("acme", values["host"], 7.5)
    assert settings.requests_per_minute == {"totals": 300}
    assert (settings.max_concurrency, settings.strict_range) == (3, True)
    monkeypatch.delenv(VARIABLES["access_token"])
    with pytest.raises(AuthenticationError, match="without the other"):
        settings_of_environment(None, hide=hidden.add)


def test_a_named_connection_goes_before_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLES["bearer_token"], "of-variables")
    own = {"extra": {"bearer_token": "of-connection"}}
    monkeypatch.setenv("AIRFLOW_CONN_OWN", json.dumps(own))
    monkeypatch.setenv("AIRFLOW_CONN_ENGAGEMENT_DEFAULT", json.dumps(own))
    for conn_id, expected in (("own", "of-connection"), (None, "of-variables")):
        settings = find_settings(conn_id, hide=lambda _: None)
        token = settings.credentials.bearer_token
        assert token is not None
        assert token.reveal() == expected


def test_the_environment_needs_no_airflow(service: Simulator, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from airflow_provider_engagement.cli.__main__ import main\n"
        "code = main(['pull', 'totals', '20', '--types', 'favorites', '-o', sys.argv[1]])\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'airflow']\n"
        "sys.exit(code)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "counts.csv")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a fixed program, without a shell
    assert ended.returncode == 0, ended.stderr
    assert len(service.requests) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["counts.csv"]
