"""The hook's methods for ``@task`` functions: rows as the operators return them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run

from airflow_provider_engagement.api.errors import IncompleteDataError, InvalidArgumentError
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.operators.engagement import (
    Engagement28HrOperator,
    EngagementHistoricalOperator,
    EngagementTotalsOperator,
)
from airflow_provider_engagement.simulator import Faults, Simulator, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("airflow_home")

TYPES = ENDPOINTS["totals"].engagement_types
TODAY = NOW.replace(hour=0, minute=0, second=0)
DAY = timedelta(days=1)


@pytest.fixture
def world() -> World:
    return World(seed=14, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 8, since=NOW - 20 * DAY, until=NOW - 10 * DAY)


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


@pytest.fixture
def hook(simulator: Simulator) -> EngagementHook:
    assert simulator.url
    return EngagementHook(CONN_ID)


def without_times(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"collected_at": None, "snapshot_at": None, "date": None} for row in rows]


def test_a_task_function_returns_counts_in_one_line(
    world: World, ids: list[str], simulator: Simulator
) -> None:
    with DAG("rows", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:

        @task
        def totals() -> list[dict[str, Any]]:
            return EngagementHook(CONN_ID).get_totals(ids)

        totals()
    ran = run(dag.get_task("totals"))  # type: ignore[arg-type]  # any operator runs
    assert counts(ran.value) == expected_counts(world, ids, TYPES)
    assert len(simulator.requests) == 1


def test_totals_are_those_of_the_operator(
    world: World, ids: list[str], hook: EngagementHook
) -> None:
    world.deleted, world.foreign = {ids[0]}, {ids[1]}
    rows = hook.get_totals(ids)
    operator = EngagementTotalsOperator(task_id="a", tweet_ids=ids, engagement_conn_id=CONN_ID)
    assert without_times(rows) == without_times(run(operator).value)
    owned = expected_counts(world, ids[2:], TYPES)
    assert counts(rows) == owned | expected_counts(world, ids[1:2], PUBLIC_TYPES)


def test_totals_are_of_now(ids: list[str], hook: EngagementHook) -> None:
    before = datetime.now(UTC)
    (row, *_) = hook.get_totals(ids)
    assert before <= datetime.fromisoformat(row["snapshot_at"]) <= datetime.now(UTC)


@pytest.mark.parametrize("types", [["favorites", "replies"], "favorites, replies"])
def test_types_can_be_chosen(
    world: World, ids: list[str], hook: EngagementHook, types: object
) -> None:
    rows = hook.get_totals(ids, engagement_types=types)
    assert counts(rows) == expected_counts(world, ids, ("favorites", "replies"))


def test_ids_may_be_in_a_file(
    world: World, ids: list[str], hook: EngagementHook, tmp_path: Path
) -> None:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids))
    assert counts(hook.get_totals(f"file://{path}")) == expected_counts(world, ids, TYPES)


@pytest.mark.parametrize("granularity", [None, "hour", "total"])
def test_28hr_is_that_of_the_operator(
    ids: list[str], hook: EngagementHook, granularity: Any
) -> None:
    rows = hook.get_28hr(ids, engagement_types=["favorites"], granularity=granularity)
    operator = Engagement28HrOperator(
        task_id="a",
        tweet_ids=ids,
        engagement_types=["favorites"],
        granularity=granularity,
        engagement_conn_id=CONN_ID,
    )
    assert rows
    assert without_times(rows) == without_times(run(operator).value)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (TODAY - 5 * DAY, TODAY - 2 * DAY),
        ((TODAY - 5 * DAY).date(), (TODAY - 2 * DAY).date()),
        (f"{TODAY - 5 * DAY:%Y-%m-%d}", f"{TODAY - 2 * DAY:%Y-%m-%dT%H:%M}"),
        (TODAY - 5 * DAY + timedelta(hours=3), TODAY - 2 * DAY - timedelta(hours=3)),
    ],
    ids=["datetimes", "dates", "text", "within days"],
)
def test_historical_is_that_of_the_operator(
    world: World, ids: list[str], hook: EngagementHook, start: Any, end: Any
) -> None:
    rows = hook.get_historical(ids, engagement_types=["favorites"], start=start, end=end)
    operator = EngagementHistoricalOperator(
        task_id="a",
        tweet_ids=ids,
        engagement_types=["favorites"],
        start=TODAY - 5 * DAY,
        end=TODAY - 2 * DAY,
        engagement_conn_id=CONN_ID,
    )
    strip = {"collected_at": None}
    assert [row | strip for row in rows] == [row | strip for row in run(operator).value]
    first = next(row for row in rows if row["tweet_id"] == ids[0])
    begin = datetime.fromisoformat(first["period_start"])
    assert first["value"] == world.count_between(ids[0], "favorites", begin, begin + DAY)


@pytest.mark.parametrize(
    "given", [{}, {"start": TODAY - DAY}, {"end": TODAY}], ids=["neither", "start", "end"]
)
def test_historical_needs_start_and_end(
    ids: list[str], hook: EngagementHook, simulator: Simulator, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match=r"needs start and end.*data_interval_start"):
        hook.get_historical(ids, **given)
    assert simulator.requests == []


@pytest.mark.parametrize("method", ["get_totals", "get_28hr"])
def test_totals_and_28hr_take_no_window(hook: EngagementHook, method: str) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'start'"):
        getattr(hook, method)(["20"], start=TODAY)


def test_a_passing_fault_is_retried(
    world: World, ids: list[str], simulator: Simulator, hook: EngagementHook
) -> None:
    simulator.faults = Faults(script=("503",))
    assert counts(hook.get_totals(ids)) == expected_counts(world, ids, TYPES)
    assert [request.status for request in simulator.requests] == [503, 200]


def test_no_count_at_all_is_an_error(world: World, ids: list[str], hook: EngagementHook) -> None:
    world.deleted = set(ids)
    with pytest.raises(IncompleteDataError, match="0 of 8 Tweets were counted"):
        hook.get_totals(ids)


def test_an_empty_collection_has_no_rows(hook: EngagementHook, simulator: Simulator) -> None:
    assert hook.get_totals([]) == []
    assert simulator.requests == []


def test_a_window_before_the_first_tweet_has_no_rows(
    ids: list[str], hook: EngagementHook, simulator: Simulator
) -> None:
    assert hook.get_historical(ids, start=TODAY - 60 * DAY, end=TODAY - 50 * DAY) == []
    assert simulator.requests == []
