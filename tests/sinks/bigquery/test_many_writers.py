"""Many writers of two tables, whose requests run in a random order.

Each writer is a thread that stops before each of its requests. A scheduler picks the one that goes
on, at random from a seed, and checks the tables after each step. The emulator runs scripts one
after the other, so the rule of BigQuery is applied here: a transaction that would change rows of a
table which another open transaction has changed is aborted. A MERGE that only inserts does not
count, so nothing but the lock protects the keys.
https://cloud.google.com/bigquery/docs/transactions#transaction_concurrency
"""

from __future__ import annotations

import random
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import ABORTED, LATER, coverage_row, coverage_table, hour_row, rows_table
from tenacity import wait_none

from airflow_provider_engagement.sinks.bigquery import BigQuerySink
from airflow_provider_engagement.sinks.bigquery.retries import Patience

if TYPE_CHECKING:
    from tools.clients import BigQuery

WRITERS = 6
TABLES = ("counts", "others")


class Killed(BaseException):
    """Ends a writer as SIGKILL would: it cleans nothing up."""


class Scheduler:
    """Lets one thread go on at a time."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - for the order of steps only
        self._change = threading.Condition()
        self._waiting: dict[str, bool] = {}
        self._turn: str | None = None

    def begin(self, name: str) -> None:
        with self._change:
            self._waiting[name] = False

    def step(self, name: str) -> None:
        """Wait for the next turn."""
        with self._change:
            self._waiting[name] = True
            self._turn = None
            self._change.notify_all()
            assert self._change.wait_for(lambda: self._turn == name, timeout=60)
            self._waiting[name] = False

    def end(self, name: str) -> None:
        with self._change:
            del self._waiting[name]
            self._turn = None
            self._change.notify_all()

    def go_on(self) -> str | None:
        """Let one thread make its next step, and wait for that; None once all have ended."""
        with self._change:
            self._all_wait()
            if not self._waiting:
                return None
            chosen = self.random.choice(sorted(self._waiting))
            self._turn = chosen
            self._change.notify_all()
            assert self._change.wait_for(lambda: self._turn is None, timeout=60)
            self._all_wait()
            return chosen

    def _all_wait(self) -> None:
        assert self._change.wait_for(lambda: all(self._waiting.values()), timeout=60)


@dataclass
class Service:
    """BigQuery's rule of conflicts, and what every transaction that was committed has written."""

    open: dict[str, set[str]] = field(default_factory=dict)
    aborted_by: list[tuple[str, str]] = field(default_factory=list)
    best: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def begin(self, writer: Writer, sql: str) -> bool:
        """Open a transaction, unless another one has changed rows of the same tables."""
        changed = set(re.findall(r"^(?:UPDATE|TRUNCATE TABLE) (`\S+`)", sql, re.MULTILINE))
        merged = set(re.findall(r"^MERGE (`\S+`)", sql, re.MULTILINE))
        for name, tables in self.open.items():
            if tables & changed:
                self.aborted_by.append((writer.table, name))
                return False
            assert not tables & merged, f"{name} and {writer.name} would both insert the same keys"
        self.open[writer.name] = changed | merged
        return True

    def commit(self, writer: Writer) -> None:
        del self.open[writer.name]
        for row in writer.rows:
            key = writer.table, row["tweet_id"]
            stored = self.best.get(key)
            if stored is None or row["collected_at"] > stored["collected_at"]:
                self.best[key] = row


class Job:
    """The job of a script."""

    job_id, total_bytes_billed = "job", 0

    def __init__(self, error: Exception | None) -> None:
        self._error = error
        self.error_result = {"reason": "invalidQuery"} if error else None

    def result(self) -> None:
        if self._error:
            raise self._error


@dataclass
class Writer:
    """A client that waits for its turn before each request; also what is written through it."""

    name: str
    table: str
    rows: list[dict[str, Any]]
    client: Any
    scheduler: Scheduler
    service: Service
    killed_after: int | None = None
    steps: int = 0
    error: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.client, name)
        if not callable(value):
            return value

        def request(*args: Any, **options: Any) -> Any:
            self.step()
            return value(*args, **options)

        return request

    def query(self, sql: str, **options: Any) -> Any:
        self.step()
        if "BEGIN TRANSACTION" not in sql:
            return self.client.query(sql, **options)
        if not self.service.begin(self, sql):
            return Job(ABORTED)
        try:
            self.step()
        except Killed:
            # The job of a killed task goes on, or was never received.
            if self.scheduler.random.random() < 0.5:
                self._commit(sql)
            else:
                del self.service.open[self.name]
            raise
        self._commit(sql)
        return Job(None)

    def list_jobs(self, **_: Any) -> list[Any]:
        return []

    def step(self) -> None:
        self.scheduler.step(self.name)
        self.steps += 1
        if self.steps == self.killed_after:
            raise Killed

    def run(self, dataset: str) -> None:
        try:
            sink = BigQuerySink(
                self,  # type: ignore[arg-type] # has all that the sink calls
                f"{dataset}.{self.table}",
                wait=wait_none(),
                patience=Patience(base=60),
            )
            sink.prepare()
            for row in self.rows:
                sink.write(rows_table(row))
            sink.commit(
                [coverage_table(*(coverage_row(tweet_id=r["tweet_id"]) for r in self.rows))], {}
            )
        except BaseException as error:  # noqa: BLE001 - the test reads it
            self.error = error
        finally:
            self.scheduler.end(self.name)

    def _commit(self, sql: str) -> None:
        self.client.query(sql).result()
        self.service.commit(self)


def answers(number: int) -> list[dict[str, Any]]:
    """Return what a writer has for some Tweets. Neighbours share Tweets; later ones are newer."""
    return [
        hour_row(
            tweet_id=str(tweet),
            value=100 * number + tweet,
            collected_at=LATER + timedelta(minutes=number),
        )
        for tweet in range(number % 3, number % 3 + 4)
    ]


def check_tables(bigquery: BigQuery, dataset: str, service: Service) -> None:
    """Check that each key is there once, with the value of the best answer so far."""
    existing = {table.table_id for table in bigquery.client.list_tables(dataset)}
    for table in {*TABLES} & existing:
        query = f"SELECT tweet_id, value, collected_at FROM {dataset}.{table}"  # noqa: S608 - a table of the test
        found = bigquery.rows(query)
        keys = Counter(row["tweet_id"] for row in found)
        assert not [key for key, count in keys.items() if count > 1]
        expected = {
            key: (row["value"], row["collected_at"])
            for (name, key), row in service.best.items()
            if name == table
        }
        assert {r["tweet_id"]: (r["value"], r["collected_at"]) for r in found} == expected


@pytest.mark.parametrize("seed", range(4))
def test_many_writers_in_any_order_make_each_key_once(
    bigquery: BigQuery, dataset: str, seed: int
) -> None:
    scheduler, service = Scheduler(seed), Service()
    writers = [
        Writer(
            name=f"writer {number}",
            table=TABLES[number % 2],
            rows=answers(number),
            client=bigquery.client,
            scheduler=scheduler,
            service=service,
            # Two of them are killed at a random step.
            killed_after=scheduler.random.randrange(1, 14) if number in (1, 4) else None,
        )
        for number in range(WRITERS)
    ]
    for writer in writers:
        scheduler.begin(writer.name)
        threading.Thread(target=writer.run, args=(dataset,), daemon=True).start()
    steps = 0
    while scheduler.go_on():
        check_tables(bigquery, dataset, service)
        steps += 1

    killed = [writer for writer in writers if isinstance(writer.error, Killed)]
    assert [writer.error for writer in writers if writer not in killed] == [None] * (
        WRITERS - len(killed)
    )
    # Only writers of one table waited for each other, and those did.
    tables = {writer.name: writer.table for writer in writers}
    assert [table == tables[holder] for table, holder in service.aborted_by] == [True] * len(
        service.aborted_by
    )
    assert service.open == {}
    assert steps > 10 * (WRITERS - len(killed))
    # Nothing but the staging tables of killed writers is left, and those expire.
    left = {table.table_id for table in bigquery.client.list_tables(dataset)}
    permanent = {f"{table}{suffix}" for table in TABLES for suffix in ("", "_coverage", "_lock")}
    assert len(left - permanent) <= len(killed)
    assert all(name.startswith("_engagement_staging_") for name in left - permanent)


def test_the_random_orders_make_writers_of_one_table_wait(bigquery: BigQuery, dataset: str) -> None:
    """Check that the orders are worth something: without the lock the same run would fail."""
    scheduler, service = Scheduler(1), Service()
    rows = answers(0)
    writers = [
        Writer(f"writer {n}", "counts", rows, bigquery.client, scheduler, service) for n in range(4)
    ]
    for writer in writers:
        scheduler.begin(writer.name)
        threading.Thread(target=writer.run, args=(dataset,), daemon=True).start()
    while scheduler.go_on():
        pass
    assert [writer.error for writer in writers] == [None] * 4
    assert service.aborted_by
