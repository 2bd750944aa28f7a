"""Whatever is sent: the counts that stand there, or an error of ours; and nothing else.

The everyday part is short. ``make test-long`` tries 100,000 answers and more.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hostile import mutants, oracle
from hostile.wire import Good, Wire
from hypothesis import HealthCheck, Phase, given, settings

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.window import DAY, Window
from airflow_provider_engagement.pull import pull
from airflow_provider_engagement.simulator import World
from airflow_provider_engagement.sinks.memory import MemorySink
from tools.hostile.made import http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from airflow_provider_engagement.simulator.service import Request

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
WORLD = World(seed=5, accounts=("acme",), now=NOW)
IDS = WORLD.tweets("acme", 3, since=TODAY - 20 * DAY, until=TODAY - 5 * DAY)
SPAN = Window(TODAY - 2 * DAY, TODAY)
KEYS = {name: text for name, text in WORLD.credentials("acme").items() if name != "bearer_token"}
SECRETS = sorted({form for text in KEYS.values() for form in Secret(text).encoded_variants()})
ONCE = RetryPolicy(budget=0.0)

EVERYDAY, LONG = 150, 20_500

SCENES: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "totals": ("totals", ["impressions", "favorites", "video_views"], {}),
    "totals, by two groupings": (
        "totals",
        ["impressions", "favorites"],
        {
            "a": {"group_by": ["engagement.type", "tweet.id"]},
            "b": {"group_by": ["engagement.type"]},
        },
    ),
    "historical, by day and in sums": (
        "historical",
        ["impressions", "favorites"],
        {
            "a": {"group_by": ["tweet.id", "engagement.type", "engagement.day"]},
            "b": {"group_by": ["engagement.day"]},
        },
    ),
    "historical, by hour of the day": (
        "historical",
        ["favorites"],
        {"a": {"group_by": ["engagement.type", "tweet.id", "engagement.hour"]}},
    ),
    "28hr, by hour": ("28hr", ["favorites"], {}),
}


@dataclass
class Tried:
    """How many answers were tried, and what they gave."""

    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def __str__(self) -> str:
        good = self.answers - self.errors.total()
        errors = ", ".join(f"{name} {count:,}" for name, count in self.errors.most_common())
        return (
            f"{self.answers:,} hostile answers: {good:,} gave {self.rows:,} rows, all of them "
            f"those that stood there; the others an error each ({errors}); none showed a secret."
        )


@pytest.fixture(scope="module")
def tried(request: pytest.FixtureRequest) -> Iterator[Tried]:
    """Count, and say it in the end, whatever is captured, and by whichever worker."""
    counted = Tried()
    yield counted
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{counted}", file=sys.stderr)  # noqa: T201 - a figure of the report


class Listener(logging.Handler):
    """Hears all that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def record_response() -> Iterator[Listener]:
    """Hear all that any logger says, at DEBUG."""
    root, listener = logging.getLogger(), Listener()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    yield listener
    root.removeHandler(listener)
    root.setLevel(level)


@dataclass
class Stage:
    """Sends answers to one question, and sees what comes of them.

    :param scene: which question.
    :param folder: for what is written.
    """

    scene: str
    folder: Path
    wire: Wire
    record_response: Listener
    tried: Tried
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        endpoint, types, groupings = SCENES[self.scene]
        self.query = build_query(
            endpoint, has_owner=True, engagement_types=types, groupings=groupings or None
        )
        self.period = SPAN if endpoint == "historical" else None
        self.request = oracle.OracleRequest(self.query, IDS, self.period)
        good, documents = Good(WORLD), []

        def say(request: Request) -> Iterable[bytes]:
            documents.append(good.document(request))
            return [http(json.dumps(documents[0]).encode())]

        self.wire.say = say
        self.pull()
        (self.document,) = documents

    def pull(self) -> tuple[MemorySink, dict[str, Any]]:
        keys = {name: Secret(text) for name, text in KEYS.items()}
        url = self.wire.url
        settings = Settings(Credentials(**keys), "acme", host=url, oauth2_endpoint=url, timeout=20)
        sink = MemorySink()
        folder = self.folder / str(next(self.numbers))
        with EngagementClient(settings, retry=ONCE, rate_state_directory=folder) as client:
            plan = make_plan(self.query, IDS, now=NOW, window=self.period)
            outcome = pull(client, plan, sink, period=ReportingPeriod(NOW, self.period))
        return sink, outcome.summary

    def send(self, mutant: mutants.Mutant) -> None:
        """Send a response, and compare the rows with those of the oracle."""
        self.wire.say = lambda _: iter([mutant.wire])
        self.wire.requests.clear()
        self.record_response.lines.clear()
        self.tried.answers += 1
        received = datetime.now(UTC)
        try:
            sink, summary = self.pull()
        except EngagementError as error:
            failed = error
        else:
            self.check_rows(mutant, received, sink.rows(), summary)
            return
        self.tried.errors[type(failed).__name__] += 1
        check_silence(failed, self.record_response.lines)
        assert self.may_fail(mutant, received), f"{failed!r} of {mutant}"

    def check_rows(
        self,
        mutant: mutants.Mutant,
        received: datetime,
        rows: list[dict[str, Any]],
        summary: dict[str, Any],
    ) -> None:
        """Hold rows against the answer that they are of."""
        assert mutant.status == 200
        reading = oracle.read_response(mutant.body, self.request, received)
        self.tried.rows += len(rows)
        assert Counter(map(cell, rows)) == Counter(dict.fromkeys(reading.cells, 1))
        assert {cell(row): row["value"] for row in rows} == reading.cells
        assert summary["unrequested_counts"] == reading.unrequested
        assert not [s for s in SECRETS if s in f"{rows}{summary}{self.record_response.lines}"]

    def may_fail(self, mutant: mutants.Mutant, received: datetime) -> bool:
        if mutant.status != 200 or not mutant.is_whole:
            return True
        try:
            return oracle.read_response(mutant.body, self.request, received).may_fail
        except oracle.RefusedError:
            return True


def cell(row: dict[str, Any]) -> oracle.Cell:
    start = row["period_start"] if row["granularity"] in {"day", "hour"} else None
    return (
        row["grouping"],
        row["tweet_id"],
        row["engagement_type"],
        datetime.fromisoformat(start) if start else None,
        row["hour_of_day"],
    )


def check_silence(error: BaseException, lines: list[str]) -> None:
    """See that an error is short, and that no secret is in it, or in what led to it."""
    assert len(str(error)) < 2000
    texts = [*lines]
    chain: list[BaseException] = [error]
    for one in chain:
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
    texts += traceback.format_exception(error)
    text = "\n".join(texts)
    assert not [secret for secret in SECRETS if secret in text]
    json.dumps(text)


@pytest.fixture(scope="module")
def stage(
    tmp_path_factory: pytest.TempPathFactory, tried: Tried
) -> Iterator[Callable[[str], Stage]]:
    with Wire(lambda _: ()) as wire:
        listener = Listener()
        yield lambda scene: Stage(scene, tmp_path_factory.mktemp("pace"), wire, listener, tried)


def fuzz(stage: Stage, examples: int) -> None:
    types = SCENES[stage.scene][1]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(mutants.strategy(stage.document, IDS, types, SECRETS))
    def each(mutant: mutants.Mutant) -> None:
        stage.send(mutant)

    each()


@pytest.mark.parametrize("scene", SCENES)
def test_any_response_gives_its_counts_or_an_error(
    scene: str, stage: Callable[[str], Stage], record_response: Listener
) -> None:
    one = stage(scene)
    one.record_response = record_response
    fuzz(one, EVERYDAY)


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES)
def test_100_000_responses_give_their_counts_or_an_error(
    scene: str, stage: Callable[[str], Stage], record_response: Listener
) -> None:
    one = stage(scene)
    one.record_response = record_response
    fuzz(one, LONG)
