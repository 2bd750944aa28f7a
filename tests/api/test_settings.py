from __future__ import annotations

import traceback
from typing import Any

import pytest

from airflow_provider_engagement.api.errors import AuthenticationError, InvalidArgumentError
from airflow_provider_engagement.api.settings import (
    MASK,
    Credentials,
    Redactor,
    Secret,
    Settings,
    checked_url,
)
from airflow_provider_engagement.api.spec import EndpointName

APP = {"consumer_key": Secret("key"), "consumer_secret": Secret("s+e/c=")}
OWNER = {"access_token": Secret("token"), "access_token_secret": Secret("t+o/k=")}
BEARER = {"bearer_token": Secret("AAAA%2Fx")}


def settings(**changes: Any) -> Settings:
    return Settings(credentials=Credentials(**APP), account="acme", **changes)


@pytest.mark.parametrize(
    "url",
    [
        "https://data-api.x.com",
        "https://data-api.x.com:8443/below",
        "HTTPS://data-api.x.com",
        "http://localhost:8080",
        "http://LOCALHOST",
        "http://127.0.0.1",
        "http://127.8.8.8:1",
        "http://[::1]:8080",
    ],
)
def test_https_is_accepted_and_http_only_to_this_machine(url: str) -> None:
    assert checked_url(f"{url}/", name="host") == url


@pytest.mark.parametrize(
    "url",
    [
        "http://data-api.x.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://2130706433",
        "http:///",
        "https://",
        "https:data-api.x.com",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "data-api.x.com",
        "//data-api.x.com",
        "",
        "https://[::1",
        "https://data-api.x.com:port",
        "https://data-api.x.com:99999",
        "https://data-api.x.com?a=b",
        "https://data-api.x.com/#a",
        "https://data-api .x.com",
        "https://data-api.x.com/\n",
    ],
)
def test_no_credential_is_sent_elsewhere(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="host"):
        checked_url(url, name="host")


@pytest.mark.parametrize("url", ["https://me:secret@x.com", "https://me@x.com", "http://:pw@[::1]"])
def test_a_url_holds_no_password_and_the_error_does_not_show_it(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match="user name or password") as caught:
        settings(host=url)
    text = "".join(traceback.format_exception(caught.value))
    assert "secret" not in text.replace("test_a_url_holds_no_password", "")
    assert "me" not in str(caught.value).replace("name", "")


def test_the_token_endpoint_is_checked_too() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"oauth2_endpoint is http://api\.x\.com: only https"
    ):
        settings(oauth2_endpoint="http://api.x.com/oauth2/token")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_concurrency": 0}, "max_concurrency is 0; it must be from 1 to 64"),
        ({"max_concurrency": 65}, "max_concurrency is 65"),
        ({"timeout": 0}, "timeout is 0; it must be above 0"),
        ({"timeout": 3601}, "timeout is 3601"),
        ({"timeout": float("nan")}, "timeout is nan"),
        ({"requests_per_minute": {EndpointName.TOTALS: 0}}, "requests_per_minute for totals is 0"),
        ({"requests_per_minute": {EndpointName.TOTALS: -1}}, "must be above 0"),
        ({"requests_per_minute": {EndpointName.TOTALS: float("nan")}}, "must be above 0"),
    ],
)
def test_invalid_numbers_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        settings(**changes)


@pytest.mark.parametrize("held", [APP, APP | OWNER, APP | BEARER, BEARER, APP | OWNER | BEARER])
def test_complete_credentials_are_accepted(held: dict[str, Secret]) -> None:
    credentials = Credentials(**held)
    assert credentials.has_owner == ("access_token" in held)
    assert set(credentials.secrets()) == set(held.values())


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ({}, "neither the app's key and secret nor a bearer token"),
        ({"consumer_key": Secret("key")}, "neither the app's key and secret nor"),
        ({"consumer_secret": Secret("key")}, "neither the app's key and secret nor"),
        (APP | {"access_token": Secret("t")}, "access_token without the other"),
        (APP | {"access_token_secret": Secret("t")}, "access_token_secret without the other"),
        (APP | OWNER | {"access_token": Secret("")}, "access_token_secret without the other"),
        (BEARER | OWNER, "owner's tokens without the app's key and secret"),
    ],
)
def test_half_of_a_pair_is_refused(held: dict[str, Secret], message: str) -> None:
    with pytest.raises(AuthenticationError, match=message):
        Credentials(**held)


def test_settings_show_no_secret() -> None:
    shown = settings()
    for text in (repr(shown), str(shown), f"{shown}", repr(shown.redactor()), repr(APP)):
        assert "s+e/c=" not in text
        assert "key'" not in text.replace("consumer_key'", "")


def test_redactor_removes_every_variant_the_longest_first() -> None:
    secret = Secret("pass+word/12=")
    redact = Redactor([secret, None, Secret("pass"), Secret("abc")])
    for form in secret.encoded_variants():
        assert redact(f"<{form}>") == f"<{MASK}>"
    assert redact("abc is too short to be a secret") == "abc is too short to be a secret"
