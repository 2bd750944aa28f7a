"""Faults on purpose."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_engagement.simulator import FAULT_KINDS, Faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_engagement.simulator import FaultKind, World
    from tests.simulator.conftest import Client, Start

    Faulty = Callable[..., tuple[Client, Callable[[], requests.Response]]]


@pytest.fixture
def faulty(world: World, start: Start, own: list[str]) -> Faulty:
    """Give a client whose first requests meet the faults given, and what sends one."""

    def ask(*kinds: FaultKind, **options: Any) -> tuple[Client, Callable[[], requests.Response]]:
        client = start(world, faults=Faults(script=kinds, **options))
        return client, lambda: client.ask("totals", client.body(own, ["favorites"]))

    return ask


@pytest.mark.parametrize(
    ("kind", "message", "invented"),
    [
        ("429", "The request is over the rate limit.", True),
        ("500", "internal server error", False),
        ("502", "Proxy Error", True),
        ("503", "Service Unavailable", True),
    ],
)
def test_failure_has_its_status(
    faulty: Faulty, kind: FaultKind, message: str, invented: bool
) -> None:
    client, ask = faulty(kind)
    answer = ask()
    assert answer.status_code == int(kind)
    assert answer.json() == {"errors": [message]}
    assert ("x-simulator-invented" in answer.headers) is invented
    assert ask().status_code == 200
    assert [r.fault for r in client.simulator.requests] == [kind, None]


def test_malformed_is_json_that_breaks_off(faulty: Faulty) -> None:
    _, ask = faulty("malformed")
    answer = ask()
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert answer.text.startswith("{")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert ask().json()


def test_html_is_a_page_with_status_200(faulty: Faulty) -> None:
    _, ask = faulty("html")
    answer = ask()
    assert answer.status_code == 200
    assert answer.text.startswith("<!DOCTYPE html>")
    assert "content-encoding" not in answer.headers


def test_truncated_response_ends_in_the_middle_of_the_body(faulty: Faulty) -> None:
    _, ask = faulty("truncated")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        ask()
    assert ask().status_code == 200


def test_hang_sends_nothing_and_closes_the_connection(faulty: Faulty) -> None:
    client, ask = faulty("hang", hang_seconds=0.05)
    with pytest.raises(requests.ConnectionError):
        ask()
    assert client.simulator.requests[-1].status == 0
    assert ask().status_code == 200


def test_hang_ends_when_the_simulator_stops(world: World, start: Start, own: list[str]) -> None:
    client = start(world, faults=Faults(script=("hang",), hang_seconds=600))
    with pytest.raises(requests.Timeout):
        client.session.post(
            client.simulator.url + "/insights/engagement/totals",
            json=client.body(own, ["favorites"]),
            auth=client.auth(),
            timeout=(5, 0.1),
        )
    began = time.monotonic()
    client.simulator.stop()
    assert time.monotonic() - began < 5


def test_share_of_faults_follows_from_the_seed() -> None:
    faults = Faults(share=0.2, seed=4)
    met = [faults.pick(n) for n in range(5000)]
    assert met == [Faults(share=0.2, seed=4).pick(n) for n in range(5000)]
    assert met != [Faults(share=0.2, seed=5).pick(n) for n in range(5000)]
    counts = Counter(met)
    assert 900 < 5000 - counts[None] < 1100
    assert set(counts) == {*FAULT_KINDS, None}
    assert min(counts[kind] for kind in FAULT_KINDS) > 80
    assert {Faults(share=1.0, kinds=("500",)).pick(n) for n in range(50)} == {"500"}
    assert {Faults().pick(n) for n in range(50)} == {None}


def test_faults_can_be_set_while_it_runs(client: Client, own: list[str]) -> None:
    body = client.body(own, ["favorites"])
    assert client.ask("totals", body).status_code == 200
    client.simulator.faults = Faults(share=1.0, kinds=("503",))
    assert client.simulator.faults.share == 1.0
    assert client.ask("totals", body).status_code == 503
    # Who is not let in, and the exchange of a bearer, meet none.
    assert client.post("/insights/engagement/totals", json=body).status_code == 401
    assert client.post("/oauth2/token").status_code == 403
    assert client.simulator.stats()["faults"] == {"503": 1}


@pytest.mark.parametrize(
    "options",
    [
        {"share": 1.5},
        {"share": -0.1},
        {"share": 0.5, "kinds": ()},
        {"kinds": ("504",)},
        {"script": ("none",)},
    ],
)
def test_invalid_arguments_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"share|faults"):
        Faults(**options)
