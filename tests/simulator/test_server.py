"""Connections that are reused, parallel, closed early or stopped; and the request log."""

from __future__ import annotations

import gc
import gzip
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_engagement.simulator import Simulator

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator import World
    from tests.simulator.conftest import Client, Start


def test_connection_is_reused(client: Client, own: list[str]) -> None:
    body = client.body(own, ["favorites"])
    client.ask("totals", body)
    first = [c.sock for c in pools(client)]
    for _ in range(20):
        assert client.ask("totals", body).status_code == 200
    assert [c.sock for c in pools(client)] == first


def pools(client: Client) -> Any:
    adapter = client.session.get_adapter(client.simulator.url)
    pool = adapter.poolmanager.connection_from_url(client.simulator.url)
    return [one for one in pool.pool.queue if one is not None]


def test_many_requests_are_answered_at_once(world: World, start: Start, own: list[str]) -> None:
    client = start(world, latency=0.2)
    body = client.body(own, ["favorites"])

    def ask(_: Any) -> Any:
        with requests.Session() as session:
            url = client.simulator.url + "/insights/engagement/totals"
            return session.post(url, json=body, auth=client.auth(), timeout=10).status_code

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(ask, range(20))) == {200}
    assert 0.2 <= time.monotonic() - began < 3
    assert client.simulator.stats()["ids_requested"] == 20 * len(own)


def test_request_log_holds_the_requests(client: Client, own: list[str]) -> None:
    body = client.body(own, ["favorites", "retweets"])
    client.ask("totals", body, account=None, headers={"X-Mine": "1"})
    (received,) = client.simulator.requests
    assert received.endpoint == "totals"
    assert received.status == 200
    assert received.tweet_ids == own
    assert received.engagement_types == ["favorites", "retweets"]
    assert (received.access, received.account, received.fault) == ("public", None, None)
    assert received.headers["x-mine"] == "1"
    assert received.body == body
    assert abs(received.at - time.time()) < 10


def test_request_log_is_bounded_but_statistics_count_all(world: World, start: Start) -> None:
    client = start(world, keep=3)
    for _ in range(5):
        client.post("/nothing")
    client.post("/insights/engagement/28hr", json={})
    assert len(client.simulator.requests) == 3
    figures = client.session.get(client.simulator.url + "/_simulator/stats", timeout=10).json()
    assert figures == client.simulator.stats()
    assert figures["requests"] == {"/nothing": {"404": 5}, "28hr": {"401": 1}}


def test_front_page_describes_the_simulator(client: Client) -> None:
    page = client.session.get(client.simulator.url, timeout=10)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    assert "stand-in" in page.text
    assert client.simulator.requests == []


def test_connection_has_the_fields_of_airflow(client: Client, world: World) -> None:
    simulator = client.simulator
    connection = simulator.connection("bolt")
    keys = world.credentials("bolt")
    assert json.loads(json.dumps(connection)) == {
        "conn_type": "engagement",
        "host": simulator.url,
        "login": keys["consumer_key"],
        "password": keys["consumer_secret"],
        "extra": {
            "account": "bolt",
            "oauth2_endpoint": simulator.url + "/oauth2/token",
            "access_token": keys["access_token"],
            "access_token_secret": keys["access_token_secret"],
            "bearer_token": keys["bearer_token"],
        },
    }
    least = simulator.connection("bolt", user_tokens=False, bearer=False)
    assert set(least["extra"]) == {"account", "oauth2_endpoint"}


def raw_request(client: Client, body: Any) -> bytes:
    url = client.simulator.url + "/insights/engagement/totals"
    prepared = requests.Request("POST", url, json=body, auth=client.auth()).prepare()
    headers = {**prepared.headers, "Accept-Encoding": "gzip", "Host": url.split("/")[2]}
    lines = [f"{k}: {v.decode() if isinstance(v, bytes) else v}" for k, v in headers.items()]
    head = "\r\n".join(["POST /insights/engagement/totals HTTP/1.1", *lines])
    return head.encode() + b"\r\n\r\n" + prepared.body


def connect(client: Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(client.simulator.url.rsplit(":", 1)[1])), 5)


@pytest.mark.parametrize("part", [0, 10, -5, None])
def test_closed_client_does_not_affect_others(
    world: World, start: Start, own: list[str], part: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    client = start(world, latency=0.05)
    whole = raw_request(client, client.body(own, ["favorites"]))
    with connect(client) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(whole[:part])
    assert client.ask("totals", client.body(own, ["favorites"])).status_code == 200
    client.simulator.stop()
    gc.collect()
    assert capfd.readouterr().err == ""


def test_malformed_request_is_answered_and_closed(
    client: Client, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(client) as connection:
        connection.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert b"400" in connection.recv(1000)
    assert capfd.readouterr().err == ""


# Two packets would cost a client 40 ms: its late acknowledgement of the first delays the second.
def test_response_is_one_gzip_stream(client: Client, own: list[str]) -> None:
    with connect(client) as connection:
        connection.sendall(raw_request(client, client.body(own, ["favorites"])))
        head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert set(json.loads(gzip.decompress(body))["requested"]) == set(own)


def test_stop_ends_all_threads_and_connections(world: World) -> None:
    before = threading.active_count()
    simulator = Simulator(world)
    with simulator, socket.create_connection(("127.0.0.1", int(simulator.url.rsplit(":")[-1]))):
        address = simulator.url
        assert threading.active_count() > before
        with pytest.raises(RuntimeError, match="already"):
            simulator.start()
    assert threading.active_count() == before
    with pytest.raises(requests.ConnectionError):
        requests.get(address, timeout=5)
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url
    simulator.stop()


def test_stop_ends_slow_responses(world: World, start: Start, own: list[str]) -> None:
    client = start(world, latency=60)
    with connect(client) as connection:
        connection.sendall(raw_request(client, client.body(own, ["favorites"])))
        while not client.simulator.requests:
            time.sleep(0.005)
        began = time.monotonic()
        client.simulator.stop()
        assert time.monotonic() - began < 5


def test_port_in_use_is_an_error(client: Client, world: World) -> None:
    port = int(client.simulator.url.rsplit(":", 1)[1])
    with pytest.raises(OSError, match="in use"):
        Simulator(world, port=port).start()


def test_wildcard_address_is_reached_on_this_machine(world: World, start: Start) -> None:
    client = start(world, host="0.0.0.0")  # noqa: S104 - what is tested
    assert client.simulator.url.startswith("http://127.0.0.1:")
    assert client.session.get(client.simulator.url, timeout=5).status_code == 200
