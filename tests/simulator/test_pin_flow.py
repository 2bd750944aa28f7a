from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from requests_oauthlib import OAuth1

if TYPE_CHECKING:
    from conftest import Client

CHANGES = [
    ({"consumer_key": "other"}, "Consumer key"),
    ({"consumer_secret": "other"}, "Signature does not match"),
]


def app(client: Client, **changes: str) -> tuple[str, str]:
    keys = {**client.simulator.world.credentials("acme"), **changes}
    return keys["consumer_key"], keys["consumer_secret"]


def request_token(client: Client) -> dict[str, str]:
    reply = client.post("/oauth/request_token", auth=OAuth1(*app(client), callback_uri="oob"))
    assert reply.status_code == 200
    found = dict(parse_qsl(reply.text))
    assert found["oauth_callback_confirmed"] == "true"
    return found


def pin_of(client: Client, token: str, account: str = "acme") -> str:
    url = f"{client.simulator.url}/oauth/authorize"
    page = client.session.get(url, params={"oauth_token": token, "account": account}, timeout=10)
    assert page.status_code == 200
    assert f"@{account}" in page.text
    return page.text.split()[-1]


def access_token(client: Client, asked: dict[str, str], pin: str, **changes: str) -> Any:
    tokens = {**asked, **changes}
    auth = OAuth1(*app(client), tokens["oauth_token"], tokens["oauth_token_secret"], verifier=pin)
    return client.post("/oauth/access_token", auth=auth)


def test_an_owner_grants_the_tokens_of_the_account(client: Client) -> None:
    first, second = request_token(client), request_token(client)
    assert first["oauth_token"] != second["oauth_token"]
    for asked, account in ((second, "bolt"), (first, "acme")):
        reply = access_token(client, asked, pin_of(client, asked["oauth_token"], account))
        granted = dict(parse_qsl(reply.text))
        keys = client.simulator.world.credentials(account)
        assert granted["oauth_token"] == keys["access_token"]
        assert granted["oauth_token_secret"] == keys["access_token_secret"]
        assert granted["screen_name"] == account


@pytest.mark.parametrize(("changes", "words"), CHANGES)
def test_a_request_token_needs_the_signature_of_the_app(
    client: Client, changes: dict[str, str], words: str
) -> None:
    auth = OAuth1(*app(client, **changes), callback_uri="oob")
    reply = client.post("/oauth/request_token", auth=auth)
    assert reply.status_code == 401
    assert words.lower() in reply.text.lower()


def test_only_the_callback_of_the_pin_flow_is_known(client: Client) -> None:
    for callback in (None, "https://app.example/done"):
        auth = OAuth1(*app(client), callback_uri=callback)
        reply = client.post("/oauth/request_token", auth=auth)
        assert reply.status_code == 403
        assert "only support the oauth_callback 'oob'" in reply.text


def test_access_needs_the_pin_the_secret_and_the_page(client: Client) -> None:
    asked = request_token(client)
    early = access_token(client, asked, "0000000")
    assert (early.status_code, "Invalid oauth_verifier" in early.text) == (401, True)
    pin = pin_of(client, asked["oauth_token"])
    wrong = access_token(client, asked, f"{int(pin) + 1:07}")
    assert (wrong.status_code, "Invalid oauth_verifier" in wrong.text) == (401, True)
    for changes, words in (
        ({"oauth_token_secret": "other"}, "Signature does not match"),
        ({"oauth_token": "other"}, "Access token not found"),
    ):
        refused = access_token(client, asked, pin, **changes)
        assert (refused.status_code, words in refused.text) == (401, True)
    assert access_token(client, asked, pin).status_code == 200
    assert access_token(client, asked, pin).status_code == 401


def test_the_page_is_only_for_tokens_and_accounts_that_exist(client: Client) -> None:
    asked = request_token(client)["oauth_token"]
    url = f"{client.simulator.url}/oauth/authorize"
    for query in ({}, {"oauth_token": "other"}, {"oauth_token": asked, "account": "other"}):
        assert client.session.get(url, params=query, timeout=10).status_code == 404
    assert client.session.post(url, timeout=10).status_code == 404
