"""A world whose clock stands still, its simulator, and clients who ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import requests
from requests_oauthlib import OAuth1

from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Start = Callable[..., "Client"]

NOW = datetime(2026, 3, 10, 12, 34, 56, tzinfo=UTC)


class Client:
    """Sends requests to a simulator for one account."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()

    @staticmethod
    def body(
        tweet_ids: Sequence[object], types: Sequence[str], *levels: str, **more: object
    ) -> dict[str, Any]:
        """Make a request's body, with one grouping by the levels given."""
        group_by = list(levels) or ["tweet.id", "engagement.type"]
        groupings = {"requested": {"group_by": group_by}}
        return {
            "tweet_ids": list(tweet_ids),
            "engagement_types": list(types),
            "groupings": groupings,
            **more,
        }

    def auth(self, account: str = "acme", **changes: str) -> OAuth1:
        keys = {**self.simulator.world.credentials(account), **changes}
        return OAuth1(
            keys["consumer_key"],
            keys["consumer_secret"],
            keys["access_token"],
            keys["access_token_secret"],
        )

    def post(self, path: str, **more: Any) -> requests.Response:
        return self.session.post(self.simulator.url + path, timeout=10, **more)

    def ask(
        self, endpoint: str, body: object, *, account: str | None = "acme", **more: Any
    ) -> requests.Response:
        """Ask as an account's owner, or as the app itself where the account is None."""
        if account is None:
            bearer = self.simulator.world.app.bearer
            more["headers"] = {**more.get("headers", {}), "Authorization": f"Bearer {bearer}"}
        else:
            more.setdefault("auth", self.auth(account))
        return self.post(f"/insights/engagement/{endpoint}", json=body, **more)

    def counts(self, endpoint: str, body: object, *, account: str | None = "acme") -> Any:
        answer = self.ask(endpoint, body, account=account)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def world() -> World:
    return World(seed=11, accounts=("acme", "bolt"), now=NOW)


@pytest.fixture
def own(world: World) -> list[str]:
    """Ids of acme's Tweets, made within the last 30 days."""
    return world.tweets("acme", 6, since=NOW - timedelta(days=30), until=NOW)


@pytest.fixture
def start() -> Iterator[Start]:
    """Give what starts simulators; they are all stopped in the end."""
    clients: list[Client] = []

    def begin(world: World, **options: Any) -> Client:
        simulator = Simulator(world, **options)
        simulator.start()
        clients.append(Client(simulator))
        return clients[-1]

    yield begin
    for client in clients:
        client.session.close()
        client.simulator.stop()


@pytest.fixture
def client(world: World, start: Start) -> Client:
    return start(world)
