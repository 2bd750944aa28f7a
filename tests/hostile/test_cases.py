"""Malformed responses have the outcome that docs/reference/faults.md lists."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hostile.wire import Good, Wire

from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.window import DAY, Window
from airflow_provider_engagement.pull import PullResult, pull
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.memory import MemorySink
from tools.hostile.cases import CASES
from tools.hostile.kinds import Case, Gives

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.simulator.service import Request
    from airflow_provider_engagement.sinks.base import WriteResult

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
WORLD = World(seed=5, accounts=("acme",), now=NOW)
IDS = WORLD.tweets("acme", 5, since=TODAY - 20 * DAY, until=TODAY - 5 * DAY)
SPAN = Window(TODAY - 2 * DAY, TODAY)
TYPES = ["favorites", "replies", "video_views"]
QUICK = RetryPolicy(budget=0.02, first_wait=0.001, max_wait=0.001)

Cells = dict[tuple[str, str, str | None], int]


class Landing(MemorySink):
    """Keeps rows and coverage in memory."""

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:
        self.coverage = [row for table in coverage for row in table.to_pylist()]
        return super().commit((), manifest)

    def cells(self) -> Cells:
        rows = self.rows()
        cells = {(r["tweet_id"], r["engagement_type"], r["period_start"]): r["value"] for r in rows}
        assert len(cells) == len(rows), "a count is there twice"
        return cells

    def missing(self) -> set[tuple[str, str]]:
        """Return each Tweet and type that the coverage lists as missing, with a reason."""
        return {
            (row["tweet_id"], name)
            for row in self.coverage
            if row["reason"]
            for name in (row["missing_types"] or "").split(",")
        }


def settings_for(url: str, endpoint: str, **changes: Any) -> Settings:
    keys = {name: Secret(text) for name, text in WORLD.credentials("acme").items()}
    if endpoint == "token":
        del keys["bearer_token"]
    exchange = f"{url}/oauth2/token"
    return Settings(Credentials(**keys), "acme", host=url, oauth2_endpoint=exchange, **changes)


def pulled(settings: Settings, endpoint: str, folder: Path) -> tuple[PullResult, Landing]:
    """Pull counts, by hour or day if the endpoint has them."""
    # Without a private type the request is sent with the app-only token.
    types = TYPES if endpoint == "token" else ["impressions", *TYPES]
    period = SPAN if endpoint == "historical" else None
    name = "totals" if endpoint == "token" else endpoint
    query = build_query(name, has_owner=True, engagement_types=types)
    sink = Landing()
    with EngagementClient(settings, retry=QUICK, rate_state_directory=folder) as client:
        plan = make_plan(query, IDS, now=NOW, window=period)
        return pull(client, plan, sink, period=ReportingPeriod(NOW, period)), sink


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cells]:
    """Return the counts of good responses, which equal those of the simulator's world."""
    found: dict[str, Cells] = {}
    with Simulator(WORLD) as service:
        for endpoint in ("totals", "token", "28hr", "historical"):
            settings = settings_for(service.url, endpoint)
            folder = tmp_path_factory.mktemp(endpoint)
            found[endpoint] = pulled(settings, endpoint, folder)[1].cells()
    for (tweet_id, name, _), value in found["totals"].items():
        assert value == WORLD.count(tweet_id, name)
    for (tweet_id, name, start), value in found["historical"].items():
        day = datetime.fromisoformat(str(start))
        assert value == WORLD.count_between(tweet_id, name, day, day + DAY)
    hours = {start for _, _, start in found["28hr"]}
    assert [len(cells) for cells in found.values()] == [20, 15, 20 * len(hours), 20 * 2]
    return found


class Sender:
    """Sends a malformed response a number of times, and good ones afterwards."""

    def __init__(self, case: Case, way: int, times: float) -> None:
        self._good = Good(WORLD)
        self._case, self._way = case, way
        self._left = times

    def say(self, request: Request) -> Iterable[bytes]:
        is_token = request.path == "/oauth2/token"
        if self._left <= 0 or is_token is not (self._case.endpoint == "token"):
            return self._good.say(request)
        self._left -= 1
        return self._case.made[self._way](self._good.document(request))


EVERY = [
    pytest.param(case, way, id=f"{case.name}, {way}" if len(case.made) > 1 else case.name)
    for case in CASES
    for way in range(len(case.made))
]
FOREVER = float("inf")


@pytest.mark.parametrize(("case", "way"), EVERY)
def test_outcome_of_one_malformed_response(
    case: Case, way: int, tmp_path: Path, expected: dict[str, Cells]
) -> None:
    if case.gives in {Gives.FAILS, Gives.ENDS}:
        with sent(case, way, FOREVER) as (wire, settings):
            check_error(case, settings, tmp_path)
            # If a refusal names no Tweets, the request is halved, and then sent app-only.
            assert len(wire.requests) <= (20 if case.error == "IncompleteDataError" else 3)
        return
    with sent(case, way, 1) as (_, settings):
        outcome, sink = pulled(settings, case.endpoint, tmp_path)
    # The exchange of a token is repeated too, but is not a request for counts.
    is_retried = case.gives is Gives.AGAIN and case.endpoint != "token"
    assert outcome.summary["requests_retried"] == is_retried
    unrequested = outcome.summary["unrequested_counts"]
    assert bool(unrequested) is (case.gives is Gives.ASIDE)
    cells, whole = sink.cells(), expected[case.endpoint]
    assert cells == {key: whole[key] for key in cells}
    missing = whole.keys() - cells.keys()
    assert bool(missing) is (case.gives is Gives.LISTED)
    assert {key[:2] for key in missing} == sink.missing()


@pytest.mark.parametrize(
    ("case", "way"), [one for one in EVERY if one.values[0].gives is Gives.AGAIN]
)
def test_outcome_of_repeated_malformed_responses(case: Case, way: int, tmp_path: Path) -> None:
    with sent(case, way, FOREVER) as (wire, settings):
        check_error(case, settings, tmp_path)
        assert len(wire.requests) > 1


class sent:  # noqa: N801 - used like a function
    """Run a server that sends the responses of a case."""

    def __init__(self, case: Case, way: int, times: float) -> None:
        self._endpoint = case.endpoint
        # A response without end takes the whole timeout of each attempt.
        self._timeout = 0.3 if "too long" in case.says or "could not be" in case.says else 60.0
        self._wire = Wire(Sender(case, way, times).say)

    def __enter__(self) -> tuple[Wire, Settings]:
        self._wire.__enter__()
        return self._wire, settings_for(self._wire.url, self._endpoint, timeout=self._timeout)

    def __exit__(self, *_: object) -> None:
        self._wire.__exit__()


def check_error(case: Case, settings: Settings, folder: Path) -> None:
    with pytest.raises(EngagementError) as caught:
        pulled(settings, case.endpoint, folder)
    check(caught.value, case.error, case.says)
    retried = case.gives in {Gives.AGAIN, Gives.ENDS}
    assert caught.value.retryable is retried


def check(error: EngagementError, name: str, says: str) -> None:
    assert isinstance(error, getattr(errors, name))
    assert says in str(error)
    assert len(str(error)) < 2000
    assert str(error).isprintable()
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
