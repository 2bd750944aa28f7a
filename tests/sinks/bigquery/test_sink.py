from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations, product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import (
    ABORTED,
    EVEN_LATER,
    LATER,
    SERIALIZE,
    START,
    TYPO,
    coverage_row,
    coverage_table,
    hour_row,
    lifetime_row,
    rows_table,
    sorted_rows,
)
from google.api_core.exceptions import BadRequest
from tenacity import wait_none

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.sinks import writers
from airflow_provider_engagement.sinks.bigquery import BigQuerySink
from airflow_provider_engagement.sinks.bigquery.loads import LoadBudget

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.sinks.base import WriteResult
    from tools.clients import BigQuery


class FailedJob:
    """A query job that failed."""

    error_result = {"reason": "any"}  # noqa: RUF012 - never changed

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error

    def reload(self) -> None:
        """Do nothing: the state is known."""


class Failing:
    """A client whose first scripts fail."""

    def __init__(self, client: Any, *errors: Exception) -> None:
        self._client = client
        self._errors = list(errors)
        self.scripts: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, sql: str, **options: Any) -> Any:
        if "BEGIN TRANSACTION" in sql:
            self.scripts.append({"sql": sql, **options})
            if self._errors:
                return FailedJob(self._errors.pop(0))
        return self._client.query(sql, **options)


def write(
    client: Any,
    dataset: str,
    rows: Sequence[dict[str, Any]],
    coverage: Sequence[dict[str, Any]] = (),
    **options: Any,
) -> WriteResult:
    sink = BigQuerySink(client, f"{dataset}.counts", **{"wait": wait_none()} | options)
    sink.prepare()
    sink.write(rows_table(*rows))
    return sink.commit([coverage_table(*coverage)], {})


def counts(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    return sorted_rows(bigquery.rows(f"SELECT * FROM {dataset}.counts"))  # noqa: S608 - a table of ours


def statuses(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    return sorted_rows(bigquery.rows(f"SELECT * FROM {dataset}.counts_coverage"))  # noqa: S608 - a table of ours


def tables(bigquery: BigQuery, dataset: str) -> set[str]:
    return {table.table_id for table in bigquery.client.list_tables(dataset)}


PERMANENT = {"counts", "counts_coverage", "counts_lock"}

MIXED = [
    hour_row(),
    hour_row(tweet_id=None, value=7),
    hour_row(engagement_type=None, value=8),
    hour_row(granularity="hour_of_day", hour_of_day=8, value=9),
    lifetime_row(value=100),
    lifetime_row(account="other", access="public", value=-3, tweet_created_at=None),
]


def test_the_table_has_what_was_written_to_the_sink(bigquery: BigQuery, dataset: str) -> None:
    result = write(bigquery.client, dataset, MIXED, [coverage_row()])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(*MIXED).to_pylist())
    assert statuses(bigquery, dataset) == coverage_table(coverage_row()).to_pylist()
    assert (result.rows, result.table) == (6, f"test.{dataset}.counts")
    assert result.coverage == f"test.{dataset}.counts_coverage"
    assert result.stats["load_jobs"] == 1
    assert tables(bigquery, dataset) == PERMANENT


def test_writing_twice_makes_the_same_table(bigquery: BigQuery, dataset: str) -> None:
    write(bigquery.client, dataset, MIXED, [coverage_row()])
    once = counts(bigquery, dataset), statuses(bigquery, dataset)
    again = [row | {"collected_at": EVEN_LATER} for row in MIXED]
    write(bigquery.client, dataset, again, [coverage_row(collected_at=EVEN_LATER)])
    # Rows that do not change are not rewritten, so `collected_at` stays too.
    assert (counts(bigquery, dataset), statuses(bigquery, dataset)) == once


def test_rows_of_one_key_are_written_once(bigquery: BigQuery, dataset: str) -> None:
    better = hour_row(value=5, collected_at=EVEN_LATER)
    part = hour_row(value=9, collected_at=EVEN_LATER + timedelta(hours=1), complete=False)
    write(bigquery.client, dataset, [hour_row(), better, part], [coverage_row(), coverage_row()])
    assert counts(bigquery, dataset) == rows_table(better).to_pylist()
    assert len(statuses(bigquery, dataset)) == 1


@pytest.mark.parametrize("granularity", ["lifetime", "window"])
def test_the_first_answer_of_a_snapshot_stands(
    bigquery: BigQuery, dataset: str, granularity: str
) -> None:
    first = lifetime_row(granularity=granularity, value=100)
    write(bigquery.client, dataset, [first])
    later = lifetime_row(granularity=granularity, value=999, collected_at=EVEN_LATER)
    next_one = lifetime_row(granularity=granularity, value=110, snapshot_at=START + timedelta(1))
    write(bigquery.client, dataset, [later, next_one])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(first, next_one).to_pylist())


def test_endpoints_share_hours_but_not_snapshots(bigquery: BigQuery, dataset: str) -> None:
    window = lifetime_row(endpoint="28hr", granularity="window")
    write(bigquery.client, dataset, [hour_row(endpoint="28hr", value=3), window])
    newer = hour_row(endpoint="historical", value=4, collected_at=EVEN_LATER)
    other = window | {"endpoint": "historical"}
    write(bigquery.client, dataset, [newer, other])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(newer, window, other).to_pylist())


def test_answers_converge_in_any_order(bigquery: BigQuery, dataset: str) -> None:
    """Write every choice of four answers in every order, each order as an account of its own."""
    answers = range(4)
    cases = list(product(product([False, True], repeat=4), product([0, 1], repeat=3)))
    orders = list(permutations(answers))

    def answer(case: int, number: int) -> dict[str, Any]:
        whole, steps = cases[case]
        return hour_row(
            tweet_id=str(case),
            complete=whole[number],
            value=sum(steps[:number]),
            collected_at=LATER + timedelta(minutes=number),
        )

    for turn in answers:
        write(
            bigquery.client,
            dataset,
            [
                answer(case, order[turn]) | {"account": str(number)}
                for number, order in enumerate(orders)
                for case in range(len(cases))
            ],
        )

    # Expected: complete before incomplete, then newer before older.
    best = {
        str(case): max(
            (answer(case, number) for number in answers),
            key=lambda row: (row["complete"], row["collected_at"]),
        )
        for case in range(len(cases))
    }
    found = counts(bigquery, dataset)
    assert len(found) == len(orders) * len(cases)
    for row in found:
        expected = best[row["tweet_id"]]
        assert (row["value"], row["complete"]) == (expected["value"], expected["complete"]), row


def test_coverage_converges_in_any_order(bigquery: BigQuery, dataset: str) -> None:
    cases = list(product(["answered", "unavailable", "unanswered"], repeat=3))
    orders = list(permutations(range(3)))

    def status(case: int, number: int) -> dict[str, Any]:
        return coverage_row(
            tweet_id=str(case),
            status=cases[case][number],
            reason=f"as of {number}",
            collected_at=LATER + timedelta(minutes=number),
        )

    for turn in range(3):
        rows = [
            status(case, order[turn]) | {"account": str(number)}
            for number, order in enumerate(orders)
            for case in range(len(cases))
        ]
        write(bigquery.client, dataset, [], rows)

    for row in statuses(bigquery, dataset):
        expected = max(
            (status(int(row["tweet_id"]), number) for number in range(3)),
            key=lambda each: (each["status"] == "answered", each["collected_at"]),
        )
        assert (row["status"], row["reason"]) == (expected["status"], expected["reason"])


def test_counts_that_the_service_no_longer_returns_stay(bigquery: BigQuery, dataset: str) -> None:
    write(bigquery.client, dataset, [hour_row(), hour_row(tweet_id="2")])
    write(bigquery.client, dataset, [hour_row(tweet_id="2")])
    assert len(counts(bigquery, dataset)) == 2


def test_a_conflict_with_another_writer_is_retried(bigquery: BigQuery, dataset: str) -> None:
    client = Failing(bigquery.client, ABORTED, SERIALIZE)
    write(
        client, dataset, MIXED, [coverage_row()], labels={"dag": "My DAG", "task": "t", "run": "r"}
    )
    assert counts(bigquery, dataset) == sorted_rows(rows_table(*MIXED).to_pylist())
    assert len(client.scripts) == 3
    for options in client.scripts:
        assert options["job_config"].labels == {"dag": "my_dag", "task": "t", "run": "r"}
        assert options["location"] == "US"


def test_changed_rows_are_counted_where_statements_can_be_listed(
    bigquery: BigQuery, dataset: str
) -> None:
    # BigQuery lists the statements of a script as jobs; the emulator lists none.
    class Listing(Failing):
        def list_jobs(self, **_: Any) -> list[Any]:
            target, lock = (SimpleNamespace(table_id=name) for name in ("counts", "counts_lock"))
            stats = SimpleNamespace(inserted_row_count=4, updated_row_count=2)
            return [
                SimpleNamespace(dml_stats=stats, referenced_tables=[target]),
                SimpleNamespace(dml_stats=stats, referenced_tables=[lock]),
                SimpleNamespace(dml_stats=None),
            ]

    class Forbidden(Failing):
        def list_jobs(self, **_: Any) -> list[Any]:
            raise ConnectionError("no route")

    stats = write(Listing(bigquery.client), dataset, MIXED).stats
    assert (stats["rows_inserted"], stats["rows_updated"]) == (4, 2)
    assert "rows_inserted" not in write(Forbidden(bigquery.client), dataset, MIXED).stats


def test_tasks_can_write_at_the_same_time(bigquery: BigQuery, dataset: str) -> None:
    def one(number: int) -> None:
        rows = [hour_row(account=str(number)), hour_row(value=5)]
        write(bigquery.client, dataset, rows, [coverage_row(account=str(number))])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(8)))
    assert len(counts(bigquery, dataset)) == 9
    assert len(statuses(bigquery, dataset)) == 8
    assert tables(bigquery, dataset) == PERMANENT


def test_a_failure_writes_nothing_and_leaves_nothing(
    bigquery: BigQuery, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client = Failing(bigquery.client, TYPO)
    with pytest.raises(BadRequest, match="Syntax error"):
        write(client, dataset, MIXED, [coverage_row()])
    assert counts(bigquery, dataset) == statuses(bigquery, dataset) == []
    assert tables(bigquery, dataset) == PERMANENT
    assert list(tmp_path.iterdir()) == []


def test_discard_leaves_nothing(
    bigquery: BigQuery, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(writers, "ROW_GROUP", 1)
    budget = LoadBudget(least_bytes=1, most_loads=3)
    sink = BigQuerySink(bigquery.client, f"{dataset}.counts", budget=budget)
    sink.discard()
    sink.prepare()
    sink.write(rows_table(*MIXED))
    assert len(tables(bigquery, dataset)) == len(PERMANENT) + 1
    sink.discard()
    sink.discard()
    assert tables(bigquery, dataset) == PERMANENT
    assert list(tmp_path.iterdir()) == []


def test_append_adds_rows_every_time(bigquery: BigQuery, dataset: str) -> None:
    for _ in range(2):
        write(
            bigquery.client,
            dataset,
            [hour_row(), hour_row()],
            [coverage_row()],
            write_mode="append",
        )
    assert len(counts(bigquery, dataset)) == len(statuses(bigquery, dataset)) == 2


def test_an_append_is_written_once_although_its_answer_is_lost(
    bigquery: BigQuery, dataset: str
) -> None:
    class Losing(Failing):
        """A client that loses the connection after each script has started."""

        def query(self, sql: str, **options: Any) -> Any:
            job = super().query(sql, **options)
            if "BEGIN TRANSACTION" in sql:
                raise ConnectionError("reset")
            return job

    client = Losing(bigquery.client)
    write(client, dataset, [hour_row()], [coverage_row()], write_mode="append")
    assert len(client.scripts) == 1
    assert len(counts(bigquery, dataset)) == len(statuses(bigquery, dataset)) == 1


def test_truncate_replaces_all_rows(bigquery: BigQuery, dataset: str) -> None:
    write(bigquery.client, dataset, MIXED, [coverage_row(), coverage_row(tweet_id="2")])
    write(bigquery.client, dataset, [hour_row(value=2)], [coverage_row()], write_mode="truncate")
    assert counts(bigquery, dataset) == rows_table(hour_row(value=2)).to_pylist()
    assert statuses(bigquery, dataset) == coverage_table(coverage_row()).to_pylist()


def test_a_pull_without_rows_never_truncates(bigquery: BigQuery, dataset: str) -> None:
    write(bigquery.client, dataset, MIXED, [coverage_row()])
    unavailable = coverage_row(tweet_id="2", status="unavailable", access=None)
    write(bigquery.client, dataset, [], [unavailable], write_mode="truncate")
    assert len(counts(bigquery, dataset)) == len(MIXED)
    assert len(statuses(bigquery, dataset)) == 2


def test_an_empty_pull_runs_no_script(bigquery: BigQuery, dataset: str) -> None:
    client = Failing(bigquery.client)
    result = write(client, dataset, [], [], write_mode="truncate")
    assert client.scripts == []
    assert result.rows == 0
    assert result.stats == {"load_jobs": 0}


def test_a_parameter_that_is_not_allowed_is_named(bigquery: BigQuery) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"write_mode is 'replace'; it must be one of: 'upsert'"
    ):
        BigQuerySink(bigquery.client, "d.counts", write_mode="replace")
    with pytest.raises(InvalidArgumentError, match="destination_table is 'counts'"):
        BigQuerySink(bigquery.client, "counts")
    with pytest.raises(
        InvalidArgumentError, match=r"layout is 'square'; it must be one of: 'long'"
    ):
        BigQuerySink(bigquery.client, "d.counts", layout="square")


def wide(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    names = "tweet_id, impressions, favorites, quote_tweets, complete, collected_at"
    query = f"SELECT {names} FROM {dataset}.counts ORDER BY tweet_id"  # noqa: S608 - a table of ours
    return bigquery.rows(query)


def typed(name: str, value: int, minutes: int = 0, **changes: Any) -> dict[str, Any]:
    moment = LATER + timedelta(minutes=minutes)
    return hour_row(engagement_type=name, value=value, collected_at=moment, **changes)


def partly(name: str, value: int, minutes: int = 0) -> dict[str, Any]:
    return typed(name, value, minutes, complete=False)


def test_a_wide_row_has_all_types_of_a_tweet(bigquery: BigQuery, dataset: str) -> None:
    rows: list[pa.Table] = [
        rows_table(typed("impressions", 10), typed("favorites", -2, 5)),
        rows_table(typed("impressions", 4, tweet_id="2")),
        rows_table(typed("replies", 1)),
    ]
    sink = BigQuerySink(bigquery.client, f"{dataset}.counts", layout="wide")
    sink.prepare()
    for table in rows:
        sink.write(table)
    sink.commit([coverage_table(coverage_row())], {})
    first, second = wide(bigquery, dataset)
    assert first == {
        "tweet_id": "1994000000000000001",
        "impressions": 10,
        "favorites": -2,
        "quote_tweets": None,
        "complete": True,
        "collected_at": LATER + timedelta(minutes=5),
    }
    assert (second["impressions"], second["favorites"]) == (4, None)


def test_wide_rows_are_merged_type_by_type(bigquery: BigQuery, dataset: str) -> None:
    """Write the first answer of each case, then the second. Each case is a Tweet."""
    cases: list[tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[Any, ...]]] = [
        # Only the types of an answer are set, in any order.
        ([typed("impressions", 10)], [typed("favorites", 2, 1)], (10, 2, True)),
        ([typed("favorites", 2, 1)], [typed("impressions", 10)], (10, 2, True)),
        # Newer before older.
        ([typed("impressions", 10)], [typed("impressions", 11, 1)], (11, None, True)),
        ([typed("impressions", 11, 1)], [typed("impressions", 10)], (11, None, True)),
        # Complete before incomplete, whichever is newer.
        ([typed("impressions", 10)], [partly("impressions", 4, 1)], (10, None, True)),
        ([partly("impressions", 4, 1)], [typed("impressions", 10)], (10, None, True)),
        # A row never mixes counts of a part of the period with counts of the whole.
        (
            [partly("impressions", 4), partly("favorites", 1)],
            [typed("favorites", 2, 1)],
            (None, 2, True),
        ),
        ([typed("favorites", 2, 1)], [partly("impressions", 4)], (None, 2, True)),
        ([partly("impressions", 4)], [partly("favorites", 1, 1)], (4, 1, False)),
    ]
    for turn in (0, 1):
        write(
            bigquery.client,
            dataset,
            [row | {"tweet_id": str(n)} for n, case in enumerate(cases) for row in case[turn]],
            layout="wide",
        )
    for row in wide(bigquery, dataset):
        found = row["impressions"], row["favorites"], row["complete"]
        assert found == cases[int(row["tweet_id"])][2], row


def test_the_first_answer_of_a_wide_snapshot_stands_type_by_type(
    bigquery: BigQuery, dataset: str
) -> None:
    first = lifetime_row(engagement_type="favorites", value=5)
    later = lifetime_row(engagement_type="favorites", value=99, collected_at=EVEN_LATER)
    other = lifetime_row(engagement_type="impressions", value=50, collected_at=EVEN_LATER)
    for rows in ([first], [later, other]):
        write(bigquery.client, dataset, rows, layout="wide")
    (row,) = wide(bigquery, dataset)
    assert (row["impressions"], row["favorites"], row["complete"]) == (50, 5, True)


def test_a_wide_upsert_twice_is_the_same_table(bigquery: BigQuery, dataset: str) -> None:
    rows = [typed("impressions", 10), typed("favorites", 2)]
    write(bigquery.client, dataset, rows, layout="wide")
    once = wide(bigquery, dataset)
    again = [row | {"collected_at": EVEN_LATER} for row in rows]
    write(bigquery.client, dataset, again, layout="wide")
    assert wide(bigquery, dataset) == once


def test_rows_without_a_wide_form_are_refused(bigquery: BigQuery, dataset: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"grouping engagement\.type has no tweet\.id"):
        BigQuerySink(bigquery.client, "d.counts", layout="wide", groupings=["engagement.type"])
    sink = BigQuerySink(bigquery.client, f"{dataset}.counts", layout="wide")
    with pytest.raises(InvalidArgumentError, match="there are counts without engagement_type"):
        sink.write(rows_table(hour_row(engagement_type=None)))


@pytest.mark.parametrize("write_mode", ["upsert", "append", "truncate"])
def test_rows_of_more_than_4000_days_are_written_in_one_transaction(
    bigquery: BigQuery, dataset: str, write_mode: str
) -> None:
    rows = [
        hour_row(period_start=moment, period_end=moment + timedelta(hours=1), value=number)
        for number, moment in enumerate(
            [START - timedelta(days=days) for days in (0, 1, 3999, 4000, 4001, 4400)]
        )
    ]
    client = Failing(bigquery.client)
    write(client, dataset, rows, [coverage_row()], write_mode=write_mode)
    assert counts(bigquery, dataset) == sorted_rows(rows_table(*rows).to_pylist())
    (script,) = client.scripts
    statement = "MERGE" if write_mode == "upsert" else "INSERT INTO"
    assert script["sql"].count(f"{statement} `test.{dataset}.counts` ") == 2
