from __future__ import annotations

import json
import logging
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from airflow.providers.common.compat.sdk import redact

from airflow_provider_engagement.api import auth as auth_module
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    InvalidArgumentError,
)
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.api.tweet_id import first_id_at
from airflow_provider_engagement.hooks.engagement import EngagementHook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from requests_mock import Mocker

    Connect = Callable[..., EngagementHook]

KEYS = {"login": "the-key", "password": "the+secret/of=it"}
TOKENS = {"access_token": "7-token", "access_token_secret": "the+token/secret=="}
EVERYTHING: dict[str, Any] = {
    "oauth2_endpoint": "https://api.example.com/oauth2/token",
    "bearer_token": "AAAA%2Fbearer%3D",
    "requests_per_minute": {"totals": 300, "28hr": 60.5},
    "max_concurrency": 12,
    "account": "acme",
    "timeout": 7.5,
    "strict_range": True,
}
EXPECTED = Settings(
    credentials=Credentials(
        consumer_key=Secret("the-key"),
        consumer_secret=Secret("the+secret/of=it"),
        access_token=Secret("7-token"),
        access_token_secret=Secret("the+token/secret=="),
        bearer_token=Secret("AAAA%2Fbearer%3D"),
    ),
    account="acme",
    host="https://engagement.example.com:8443/below",
    oauth2_endpoint="https://api.example.com/oauth2/token",
    requests_per_minute={EndpointName.TOTALS: 300.0, EndpointName.LAST_28_HOURS: 60.5},
    max_concurrency=12,
    timeout=7.5,
    strict_range=True,
)


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Give a hook for a connection that the environment holds, as JSON or, if text, as a URI."""

    def hook(given: str | dict[str, Any], conn_id: str = "engagement_test") -> EngagementHook:
        text = given if isinstance(given, str) else json.dumps({"conn_type": "engagement"} | given)
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)
        return EngagementHook(conn_id)

    return hook


def extra(**fields: Any) -> dict[str, Any]:
    return {**KEYS, "extra": fields}


def uri(host: str, **fields: str) -> str:
    login, password = quote(KEYS["login"], safe=""), quote(KEYS["password"], safe="")
    query = f"?{urlencode(fields)}" if fields else ""
    return f"engagement://{login}:{password}@{quote(host, safe='')}/{query}"


def test_every_field_of_a_connection_in_json(connect: Connect) -> None:
    host = "https://engagement.example.com:8443/below"
    hook = connect({**KEYS, "host": host, "extra": TOKENS | EVERYTHING})
    assert hook.get_settings() == EXPECTED


def test_every_field_of_a_connection_in_a_uri(connect: Connect) -> None:
    fields = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in (TOKENS | EVERYTHING).items()
    }
    host = "https://engagement.example.com:8443/below"
    assert connect(uri(host, **fields)).get_settings() == EXPECTED
    # What Airflow itself puts into a URI where an extra is no plain text.
    nested = {"__extra__": json.dumps(TOKENS | EVERYTHING)}
    assert connect(uri(host, **nested)).get_settings() == EXPECTED


def test_an_extra_may_be_json_in_text(connect: Connect) -> None:
    held = {**KEYS, "extra": json.dumps({"requests_per_minute": '{"totals": 5}'})}
    limits = connect(held).get_settings().requests_per_minute
    assert limits == {EndpointName.TOTALS: 5.0}


def test_a_connection_survives_airflows_own_uri(connect: Connect) -> None:
    hook = connect({**KEYS, "host": "http://127.0.0.1:8080", "extra": TOKENS | EVERYTHING})
    as_uri = hook.get_connection(hook.engagement_conn_id).get_uri()
    settings = connect(as_uri).get_settings()
    assert settings.host == "http://127.0.0.1:8080"
    assert settings.credentials == EXPECTED.credentials


def test_the_defaults(connect: Connect) -> None:
    assert connect(KEYS, "brand_eu").get_settings() == Settings(
        credentials=Credentials(Secret("the-key"), Secret("the+secret/of=it")),
        account="brand_eu",
        host="https://data-api.x.com",
        oauth2_endpoint="https://api.x.com/oauth2/token",
        requests_per_minute={},
        max_concurrency=8,
        timeout=60.0,
        strict_range=False,
    )


def test_empty_fields_mean_the_defaults(connect: Connect) -> None:
    empty = dict.fromkeys(TOKENS | EVERYTHING, "")
    nothing = dict.fromkeys(TOKENS | EVERYTHING)
    plain = connect(KEYS).get_settings()
    assert connect({**KEYS, "host": " ", "extra": empty}).get_settings() == plain
    assert connect({**KEYS, "extra": nothing}).get_settings() == plain


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({"host": "engagement.example.com"}, "https://engagement.example.com"),
        ({"host": "engagement.example.com", "port": 8443}, "https://engagement.example.com:8443"),
        ({"host": "https://example.com/", "port": 8443}, "https://example.com:8443/"),
        ({"host": "https://example.com:8443", "port": 8443}, "https://example.com:8443"),
        ({"host": "https://example.com/below", "port": 8443}, "https://example.com:8443/below"),
        ({"host": "localhost", "schema": "http", "port": 80}, "http://localhost:80"),
        ({"host": "http://[::1]", "port": 80}, "http://[::1]:80"),
    ],
)
def test_scheme_host_and_port_are_put_together(
    connect: Connect, given: dict[str, Any], host: str
) -> None:
    assert connect(KEYS | given).get_settings().host == host


def test_a_uri_with_a_port(connect: Connect) -> None:
    assert connect("engagement://k:s@localhost:8080/http").get_settings().host == (
        "http://localhost:8080"
    )
    assert connect("engagement://http://k:s@localhost:8080/").get_settings().host == (
        "http://localhost:8080"
    )


@pytest.mark.parametrize("given", [300, 300.0, "300", " 300 "])
def test_one_limit_is_for_every_endpoint(connect: Connect, given: object) -> None:
    settings = connect(extra(requests_per_minute=given)).get_settings()
    assert settings.requests_per_minute == dict.fromkeys(EndpointName, 300.0)


@pytest.mark.parametrize(
    "given", [{"28hr": 60, "totals": "300"}, '{"28hr": 60, "totals": 300}', {"28hr": "60.0"}]
)
def test_limits_by_endpoint(connect: Connect, given: object) -> None:
    limits = connect(extra(requests_per_minute=given)).get_settings().requests_per_minute
    assert limits[EndpointName.LAST_28_HOURS] == 60
    assert limits.get(EndpointName.TOTALS, 300) == 300
    assert EndpointName.HISTORICAL not in limits


@pytest.mark.parametrize(("given", "flag"), [(True, True), ("true", True), ("off", False)])
def test_a_flag_is_read(connect: Connect, given: object, flag: bool) -> None:
    assert connect(extra(strict_range=given)).get_settings().strict_range is flag


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"requests_per_minute": "many"}, "requests_per_minute must be a number, or an object"),
        ({"requests_per_minute": [300]}, "requests_per_minute must be a number"),
        ({"requests_per_minute": True}, "requests_per_minute must be a number"),
        ({"requests_per_minute": "{"}, "requests_per_minute must be a number"),
        ({"requests_per_minute": 0}, "requests_per_minute for totals is 0.0; it must be above"),
        ({"requests_per_minute": "nan"}, "requests_per_minute"),
        ({"requests_per_minute": {"total": 5}}, "has the keys total; allowed are: totals, 28hr"),
        ({"requests_per_minute": {"totals": "x"}}, "requests_per_minute for totals must be"),
        ({"requests_per_minute": {"totals": None}}, "requests_per_minute for totals"),
        ({"max_concurrency": "eight"}, "max_concurrency must be a number"),
        ({"max_concurrency": "nan"}, "max_concurrency"),
        ({"max_concurrency": "inf"}, "max_concurrency"),
        ({"max_concurrency": 2.5}, "max_concurrency"),
        ({"max_concurrency": 100}, "max_concurrency is 100; it must be from 1 to 64"),
        ({"max_concurrency": []}, "max_concurrency must be a number"),
        ({"timeout": "1m"}, "timeout must be a number"),
        ({"timeout": True}, "timeout must be a number"),
        ({"timeout": -1}, "timeout is -1.0; it must be above 0"),
        ({"oauth2_endpoint": "http://api.x.com/oauth2/token"}, "oauth2_endpoint is http://api"),
        ({"oauth2_endpoint": "https://a:b@api.x.com"}, "oauth2_endpoint must not hold a user"),
    ],
)
def test_a_wrong_field_is_named(connect: Connect, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        connect(extra(**fields)).get_settings()


@pytest.mark.parametrize(
    "host",
    [
        "http://data-api.x.com",
        "http://localhost.example.com",
        "http://10.0.0.1:8080",
        "ftp://localhost",
    ],
)
def test_plain_http_to_another_host_is_refused(connect: Connect, host: str) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"host is .*: only https is allowed, or http to this"
    ):
        connect({**KEYS, "host": host}).get_settings()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_plain_http_to_this_machine_is_taken(connect: Connect, host: str) -> None:
    url = f"http://{host}:8080"
    assert connect({**KEYS, "host": url}).get_settings().host == url


def test_a_password_in_the_host_is_refused_and_not_shown(connect: Connect) -> None:
    hook = connect({**KEYS, "host": "https://someone:hunter2@example.com"})
    with pytest.raises(
        InvalidArgumentError, match="host must not hold a user name or password"
    ) as caught:
        hook.get_settings()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Connection 'engagement_test' is empty.*login.*password.*access_token"),
        ({"host": "https://example.com"}, "is empty"),
        ({"login": " ", "extra": {"access_token": ""}}, "is empty"),
        ("engagement://", "is empty"),
        ({"login": "key"}, "neither the app's key and secret nor a bearer token"),
        ({"password": "secret"}, "neither the app's key and secret nor a bearer token"),
        (extra(access_token="t"), "access_token without the other"),
        (extra(access_token_secret="t"), "access_token_secret without the other"),
        ({"extra": TOKENS | {"bearer_token": "b"}}, "without the app's key and secret"),
    ],
)
def test_a_connection_that_holds_too_little(
    connect: Connect, given: str | dict[str, Any], message: str
) -> None:
    with pytest.raises(AuthenticationError, match=message):
        connect(given).get_settings()


@pytest.mark.parametrize("text", ["{not json", "[1]", '"text"', "7"])
def test_an_extra_that_is_not_an_object_is_an_error_that_does_not_show_it(
    connect: Connect, text: str
) -> None:
    hook = connect(KEYS)
    connection = hook.get_connection(hook.engagement_conn_id)
    connection.extra = text
    hook.get_connection = lambda _: connection  # type: ignore[method-assign,assignment,misc]  # as an older Airflow stored it
    with pytest.raises(
        InvalidArgumentError, match="'engagement_test': its extra is not a JSON object"
    ):
        hook.get_settings()


@pytest.mark.usefixtures("airflow_home")
def test_a_connection_that_does_not_exist() -> None:
    hook = EngagementHook("engagement_nowhere")
    with pytest.raises(AuthenticationError, match="'engagement_nowhere' does not exist"):
        hook.get_settings()


def test_airflow_makes_a_hook_without_touching_the_connection() -> None:
    hook = EngagementHook(**{EngagementHook.conn_name_attr: "nope"})
    assert hook.engagement_conn_id == "nope"
    assert EngagementHook().engagement_conn_id == EngagementHook.default_conn_name
    assert EngagementHook.conn_type == "engagement"


def assert_masked(settings: Settings, *more: str) -> None:
    encoded_variants = {
        form for secret in settings.credentials.secrets() for form in secret.encoded_variants()
    }
    for form in {*encoded_variants, *more}:
        assert form not in str(redact(f"said {form} and more"))


def test_every_encoded_form_of_every_secret_is_masked(connect: Connect) -> None:
    held = {"login": "m+key/one", "password": "m+secret/one="}
    tokens = {name: f"m+{name}/%2Fone=" for name in ("access_token", "access_token_secret")}
    hook = connect({**held, "extra": tokens | {"bearer_token": "m%2Bbearer%3D"}})
    settings = hook.get_settings()
    assert len(settings.credentials.secrets()) == 5
    assert_masked(settings)


def test_secrets_are_masked_even_if_the_connection_is_refused(connect: Connect) -> None:
    hook = connect({"login": "r+key/two", "password": "r+secret/two=", "host": "http://x.com"})
    with pytest.raises(InvalidArgumentError):
        hook.get_settings()
    held = Credentials(Secret("r+key/two"), Secret("r+secret/two="))
    assert_masked(Settings(credentials=held, account="a"))


def test_a_token_that_is_received_is_masked_too(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, requests_mock: Mocker
) -> None:
    monkeypatch.setattr(auth_module, "_EXCHANGED", {})
    token = "AAAA%2Freceived+token%3D"
    encoded_variants = Secret(token).encoded_variants()
    requests_mock.post(
        "https://api.x.com/oauth2/token", json={"token_type": "bearer", "access_token": token}
    )
    with connect(KEYS).get_conn() as client:
        assert any(form in str(redact(form)) for form in encoded_variants)
        client.prepare(EndpointName.TOTALS, Access.PUBLIC)
        assert_masked(client.settings, *encoded_variants)


def test_a_client_sends_to_the_host_of_the_connection(
    connect: Connect, requests_mock: Mocker, tmp_path: Path
) -> None:
    from airflow_provider_engagement.api.plan import make_plan
    from airflow_provider_engagement.api.query import build_query

    now = datetime.now(UTC)
    ids = [str(first_id_at(now - timedelta(days=days))) for days in (9, 5, 1)]
    sent = requests_mock.post(
        "https://engagement.example.com/below/insights/engagement/totals",
        json={"total": {tweet_id: {"impressions": "7"} for tweet_id in ids}},
    )
    hook = connect(extra(**TOKENS) | {"host": "https://engagement.example.com/below"})
    with hook.get_conn() as client:
        client._rate_state_directory = tmp_path  # noqa: SLF001 - the machine's own is not ours to use
        query = build_query(
            "totals",
            has_owner=client.settings.credentials.has_owner,
            engagement_types=["impressions"],
        )
        client.prepare(EndpointName.TOTALS, query.access)
        (request,) = make_plan(query, ids, now=now).requests
        response = client.send(query, request)
    assert sent.call_count == 1
    assert set(response.groupings["total"]) == set(ids)


def test_no_error_shows_a_secret_even_in_the_locals_of_its_traceback(
    connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook = connect(extra(**(TOKENS | {"timeout": "soon"})))
    with pytest.raises(EngagementError) as caught:
        hook.get_settings()
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    trace.stack[0].locals.clear()  # type: ignore[union-attr]  # this test's own
    text = "".join(trace.format()) + caplog.text
    assert not [secret for secret in (*KEYS.values(), *TOKENS.values()) if secret in text]
