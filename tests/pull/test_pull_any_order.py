"""Pulls of time series that overlap, landed in every order: the table is always the same."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain, permutations, product
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from support import QUICK, settings_for

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import DAY, HOUR, Window, align_to, clip_to_available
from airflow_provider_engagement.pull import pull
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.sinks.base import WriteResult
from airflow_provider_engagement.sinks.bigquery import BigQuerySink

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from airflow_provider_engagement.api.query import PlannedRequest, Query
    from airflow_provider_engagement.api.response import EngagementResponse
    from tools.clients import BigQuery

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
BEGIN = TODAY - timedelta(days=5)
TYPES = ("impressions",)
MINUTE = timedelta(minutes=1)

Cell = tuple[str, str, str, datetime]
"""Granularity, Tweet, type and start of a bucket."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a pull says of a bucket."""

    value: int
    complete: bool


@dataclass(frozen=True, slots=True)
class Asking:
    """A pull: when it is made, and of what.

    :param minute: of the two days from ``BEGIN``.
    :param granularity: None for ``/28hr``, which takes no range.
    :param start: hours after ``BEGIN``.
    :param hours: how long the range is, of which some may be to come.
    """

    minute: int
    granularity: str | None
    start: int = 0
    hours: int = 1

    @property
    def moment(self) -> datetime:
        return BEGIN + self.minute * MINUTE

    @property
    def step(self) -> timedelta:
        return DAY if self.granularity == "day" else HOUR

    @property
    def period(self) -> Window | None:
        start = BEGIN + self.start * HOUR
        range_ = Window(start, start + self.hours * HOUR)
        return align_to(range_, self.step) if self.granularity else None

    def is_begun(self) -> bool:
        """Return whether an hour of its window is over at its moment."""
        return self.period is None or self.period.start < self.moment.replace(minute=0)


# Once all of it is over: every hour and every day, whole, the 28 hours before ``BEGIN`` too.
AFTER_ALL = tuple(Asking(4 * 1440, name, -30, 78) for name in ("hour", "day"))

MINUTES = st.integers(60, 2 * 1440)
LAST_28_HOURS = st.builds(Asking, MINUTES, st.none())
RANGES = st.builds(
    Asking, MINUTES, st.sampled_from(["hour", "day"]), st.integers(0, 40), st.integers(1, 60)
).filter(Asking.is_begun)


class ClientAt(EngagementClient):
    """A client with another clock: responses arrive at its own moment."""

    moment: datetime

    def send(self, query: Query, request: PlannedRequest) -> EngagementResponse:
        return replace(super().send(query, request), received_at=self.moment)


@dataclass(slots=True)
class TableSink:
    """A sink that keeps the rows as they are handed over."""

    tables: list[pa.Table] = field(default_factory=list)

    def prepare(self) -> None:
        """Take any rows."""

    def write(self, table: pa.Table) -> None:
        self.tables.append(table)

    def commit(self, coverage: Iterable[pa.Table], manifest: Mapping[str, object]) -> WriteResult:
        assert sum(table.num_rows for table in coverage)
        assert manifest
        return WriteResult(sum(table.num_rows for table in self.tables), None, (), "")

    def discard(self) -> None:
        self.tables.clear()


@dataclass(frozen=True, slots=True)
class Service:
    """A simulated service with a clock of its own, and the Tweets to request."""

    world: World
    simulator: Simulator
    ids: list[str]
    folder: Path

    def answer(self, asking: Asking) -> pa.Table:
        """Pull, at its moment."""
        period = asking.period
        query = build_query(
            "historical" if period else "28hr",
            has_owner=True,
            engagement_types=TYPES,
            granularity=asking.granularity or "hour",
        )
        window = clip_to_available(period, now=asking.moment, strict=False)[0] if period else None
        self.world.freeze(asking.moment)
        sink = TableSink()
        with ClientAt(
            settings_for(self.simulator), retry=QUICK, rate_state_directory=self.folder
        ) as client:
            client.moment = asking.moment
            plan = make_plan(query, self.ids, now=asking.moment, window=window)
            pull(client, plan, sink, period=ReportingPeriod(asking.moment, period))
        return pa.concat_tables(sink.tables)

    def truth(self, asking: Asking) -> dict[Cell, Count]:
        """Compute from the world itself what a pull has to return."""
        self.world.freeze(None)
        moment, period, step = asking.moment, asking.period, asking.step
        if period:
            start, end = period.start, min(period.end, moment.replace(minute=0))
        else:
            start, end = (moment - 28 * HOUR).replace(minute=0), moment
        starts = [start + n * step for n in range(-((start - end) // step))]
        return {
            (asking.granularity or "hour", item, name, begin): Count(
                self.world.count_between(item, name, begin, min(begin + step, end)),
                # The first of the last 28 hours is a part, whatever its name says.
                complete=begin + step <= end and (period is not None or begin > start),
            )
            for item, name, begin in product(self.ids, TYPES, starts)
            if (created_at(item) or begin) < min(begin + step, end)
        }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    world = World(seed=11, accounts=("acme",))
    # One has lived for long, one is made in the middle of it all.
    ids = world.tweets("acme", 1, since=BEGIN - timedelta(days=9), until=BEGIN - timedelta(days=4))
    ids += world.tweets("acme", 1, since=BEGIN + 12 * HOUR, until=BEGIN + 24 * HOUR)
    with Simulator(world, requests_per_minute=1_000_000) as simulator:
        yield Service(world, simulator, ids, tmp_path_factory.mktemp("pace"))


def counts_in(rows: Iterable[Mapping[str, Any]]) -> dict[Cell, Count]:
    found: dict[Cell, Count] = {}
    for row in rows:
        cell = (row["granularity"], row["tweet_id"], row["engagement_type"], row["period_start"])
        assert cell not in found, "a count is there twice"
        found[cell] = Count(row["value"], row["complete"])
    return found


def merged(answers: Iterable[tuple[datetime, dict[Cell, Count]]]) -> dict[Cell, Count]:
    """Merge answers in their order as sinks/bigquery/rows.py states it."""
    table: dict[Cell, tuple[bool, datetime, Count]] = {}
    for moment, cells in answers:
        for cell, count in cells.items():
            there = table.get(cell)
            # An unchanged count is not rewritten, and keeps its moment.
            if not there or (there[:2] < (count.complete, moment) and there[2] != count):
                table[cell] = (count.complete, moment, count)
    return {cell: count for cell, (_, _, count) in table.items()}


class Landing:
    """A table for as many orders at once as are wanted, each of them an account of its own."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bigquery = bigquery
        self._dataset = bigquery.make_dataset()

    def land(self, turns: Mapping[str, pa.Table]) -> None:
        """Land for each account a pull of its own, all at once: they share no row."""
        sink = BigQuerySink(self._bigquery.client, f"{self._dataset}.counts")
        sink.prepare()
        for account, table in turns.items():
            place = table.schema.get_field_index("account")
            named = pa.array([account] * table.num_rows)
            sink.write(table.set_column(place, table.schema.field(place), named))
        sink.commit([], {})

    def tables(self) -> dict[str, dict[Cell, Count]]:
        rows = self._bigquery.rows(f"SELECT * FROM {self._dataset}.counts")  # noqa: S608 - ours
        accounts: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            accounts.setdefault(row["account"], []).append(row)
        return {account: counts_in(own) for account, own in accounts.items()}

    def drop(self) -> None:
        self._bigquery.client.delete_dataset(self._dataset, delete_contents=True)


@dataclass(frozen=True, slots=True)
class AccountOrder:
    """An account of the table: its pulls, in their order.

    :param name: tells it from the other accounts.
    :param pulls: in their order.
    :param first: whether the pull after all of them is written before them, else after them.
    """

    name: str
    pulls: tuple[Asking, ...]
    first: bool


SCENARIOS = st.lists(
    LAST_28_HOURS | RANGES, min_size=2, max_size=3, unique_by=lambda asking: asking.minute
)


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    # To shrink what takes seconds takes minutes, and an account's name tells which scenario it is.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@example(
    [
        # Cuts of one day and of one hour, and a last pull that knows least of them.
        [Asking(1500, "day", 24, 24), Asking(2200, "day", 0, 60), Asking(1449, "day", 0, 50)],
        [Asking(1510, None), Asking(1530, None), Asking(1790, "hour", 20, 9)],
    ]
)
@given(st.lists(SCENARIOS, min_size=6, max_size=6))
def test_pulls_written_in_any_order_leave_the_same_table(
    service: Service, bigquery: BigQuery, scenarios: list[list[Asking]]
) -> None:
    tables = {asking: service.answer(asking) for asking in {*chain(*scenarios), *AFTER_ALL}}
    count = {asking: service.truth(asking) for asking in tables}
    for asking, table in tables.items():
        assert counts_in(table.to_pylist()) == count[asking]
    after_all = pa.concat_tables(tables[asking] for asking in AFTER_ALL)
    whole = counts_in(after_all.to_pylist())
    assert all(cell.complete for cell in whole.values())

    record_response = [
        AccountOrder(f"{scenario} {number} {first}", order, first)
        for scenario, askings in enumerate(scenarios)
        for number, order in enumerate(permutations(askings))
        for first in (False, True)
    ]
    landing = Landing(bigquery)
    landing.land({account.name: after_all for account in record_response if account.first})
    for turn in range(max(map(len, scenarios))):
        having = [account for account in record_response if turn < len(account.pulls)]
        landing.land({account.name: tables[account.pulls[turn]] for account in having})
    found = landing.tables()
    for account in record_response:
        if account.first:
            continue
        mine = found[account.name]
        assert mine == merged((asking.moment, count[asking]) for asking in account.pulls)
        for cell in mine.keys() & whole.keys():
            if any(
                cell in count[asking] and count[asking][cell].complete for asking in account.pulls
            ):
                assert mine[cell] == whole[cell], "a part has replaced the whole"
    landing.land({account.name: after_all for account in record_response if not account.first})
    assert landing.tables() == {account.name: whole for account in record_response}
    landing.drop()
