"""Signatures, bearers, and their exchange."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA256
from requests_oauthlib import OAuth1

from airflow_provider_engagement.simulator.auth import Authenticator
from airflow_provider_engagement.simulator.error_responses import ErrorResponse

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator import World
    from tests.simulator.conftest import Client, Start

TOTALS = "/insights/engagement/totals"
NOT_FOUND = "Your account could not be authenticated. Reason: Access token not found"
UNKNOWN = "Your account could not be authenticated. Reason: Unknown Authorization Type"


def words(answer: Any) -> Any:
    return answer.json()["errors"][0]


def test_valid_signature_is_accepted(client: Client, own: list[str]) -> None:
    answer = client.ask("totals", client.body(own, ["impressions"]))
    assert answer.status_code == 200
    assert client.simulator.requests[-1].access == "owner"
    assert client.simulator.requests[-1].account == "acme"


def test_signature_that_includes_a_query_is_accepted(client: Client, own: list[str]) -> None:
    answer = client.post(
        TOTALS + "?a=b%20c", json=client.body(own, ["impressions"]), auth=client.auth()
    )
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consumer_key": "other"}, "Consumer key not found"),
        ({"consumer_secret": "other"}, "Signature does not match"),
        ({"access_token": "other"}, "Access token not found"),
        ({"access_token_secret": "other"}, "Signature does not match"),
    ],
)
def test_each_wrong_key_is_refused(
    client: Client, own: list[str], changes: dict[str, Any], reason: str
) -> None:
    auth = client.auth(**changes)
    answer = client.ask("totals", client.body(own, ["impressions"]), auth=auth)
    assert answer.status_code == 401
    assert words(answer).endswith(f"Reason: {reason}")
    assert client.simulator.requests[-1].access is None


def test_tokens_of_one_account_are_refused_for_another(client: Client, own: list[str]) -> None:
    mixed = client.simulator.world.credentials("bolt")["access_token"]
    answer = client.ask(
        "totals", client.body(own, ["impressions"]), auth=client.auth(access_token=mixed)
    )
    assert words(answer).endswith("Signature does not match")


def test_signature_of_another_path_is_refused(client: Client, own: list[str]) -> None:
    url = client.simulator.url
    signed = requests.Request("POST", url + TOTALS, auth=client.auth()).prepare()
    headers = {"Authorization": signed.headers["Authorization"]}
    answer = client.post("/insights/engagement/28hr", json=client.body(own, []), headers=headers)
    assert words(answer).endswith("Signature does not match")


def test_nonce_is_accepted_once(client: Client, own: list[str]) -> None:
    signed = requests.Request("POST", client.simulator.url + TOTALS, auth=client.auth()).prepare()
    headers = {"Authorization": signed.headers["Authorization"]}
    body = client.body(own, ["impressions"])
    assert client.post(TOTALS, json=body, headers=headers).status_code == 200
    again = client.post(TOTALS, json=body, headers=headers)
    assert again.status_code == 401
    assert words(again).endswith("Nonce was used before")


def test_nonces_are_forgotten_once_they_are_stale(world: World) -> None:
    clock = [time.time()]
    gate = Authenticator(world.app, [world.user_token("acme")], lambda: clock[0])
    url = "http://localhost/x"
    auth = OAuth1(*list(world.credentials("acme").values())[:4])
    for _ in range(3):
        signed = requests.Request("POST", url, auth=auth).prepare().headers["Authorization"]
        gate.authenticate("POST", url, signed.decode() if isinstance(signed, bytes) else signed)
    assert len(gate._nonces) == 3  # noqa: SLF001 - it is the memory that must not grow
    clock[0] += 290
    late = requests.Request("POST", url, auth=auth).prepare().headers["Authorization"]
    late = late.decode() if isinstance(late, bytes) else late
    clock[0] += 9
    gate.authenticate("POST", url, late)
    assert len(gate._nonces) == 4  # noqa: SLF001 - as above
    clock[0] += 10
    with pytest.raises(ErrorResponse, match="out of bounds"):
        gate.authenticate("POST", url, late)


@pytest.mark.parametrize("offset", [-301, 301])
def test_stale_timestamp_is_refused(client: Client, own: list[str], offset: int) -> None:
    keys = client.simulator.world.credentials("acme")
    auth = OAuth1(*list(keys.values())[:4], timestamp=str(int(time.time()) + offset))
    answer = client.ask("totals", client.body(own, ["impressions"]), auth=auth)
    assert answer.status_code == 401
    assert words(answer).endswith("Timestamp is out of bounds")


def test_other_signature_methods_are_refused(client: Client, own: list[str]) -> None:
    keys = client.simulator.world.credentials("acme")
    auth = OAuth1(*list(keys.values())[:4], signature_method=SIGNATURE_HMAC_SHA256)
    answer = client.ask("totals", client.body(own, ["impressions"]), auth=auth)
    assert words(answer).endswith("Signature method must be HMAC-SHA1")


@pytest.mark.parametrize(
    "header",
    ["OAuth nonsense", 'OAuth oauth_token="a"', 'OAuth oauth_nonce="a", oauth_nonce="b"'],
)
def test_incomplete_oauth_header_is_refused(client: Client, own: list[str], header: str) -> None:
    answer = client.post(TOTALS, json=client.body(own, []), headers={"Authorization": header})
    assert answer.status_code == 401
    assert "OAuth parameters are missing or doubled" in words(answer)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}, {"Authorization": ""}])
def test_unknown_authorization_scheme_is_refused(
    client: Client, own: list[str], headers: Any
) -> None:
    answer = client.post(TOTALS, json=client.body(own, ["favorites"]), headers=headers)
    assert answer.status_code == 401
    assert words(answer) == UNKNOWN
    assert "x-simulator-invented" not in answer.headers


@pytest.mark.parametrize("token", [None, ""])
def test_signature_without_token_is_app_only_access(
    client: Client, own: list[str], token: str | None
) -> None:
    keys = client.simulator.world.credentials("acme")
    auth = OAuth1(keys["consumer_key"], keys["consumer_secret"], token, token)
    assert client.ask("totals", client.body(own, ["favorites"]), auth=auth).status_code == 200
    assert client.simulator.requests[-1].access == "public"
    assert client.ask("totals", client.body(own, ["impressions"]), auth=auth).status_code == 403


def test_bearer_token_is_compared_without_decoding(client: Client, own: list[str]) -> None:
    bearer = client.simulator.world.app.bearer
    assert "%2F" in bearer
    body = client.body(own, ["favorites"])
    assert client.ask("totals", body, account=None).status_code == 200
    for wrong in (requests.utils.unquote(bearer), bearer + "x", "x"):
        answer = client.post(TOTALS, json=body, headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
        assert words(answer) == NOT_FOUND


@pytest.mark.parametrize("account", ["acme", None])
def test_app_that_is_not_enabled_is_refused(
    world: World, start: Start, own: list[str], account: str | None
) -> None:
    client = start(world, app_enabled=False)
    body = client.body(own, ["favorites"])
    answer = client.ask("totals", body, account=account)
    assert answer.status_code == 403
    assert words(answer).endswith("your application id is not authorized.")
    wrong = client.ask("totals", body, auth=client.auth(access_token="other"))
    assert words(wrong) == NOT_FOUND


@pytest.mark.parametrize("endpoint", ["28hr", "historical"])
def test_time_series_need_an_owner(client: Client, own: list[str], endpoint: str) -> None:
    answer = client.ask(endpoint, client.body(own, ["favorites"]), account=None)
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["code"] == 220
    assert answer.headers["x-simulator-invented"] == "true"


def basic(key: str, secret: str) -> Any:
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


def test_exchange_returns_the_bearer_token(client: Client, world: World) -> None:
    headers = basic(quote(world.app.key, safe=""), quote(world.app.secret, safe=""))
    form = {"grant_type": "client_credentials"}
    answer = client.post("/oauth2/token", data=form, headers=headers)
    assert answer.status_code == 200
    assert answer.json() == {"token_type": "bearer", "access_token": world.app.bearer}
    assert client.simulator.requests[-1].endpoint == "token"


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {"grant_type": "client_credentials"}),
        ({"Authorization": "Basic ***"}, {"grant_type": "client_credentials"}),
        (basic("key", "secret"), {"grant_type": "client_credentials"}),
        ("good", {"grant_type": "password"}),
        ("good", {}),
        ("plain", {"grant_type": "client_credentials"}),
    ],
)
def test_exchange_refuses_anything_but_the_documented_request(
    client: Client, world: World, headers: Any, form: dict[str, str]
) -> None:
    # `plain` forgets to percent-encode the secret, which holds + / and =.
    if headers == "good":
        headers = basic(quote(world.app.key, safe=""), quote(world.app.secret, safe=""))
    elif headers == "plain":
        headers = basic(world.app.key, world.app.secret)
    answer = client.post("/oauth2/token", data=form, headers=headers)
    assert answer.status_code == 403
    assert answer.json() == {
        "errors": [
            {
                "message": "Unable to verify your credentials",
                "code": 99,
                "label": "authenticity_token_error",
            }
        ]
    }


def test_credentials_need_escaping_and_follow_from_the_seed(world: World) -> None:
    keys = world.credentials("acme")
    again = type(world)(seed=11, accounts=("acme", "bolt")).credentials("acme")
    assert keys == again
    assert keys != type(world)(seed=12).credentials("acme")
    for name in ("consumer_secret", "access_token_secret"):
        assert set("+/=") <= set(keys[name])
    other = world.credentials("bolt")
    shared = {name for name in keys if keys[name] == other[name]}
    assert shared == {"consumer_key", "consumer_secret", "bearer_token"}
