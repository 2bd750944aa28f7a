"""What a connection can reach, and what is wrong where it reaches nothing."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from requests_mock import ANY
from support import settings_for

from airflow_provider_engagement.api import auth as auth_module
from airflow_provider_engagement.api import probe as probe_module
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    EngagementError,
    PermissionDeniedError,
    RateLimitError,
    RequestRejectedError,
    ServiceError,
)
from airflow_provider_engagement.api.probe import AccessReport, probe
from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.simulator import Faults, Simulator, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from requests_mock import Mocker

    from airflow_provider_engagement.api.settings import Settings

NOWHERE = "http://127.0.0.1:9"
CANARY = Secret("canary+secret/of=mine")
LIMITS = {"totals": 300, "28hr": 60, "historical": 120}
EVERYWHERE = list(EndpointName)


@dataclass(slots=True)
class Service:
    """A simulated service, and what asking it costs."""

    simulator: Simulator
    rate_state_directory: Path

    def settings(
        self,
        wrong: str = "",
        *,
        user_tokens: bool = True,
        bearer: bool = True,
        **fields: Any,
    ) -> Settings:
        """Give good settings, but for one of the credentials, and these fields."""
        good = settings_for(self.simulator, user_tokens=user_tokens, bearer=bearer)
        changed = {wrong: CANARY} if wrong else {}
        return replace(good, credentials=replace(good.credentials, **changed), **fields)

    def probe(self, wrong: str = "", **changes: Any) -> AccessReport:
        return probe(
            self.settings(wrong, **changes), rate_state_directory=self.rate_state_directory
        )

    def refusal(self, wrong: str = "", **changes: Any) -> EngagementError:
        with pytest.raises(EngagementError) as raised:
            self.probe(wrong, **changes)
        assert CANARY.reveal() not in str(raised.value)
        return raised.value

    @property
    def asked(self) -> list[str]:
        return [request.endpoint for request in self.simulator.requests]


@pytest.fixture(autouse=True)
def _nothing_exchanged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_module, "_EXCHANGED", {})


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    running: list[Simulator] = []

    def begin(world: World | None = None, **options: Any) -> Service:
        simulator = Simulator(world or World(foreign=["20"]), **options)
        simulator.start()
        running.append(simulator)
        return Service(simulator, tmp_path)

    yield begin
    for simulator in running:
        simulator.stop()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start(requests_per_minute=LIMITS)


@pytest.mark.parametrize(
    "world",
    [World(foreign=["20"]), World(deleted=["20"]), World(protected=["20"]), World()],
    ids=["foreign", "deleted", "protected", "own"],
)
def test_any_response_about_the_first_tweet_proves_the_credentials(
    start: Callable[..., Service], world: World
) -> None:
    service = start(world)
    reach = service.probe()
    assert reach.owner == EVERYWHERE
    assert reach.public
    assert not reach.warnings
    assert service.asked == ["totals", "28hr", "historical", "totals"]
    assert "The service reported no rate limit" in str(reach)


def test_owner_access_is_reported_with_limits(service: Service) -> None:
    text = str(service.probe())
    assert text == (
        "Private counts of the owner's Tweets: totals, 28hr, historical. "
        "Public counts of any Tweet: totals (favorites, retweets, replies, quote_tweets, "
        "video_views). "
        "Requests per minute, as the service reports them: totals 300, 28hr 60, historical 120."
    )


def test_app_alone_costs_one_request(service: Service) -> None:
    reach = service.probe(user_tokens=False)
    assert service.asked == ["totals"]
    assert (reach.owner, reach.public) == ([], True)
    assert str(reach).startswith(
        "No private counts: the connection has no access_token. Public counts"
    )


def test_key_and_secret_are_exchanged_if_no_bearer_token_is_stored(
    service: Service, tmp_path: Path
) -> None:
    received: list[Secret] = []
    settings = service.settings(user_tokens=False, bearer=False)
    assert probe(settings, on_secret=received.append, rate_state_directory=tmp_path).public
    assert service.asked == ["token", "totals"]
    assert [secret.reveal() for secret in received] == [service.simulator.world.app.bearer]


@pytest.mark.parametrize("bearer", [True, False], ids=["with bearer", "without bearer"])
@pytest.mark.parametrize("wrong", ["consumer_key", "consumer_secret"])
def test_wrong_key_or_secret_is_reported(service: Service, wrong: str, bearer: bool) -> None:
    error = service.refusal(wrong, bearer=bearer)
    assert isinstance(error, AuthenticationError)
    assert error.message == "The API key or the API secret is wrong."
    assert service.asked == ["totals", "token"]


def test_wrong_key_of_an_app_without_owner_is_reported(service: Service) -> None:
    error = service.refusal("consumer_key", user_tokens=False, bearer=False)
    assert error.message == "The API key or the API secret is wrong."
    assert service.asked == ["token"]


@pytest.mark.parametrize("wrong", ["access_token", "access_token_secret"])
def test_wrong_owner_token_is_reported(service: Service, wrong: str) -> None:
    error = service.refusal(wrong)
    assert isinstance(error, AuthenticationError)
    assert error.message == "The API key and secret are right, the owner's tokens are not."
    assert service.asked == ["totals", "token"]


def test_wrong_token_or_key_is_left_open_if_the_exchange_fails(service: Service) -> None:
    error = service.refusal("access_token", oauth2_endpoint=NOWHERE)
    assert isinstance(error, AuthenticationError)
    assert error.message == "The API key, its secret, or the owner's tokens are wrong."
    assert "Check oauth2_endpoint" in str(error)


@pytest.mark.parametrize("user_tokens", [True, False])
def test_wrong_bearer_token_is_reported_although_the_owner_is_accepted(
    service: Service, user_tokens: bool
) -> None:
    error = service.refusal("bearer_token", user_tokens=user_tokens)
    assert isinstance(error, AuthenticationError)
    assert error.message == "The bearer token is wrong."


@pytest.mark.parametrize("user_tokens", [True, False])
def test_app_that_is_not_enabled_is_reported(
    start: Callable[..., Service], user_tokens: bool
) -> None:
    service = start(app_enabled=False)
    error = service.refusal(user_tokens=user_tokens)
    assert isinstance(error, PermissionDeniedError)
    assert error.message == "The app is not enabled for the Engagement API."
    assert "account manager" in str(error)
    assert service.asked == ["totals"]


def test_unreachable_host_is_reported(service: Service) -> None:
    error = service.refusal(host=NOWHERE)
    assert isinstance(error, ServiceError)
    assert error.message == f"The Engagement API was not found at {NOWHERE}."
    assert "the connection failed" in str(error)


def test_unknown_host_name_is_reported(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    error = service.refusal(host="https://data-api.invalid")
    assert error.message == "The Engagement API was not found at https://data-api.invalid."
    assert "the host name is unknown" in str(error)


def test_wrong_path_is_reported(service: Service) -> None:
    error = service.refusal(host=service.simulator.url + "/v2")
    assert isinstance(error, RequestRejectedError)
    assert "Check the connection's host" in str(error)


def test_page_of_another_server_is_reported_as_such(
    service: Service, requests_mock: Mocker
) -> None:
    requests_mock.post(ANY, text="<html>", headers={"Content-Type": "text/html"})
    error = service.refusal()
    assert error.message.startswith("The Engagement API was not found at http://")
    assert "an HTML page" in str(error)


def test_error_of_the_service_is_quoted(service: Service, requests_mock: Mocker) -> None:
    message = {"errors": [{"message": "Service Unavailable"}]}
    requests_mock.post(ANY, status_code=503, json=message)
    error = service.refusal()
    assert str(error) == "The service failed. (HTTP 503) The service said: Service Unavailable."
    paths = [request.path for request in requests_mock.request_history]
    assert len(paths) > 1
    assert set(paths) == {"/insights/engagement/totals"}


def test_transient_faults_are_retried(service: Service) -> None:
    service.simulator.faults = Faults(0.25, ("500", "503", "malformed"), seed=2)
    assert service.probe().owner == EVERYWHERE
    assert any(request.fault for request in service.simulator.requests)


def test_probe_ends_if_the_service_hangs(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_module, "_MAX_REQUEST_SECONDS", 0.2)
    service.simulator.faults = Faults(1, ("hang",))
    began = time.monotonic()
    error = service.refusal(timeout=60)
    assert time.monotonic() - began < 5
    assert "it took too long" in str(error)


def test_probe_ends_if_no_slot_becomes_free(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_module, "_MAX_SECONDS", 0.3)
    service = start(requests_per_minute=0)
    error = service.refusal()
    assert isinstance(error, RateLimitError)
    assert error.message == "No request got its turn within 0 s."


def test_endpoint_that_refuses_is_a_warning(start: Callable[..., Service]) -> None:
    service = start(requests_per_minute={"totals": 300, "28hr": 0}, minute=400)
    reach = service.probe()
    assert reach.owner == [EndpointName.TOTALS, EndpointName.HISTORICAL]
    (warning,) = reach.warnings
    assert warning.startswith("But not from 28hr: Rate limited for another")
    assert warning in str(reach)


def test_owner_does_not_need_the_token_exchange(service: Service) -> None:
    reach = service.probe(bearer=False, oauth2_endpoint=NOWHERE)
    assert reach.owner == EVERYWHERE
    assert not reach.public
    (warning,) = reach.warnings
    assert warning.startswith("But no public counts of foreign Tweets: The token endpoint could")


def test_setting_above_the_contract_is_a_warning(service: Service) -> None:
    wanted = {EndpointName.TOTALS: 600.0, EndpointName.LAST_28_HOURS: 60.0}
    reach = service.probe(requests_per_minute=wanted)
    assert reach.warnings == ["But requests_per_minute is set to 600 for totals, which is more."]
