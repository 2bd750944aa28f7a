"""The contract's requests per minute."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.simulator.throttle import Throttle

if TYPE_CHECKING:
    from airflow_provider_engagement.simulator import World
    from tests.simulator.conftest import Client, Start


def test_windows_are_fixed_and_by_endpoint() -> None:
    clock = [1000.9]
    throttle = Throttle(2, clock=lambda: clock[0])
    seen = [throttle.count(EndpointName.TOTALS) for _ in range(3)]
    assert [(a.remaining, a.granted) for a in seen] == [(1, True), (0, True), (0, False)]
    assert {a.resets_at for a in seen} == {1060}
    assert throttle.count(EndpointName.HISTORICAL).granted
    clock[0] = 1059.99
    assert not throttle.count(EndpointName.TOTALS).granted
    clock[0] = 1060.0
    again = throttle.count(EndpointName.TOTALS)
    assert (again.granted, again.remaining, again.resets_at) == (True, 1, 1120)


def test_endpoint_without_a_limit_is_not_limited() -> None:
    throttle = Throttle({"28hr": 1})
    assert throttle.count(EndpointName.TOTALS) is None
    assert throttle.count(EndpointName.LAST_28_HOURS).limit == 1


def test_limit_of_an_unknown_endpoint_is_refused() -> None:
    with pytest.raises(ValueError, match="28hour"):
        Throttle({"28hour": 1})


def test_headers_show_the_allowance_until_requests_are_refused(
    world: World, start: Start, own: list[str]
) -> None:
    client = start(world, requests_per_minute=2)
    body = client.body(own, ["favorites"])
    answers = [client.ask("totals", body) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-per-minute-remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["x-per-minute-limit"] for answer in answers} == {"2"}
    (resets_at,) = {int(answer.headers["x-per-minute-reset"]) for answer in answers}
    assert 0 < resets_at - time.time() <= 60
    assert "rate limit" in answers[2].json()["errors"][0]
    assert answers[2].headers["x-simulator-invented"] == "true"
    # App-only requests draw on the same allowance; other endpoints have their own.
    assert client.ask("totals", body, account=None).status_code == 429
    assert client.ask("28hr", body).headers["x-per-minute-remaining"] == "1"
    # Who is not let in uses nothing up; who asks for something wrong does.
    assert client.post("/insights/engagement/historical", json=body).status_code == 401
    wrong = client.ask("historical", {})
    assert wrong.status_code == 400
    assert wrong.headers["x-per-minute-remaining"] == "1"


def test_reset_header_and_length_of_the_minute_are_options(
    world: World, start: Start, own: list[str]
) -> None:
    client = start(world, requests_per_minute={"totals": 1}, sends_reset=False, minute=1)
    body = client.body(own, ["favorites"])
    answer = client.ask("totals", body)
    assert "x-per-minute-reset" not in answer.headers
    assert answer.headers["x-per-minute-limit"] == "1"
    assert "x-per-minute-limit" not in client.ask("28hr", body).headers
    deadline = time.monotonic() + 5
    while client.ask("totals", body).status_code == 429:
        assert time.monotonic() < deadline


def test_no_limit_has_no_headers(client: Client, own: list[str]) -> None:
    headers = client.ask("totals", client.body(own, ["favorites"])).headers
    assert not [name for name in headers if name.lower().startswith("x-per-minute")]
