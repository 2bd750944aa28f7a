from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import pytest
import requests
from raw_server import http_response, raw_server
from support import pull_rows, settings_for

from airflow_provider_engagement import __version__
from airflow_provider_engagement.api import auth as auth_module
from airflow_provider_engagement.api.auth import BearerAuth, exchange_token, owner_auth
from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    ServiceError,
)
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import ENDPOINTS, Access
from airflow_provider_engagement.api.transport import new_session, post
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from pathlib import Path

    from requests_mock import Mocker

NOW = datetime.now(UTC).replace(microsecond=0)
URL = "https://data-api.x.com/insights/engagement/totals"
BODY = {"tweet_ids": ["20"], "engagement_types": ["favorites"]}

# X's documentation, "Creating a signature": one request, under the API's old and new path.
DOCUMENTED = Credentials(
    consumer_key=Secret("xvz1evFS4wEEPTGEFPHBog"),
    consumer_secret=Secret("kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw"),
    access_token=Secret("370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb"),
    access_token_secret=Secret("LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE"),
)
NONCE = "kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg"
TIMESTAMP = "1318622958"


@pytest.fixture(autouse=True)
def _nothing_exchanged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_module, "_EXCHANGED", {})


@pytest.fixture
def world() -> World:
    return World(seed=3, accounts=("acme",), now=NOW)


def at_the_documented_moment(credentials: Credentials) -> Any:
    auth: Any = owner_auth(credentials)
    auth.client.nonce, auth.client.timestamp = NONCE, TIMESTAMP
    return auth


def parameters(request: requests.PreparedRequest) -> dict[str, str]:
    header = request.headers["Authorization"]
    text = header.decode() if isinstance(header, bytes) else header
    assert text.startswith("OAuth ")
    return {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', text)}


def json_request(auth: Any) -> requests.PreparedRequest:
    return requests.Request(
        "POST",
        URL,
        data=json.dumps(BODY).encode(),
        headers={"Content-Type": "application/json"},
        auth=auth,
    ).prepare()


def hmac_by_hand(credentials: Credentials, signed: dict[str, str], url: str) -> str:
    """Sign as RFC 5849 says (sections 3.4.1 and 3.4.2), without a library."""

    def escaped(text: str) -> str:
        return quote(text, safe="-._~")

    pairs = sorted((escaped(name), escaped(value)) for name, value in signed.items())
    base = "&".join(map(escaped, ("POST", url, "&".join(f"{n}={v}" for n, v in pairs))))
    assert credentials.consumer_secret
    assert credentials.access_token_secret
    key = "&".join(
        escaped(secret.reveal())
        for secret in (credentials.consumer_secret, credentials.access_token_secret)
    )
    digest = hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("path", "signature"),
    [("1", "tnnArxj06cWHq44gCs1OSKk/jLY="), ("1.1", "hCtSmYh+iHYCEqBWrE7C7hYmtUk=")],
)
def test_the_signature_is_the_documented_one(path: str, signature: str) -> None:
    request = requests.Request(
        "POST",
        f"https://api.twitter.com/{path}/statuses/update.json?include_entities=true",
        data={"status": "Hello Ladies + Gentlemen, a signed OAuth request!"},
        auth=at_the_documented_moment(DOCUMENTED),
    ).prepare()
    assert parameters(request) == {
        "oauth_consumer_key": "xvz1evFS4wEEPTGEFPHBog",
        "oauth_nonce": NONCE,
        "oauth_signature": signature,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": TIMESTAMP,
        "oauth_token": "370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb",
        "oauth_version": "1.0",
    }


@pytest.mark.parametrize("secret", ["plain", "with+plus/slash=equals", "percent%2Fand & more~"])
def test_json_body_is_not_part_of_the_signature(secret: str) -> None:
    credentials = Credentials(
        consumer_key=Secret("key"),
        consumer_secret=Secret(secret),
        access_token=Secret("7-token"),
        access_token_secret=Secret(secret[::-1]),
    )
    request = json_request(owner_auth(credentials))
    signed = parameters(request)
    signature = signed.pop("oauth_signature")
    assert signature == hmac_by_hand(credentials, signed, URL)
    assert json.loads(request.body or b"") == BODY


def test_each_request_has_a_signature_of_its_own() -> None:
    auth = owner_auth(DOCUMENTED)
    nonces = {parameters(json_request(auth))["oauth_nonce"] for _ in range(50)}
    assert len(nonces) == 50
    assert abs(int(parameters(json_request(auth))["oauth_timestamp"]) - time.time()) < 60


def test_owner_access_without_tokens_is_refused() -> None:
    app_only = Credentials(consumer_key=Secret("key"), consumer_secret=Secret("secret"))
    with pytest.raises(AuthenticationError, match=r"no tokens of the Tweets' owner.*access_token"):
        owner_auth(app_only)


@pytest.mark.parametrize("access", Access)
def test_the_headers_on_the_wire(world: World, tmp_path: Path, access: Access) -> None:
    ids = world.tweets("acme", 3, since=NOW - timedelta(days=20), until=NOW)
    types = None if access is Access.OWNER else ["favorites"]
    with Simulator(world) as simulator:
        pull_rows(simulator, ids, now=NOW, rate_state_directory=tmp_path, engagement_types=types)
        (request,) = simulator.requests
    assert request.access == access
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["accept"] == "application/json"
    assert request.headers["user-agent"] == f"airflow-provider-engagement/{__version__}"
    assert request.headers["authorization"].startswith(
        "OAuth " if access is Access.OWNER else "Bearer "
    )
    assert set(request.body) == {"tweet_ids", "engagement_types", "groupings"}
    assert request.tweet_ids == ids


def test_bearer_token_is_sent_unchanged() -> None:
    token = "AAAA%2FBBBB%3D%2Bcc/d+e="
    request = json_request(BearerAuth(Secret(token)))
    assert request.headers["Authorization"] == f"Bearer {token}"


def test_netrc_file_does_not_replace_the_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine data-api.x.com login me password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    session = new_session(1)
    prepared = session.prepare_request(
        requests.Request("POST", URL, auth=BearerAuth(Secret("right")))
    )
    assert prepared.headers["Authorization"] == "Bearer right"


# ---- The exchange of key and secret for a token ----------------------------------------------


PAIR = Credentials(consumer_key=Secret("key+1"), consumer_secret=Secret("se/cr=et+"))
TOKEN_URL = "https://api.x.com/oauth2/token"
GOOD = {"json": {"token_type": "bearer", "access_token": "AAAA%2Fx%3D"}}


def exchanged(credentials: Credentials = PAIR, url: str = TOKEN_URL) -> Secret:
    settings = Settings(credentials=credentials, account="a", oauth2_endpoint=url)
    return exchange_token(settings, new_session(1))


def test_key_and_secret_are_exchanged_as_documented(requests_mock: Mocker) -> None:
    requests_mock.post(TOKEN_URL, **GOOD)
    assert exchanged().reveal() == "AAAA%2Fx%3D"
    (request,) = requests_mock.request_history
    scheme, _, pair = request.headers["authorization"].partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(pair).decode() == "key%2B1:se%2Fcr%3Det%2B"
    assert request.body == "grant_type=client_credentials"
    assert request.headers["content-type"].startswith("application/x-www-form-urlencoded")


def test_a_process_exchanges_once_for_each_app(requests_mock: Mocker) -> None:
    def reply_late(*_: object) -> dict[str, str]:
        time.sleep(0.05)  # long enough for the other threads to send their own, if they would
        return GOOD["json"]

    requests_mock.post(TOKEN_URL, json=reply_late)
    threads = [threading.Thread(target=exchanged) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert requests_mock.call_count == 1
    exchanged(Credentials(consumer_key=Secret("key2"), consumer_secret=Secret("secret2")))
    assert requests_mock.call_count == 2


def test_a_failed_exchange_is_not_remembered(requests_mock: Mocker) -> None:
    requests_mock.post(TOKEN_URL, [{"status_code": 503}, GOOD])
    with pytest.raises(ServiceError):
        exchanged()
    assert exchanged().reveal() == "AAAA%2Fx%3D"


@pytest.mark.parametrize(
    ("reply", "kind", "says"),
    [
        (
            {"status_code": 403, "json": {"errors": [{"code": 99}]}},
            AuthenticationError,
            "app's key and secret",
        ),
        ({"status_code": 401}, AuthenticationError, "Check login and password"),
        ({"status_code": 400}, AuthenticationError, "HTTP 400"),
        ({"text": "<html>sign in</html>"}, ServiceError, "Check oauth2_endpoint"),
        ({"json": []}, ServiceError, "not send a bearer token"),
        ({"json": {"token_type": "mac", "access_token": "x"}}, ServiceError, "bearer token"),
        ({"json": {"access_token": "x"}}, ServiceError, "bearer token"),
        ({"json": {"token_type": "bearer"}}, ServiceError, "bearer token"),
        ({"json": {"token_type": "bearer", "access_token": ""}}, ServiceError, "bearer token"),
        ({"json": {"token_type": "bearer", "access_token": 7}}, ServiceError, "bearer token"),
        (
            {"status_code": 302, "headers": {"Location": "http://example.com/"}},
            ServiceError,
            "HTTP 302",
        ),
        ({"status_code": 429}, ServiceError, "HTTP 429"),
        ({"status_code": 503, "text": "<html>"}, ServiceError, "HTTP 503"),
        (
            {"content": b"no gzip", "headers": {"Content-Encoding": "gzip"}},
            ServiceError,
            "token endpoint",
        ),
        ({"content": b'{"a":"' + b"x" * 200_000}, ServiceError, "bearer token"),
    ],
)
def test_an_exchange_that_fails_says_why_and_shows_no_secret(
    requests_mock: Mocker, reply: dict[str, Any], kind: type[EngagementError], says: str
) -> None:
    requests_mock.post(TOKEN_URL, **reply)
    with pytest.raises(kind, match=says) as caught:
        exchanged()
    assert requests_mock.call_count == 1, "redirects are not followed, refusals not repeated"
    assert_no_secret(PAIR, "".join(traceback.format_exception(caught.value)))


def test_incomplete_token_reply_shows_no_secret() -> None:
    with (
        raw_server([http_response(b"{", length=999)]) as url,
        pytest.raises(ServiceError, match="token endpoint") as caught,
    ):
        exchanged(url=url)
    assert_no_secret(PAIR, "".join(traceback.format_exception(caught.value)))


def test_a_token_endpoint_that_does_not_exist() -> None:
    with pytest.raises(ServiceError, match=r"could not be reached. .* the connection failed"):
        exchanged(url="http://127.0.0.1:9/oauth2/token")


def test_wrong_key_and_secret_are_refused_by_the_simulator(world: World, tmp_path: Path) -> None:
    with Simulator(world) as simulator:
        right = settings_for(simulator, user_tokens=False, bearer=False)
        wrong = Settings(
            credentials=PAIR,
            account="acme",
            host=right.host,
            oauth2_endpoint=right.oauth2_endpoint,
        )
        with (
            EngagementClient(wrong, rate_state_directory=tmp_path) as client,
            pytest.raises(AuthenticationError, match="did not accept the app's key and secret"),
        ):
            client.prepare(ENDPOINTS["totals"].name, Access.PUBLIC)
        with EngagementClient(right, rate_state_directory=tmp_path) as client:
            client.prepare(ENDPOINTS["totals"].name, Access.PUBLIC)


def test_received_token_is_reported_before_it_is_used(world: World, tmp_path: Path) -> None:
    received: list[tuple[Secret, int]] = []
    with Simulator(world) as simulator:
        settings = settings_for(simulator, bearer=False)
        client = EngagementClient(
            settings,
            on_secret=lambda secret: received.append((secret, len(simulator.requests))),
            rate_state_directory=tmp_path,
        )
        with client:
            client.prepare(ENDPOINTS["totals"].name, Access.PUBLIC)
    ((secret, requests_before),) = received
    assert secret.reveal() == world.app.bearer
    assert requests_before == 1


# ---- Nothing shows ---------------------------------------------------------------------------


def encoded_variants(credentials: Credentials) -> set[str]:
    return {form for secret in credentials.secrets() for form in secret.encoded_variants()}


def assert_no_secret(credentials: Credentials, text: str) -> None:
    assert not [form for form in encoded_variants(credentials) if form in text]


def test_no_secret_shows_in_what_holds_it(world: World) -> None:
    with Simulator(world) as simulator:
        settings = settings_for(simulator)
    held = [settings, settings.credentials, *settings.credentials.secrets()]
    held += [settings.redactor(), Secret("secret").encoded_variants]
    shown = "".join(f"{item!r} {item!s} {item}" for item in held)
    assert_no_secret(settings.credentials, shown)
    assert "***" in shown


def test_a_failing_request_shows_no_secret_even_with_every_local(tmp_path: Path) -> None:
    settings = Settings(credentials=DOCUMENTED, account="acme", host="http://127.0.0.1:9")
    query_session = new_session(1)
    with pytest.raises(ServiceError) as caught:
        post(
            query_session,
            f"{settings.host}/insights/engagement/totals",
            BODY,
            auth=owner_auth(DOCUMENTED),
            timeout=1,
        )
    received = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    received.stack[0].locals.clear()  # this test's own
    assert_no_secret(DOCUMENTED, "".join(received.format()))
    assert tmp_path


def test_signing_libraries_log_nothing_at_debug(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ids = world.tweets("acme", 3, since=NOW - timedelta(days=20), until=NOW)
    caplog.set_level(logging.DEBUG)
    with Simulator(world) as simulator:
        settings = settings_for(simulator, bearer=False)
        pull_rows(simulator, ids, now=NOW, rate_state_directory=tmp_path, settings=settings)
        exchange_token(settings, new_session(1))
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert "urllib3" in names, "the level is not DEBUG"
    assert not names & {"oauthlib", "requests_oauthlib"}
    assert_no_secret(settings.credentials, caplog.text)
    assert world.app.bearer not in caplog.text
