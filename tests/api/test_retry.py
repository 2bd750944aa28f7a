"""Retries by the clock: what passes is waited out, and requests in flight share what they learn."""

from __future__ import annotations

import threading
from itertools import repeat
from typing import TYPE_CHECKING

import pytest

from airflow_provider_engagement.api import auth
from airflow_provider_engagement.api.client import (
    EngagementClient,
    PullStoppedError,
    Retrier,
    RetryPolicy,
)
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
)
from airflow_provider_engagement.api.query import PlannedRequest, build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import Access, EndpointName

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any

    from requests_mock import Mocker

IMPATIENT = RetryPolicy(budget=0.0)
PATIENT = RetryPolicy(budget=60.0, first_wait=0.0, max_wait=0.0)
URL = "https://data-api.x.com/insights/engagement/totals"
TOKEN_URL = "https://api.x.com/oauth2/token"
COUNTS: dict[str, Any] = {"json": {"total": {"20": {"favorites": "1"}}}}
PAGE: dict[str, Any] = {"text": "<!DOCTYPE html><html>Blocked by policy</html>"}
QUERY = build_query("totals", has_owner=True, engagement_types=["favorites", "impressions"])
REQUEST = PlannedRequest(("20",), ("favorites",), Access.OWNER)


def tried(retrier: Retrier, errors: Iterable[EngagementError | None]) -> int:
    """Run attempts that raise the errors in turn; return how many there were."""
    outcomes = iter(errors)
    attempts = 0
    for attempt in retrier.attempts():
        with attempt:
            attempts += 1
            error = next(outcomes)
            if error is not None:
                raise error
    return attempts


@pytest.fixture(autouse=True)
def _no_token_exchanged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_EXCHANGED", {})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[EngagementClient]:
    credentials = Credentials(*(Secret(f"secret-{n}") for n in range(4)))
    settings = Settings(credentials=credentials, account="acme")
    with EngagementClient(settings, retry=PATIENT, rate_state_directory=tmp_path) as client:
        client.prepare(EndpointName.TOTALS, Access.OWNER)
        yield client


def send(client: EngagementClient) -> dict[str, Any]:
    for attempt in client.attempts():
        with attempt:
            return dict(client.send(QUERY, REQUEST).groupings)
    raise AssertionError


def test_a_request_is_retried_until_its_budget_is_spent_however_often() -> None:
    faults = [*repeat(ServiceError("down"), 99), None]
    assert tried(Retrier(PATIENT), faults) == 100
    with pytest.raises(ServiceError):
        tried(Retrier(IMPATIENT), faults)


def test_an_error_that_is_not_retryable_is_raised_at_once() -> None:
    with pytest.raises(PermissionDeniedError):
        tried(Retrier(PATIENT), [PermissionDeniedError("no"), None])


def test_a_refusal_for_the_rate_is_retried_without_a_wait_of_its_own() -> None:
    slow = Retrier(RetryPolicy(budget=60.0, first_wait=1000.0, max_wait=1000.0))
    assert tried(slow, [RateLimitError("429", status=429), RateLimitError("wait"), None]) == 3


def test_one_success_ends_the_wait_of_every_other_request() -> None:
    retrier = Retrier(RetryPolicy(budget=3600.0, first_wait=3600.0, max_wait=3600.0))
    attempts: list[int] = []

    def fetch() -> None:
        attempts.append(tried(retrier, [ServiceError("down"), None]))

    threads = [threading.Thread(target=fetch, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = threading.Event()
    while any(thread.is_alive() for thread in threads) and not deadline.wait(0.01):
        retrier.record_success()
    assert attempts == [2] * 8


def test_stop_ends_every_wait_with_an_error() -> None:
    retrier = Retrier(RetryPolicy(first_wait=3600.0, max_wait=3600.0))
    retrier.stop()
    with pytest.raises(PullStoppedError):
        tried(retrier, [ServiceError("down"), None])
    with pytest.raises(PullStoppedError):
        retrier.wait(3600.0)


@pytest.mark.parametrize("status", [401, 403, 404, 407, 418])
def test_a_page_of_a_proxy_or_firewall_is_waited_out(
    client: EngagementClient, requests_mock: Mocker, status: int
) -> None:
    if status == 407:
        requests_mock.post(URL, status_code=status, **PAGE)
        with pytest.raises(ServiceError, match="requires a user name and password") as caught:
            send(client)
        assert not caught.value.retryable
        return
    requests_mock.post(URL, [{"status_code": status, **PAGE}] * 3 + [COUNTS])
    assert send(client) == COUNTS["json"]


def test_wrong_credentials_fail_at_once(client: EngagementClient, requests_mock: Mocker) -> None:
    requests_mock.post(URL, [{"status_code": 401, "json": {"errors": ["no"]}}, COUNTS])
    with pytest.raises(AuthenticationError):
        send(client)
    assert requests_mock.call_count == 1


@pytest.mark.parametrize(
    "accepted", [COUNTS, {"status_code": 403, "json": {"errors": ["Forbidden to access tweets"]}}]
)
def test_a_401_after_the_credentials_were_accepted_is_retried(
    client: EngagementClient, requests_mock: Mocker, accepted: dict[str, Any]
) -> None:
    refused = {"status_code": 401, "json": {"errors": ["no"]}}
    requests_mock.post(URL, [accepted, refused, refused, COUNTS])
    if accepted is COUNTS:
        send(client)
    else:
        with pytest.raises(PermissionDeniedError):
            send(client)
    assert send(client) == COUNTS["json"]


def test_a_token_exchange_is_retried_on_503(
    client: EngagementClient, requests_mock: Mocker
) -> None:
    token = {"json": {"token_type": "bearer", "access_token": "AAAA"}}
    requests_mock.post(TOKEN_URL, [{"status_code": 503}, {"status_code": 403, **PAGE}, token])
    client.prepare(EndpointName.TOTALS, Access.PUBLIC)
    assert requests_mock.call_count == 3


def test_a_refused_token_exchange_is_retried_once_the_app_is_known_to_be_accepted(
    client: EngagementClient, requests_mock: Mocker
) -> None:
    refused = {"status_code": 403, "json": {"errors": [{"code": 99}]}}
    token = {"json": {"token_type": "bearer", "access_token": "BBBB"}}
    requests_mock.post(TOKEN_URL, [refused, refused, token])
    with pytest.raises(AuthenticationError):
        client.prepare(EndpointName.TOTALS, Access.PUBLIC)
    requests_mock.post(URL, **COUNTS)
    send(client)
    client.prepare(EndpointName.TOTALS, Access.PUBLIC)
    exchanges = [one for one in requests_mock.request_history if one.url == TOKEN_URL]
    assert len(exchanges) == 3
