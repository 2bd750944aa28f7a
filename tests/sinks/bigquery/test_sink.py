from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import permutations, product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from bigquery_checks import (
    EVEN_LATER,
    LATER,
    START,
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
from airflow_provider_engagement.sinks.bigquery import BigQuerySink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_engagement.sinks.base import WriteResult
    from tools.clients import BigQuery


class FailingJob:
    """A query job that was aborted."""

    error_result = {"reason": "invalidQuery"}  # noqa: RUF012 - never changed

    def __init__(self, words: str) -> None:
        self._words = words

    def result(self) -> None:
        raise BadRequest(self._words, errors=[{"reason": "invalidQuery"}])

    def reload(self) -> None:
        """Do nothing: the state is known."""


class Contended:
    """A client whose first queries are aborted, since others write the same table."""

    def __init__(self, client: Any, *words: str) -> None:
        self._client = client
        self._words = list(words)
        self.queries: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, sql: str, **options: Any) -> Any:
        self.queries.append(options)
        if self._words:
            return FailingJob(self._words.pop(0))
        return self._client.query(sql, **options)


ABORTED = (
    "Query error: Transaction is aborted due to concurrent update against table p:d.counts. "
    "Transaction ID: 68381985-0000-235c-aa1e-089e0822be6c at [4:1]"
)


def land(
    client: Any,
    dataset: str,
    rows: Sequence[dict[str, Any]],
    coverage: Sequence[dict[str, Any]] = (),
    **options: Any,
) -> WriteResult:
    sink = BigQuerySink(client, f"{dataset}.counts", wait=wait_none(), **options)
    sink.prepare()
    sink.write(rows_table(*rows))
    return sink.commit([coverage_table(*coverage)], {})


def counts(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    return sorted_rows(bigquery.rows(f"SELECT * FROM {dataset}.counts"))  # noqa: S608 - a table of ours


def statuses(bigquery: BigQuery, dataset: str) -> list[dict[str, Any]]:
    return sorted_rows(bigquery.rows(f"SELECT * FROM {dataset}.counts_coverage"))  # noqa: S608 - a table of ours


def tables(bigquery: BigQuery, dataset: str) -> set[str]:
    return {table.table_id for table in bigquery.client.list_tables(dataset)}


ONLY_OURS = {"counts", "counts_coverage", "_engagement_locks"}

MIXED = [
    hour_row(),
    hour_row(tweet_id=None, value=7),
    hour_row(engagement_type=None, value=8),
    hour_row(granularity="hour_of_day", hour_of_day=8, value=9),
    lifetime_row(value=100),
    lifetime_row(account="other", access="public", value=-3, tweet_created_at=None),
]


def test_what_lands_is_what_was_handed_over(bigquery: BigQuery, dataset: str) -> None:
    landed = land(bigquery.client, dataset, MIXED, [coverage_row()])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(*MIXED).to_pylist())
    assert statuses(bigquery, dataset) == coverage_table(coverage_row()).to_pylist()
    assert (landed.rows, landed.table) == (6, f"test.{dataset}.counts")
    assert landed.coverage == f"test.{dataset}.counts_coverage"
    assert landed.stats["load_jobs"] == 1
    assert tables(bigquery, dataset) == ONLY_OURS


def test_twice_is_the_same_table(bigquery: BigQuery, dataset: str) -> None:
    land(bigquery.client, dataset, MIXED, [coverage_row()])
    once = counts(bigquery, dataset), statuses(bigquery, dataset)
    again = [row | {"collected_at": EVEN_LATER} for row in MIXED]
    land(bigquery.client, dataset, again, [coverage_row(collected_at=EVEN_LATER)])
    # Unchanged rows are not rewritten: even `collected_at` is what it was.
    assert (counts(bigquery, dataset), statuses(bigquery, dataset)) == once


def test_rows_handed_over_twice_are_one(bigquery: BigQuery, dataset: str) -> None:
    better = hour_row(value=5, collected_at=EVEN_LATER)
    part = hour_row(value=9, collected_at=EVEN_LATER + timedelta(hours=1), complete=False)
    land(bigquery.client, dataset, [hour_row(), better, part], [coverage_row(), coverage_row()])
    assert counts(bigquery, dataset) == rows_table(better).to_pylist()
    assert len(statuses(bigquery, dataset)) == 1


@pytest.mark.parametrize("granularity", ["lifetime", "window"])
def test_the_first_answer_of_a_snapshot_stands(
    bigquery: BigQuery, dataset: str, granularity: str
) -> None:
    first = lifetime_row(granularity=granularity, value=100)
    land(bigquery.client, dataset, [first])
    falsified = lifetime_row(granularity=granularity, value=999, collected_at=EVEN_LATER)
    next_one = lifetime_row(granularity=granularity, value=110, snapshot_at=START + timedelta(1))
    land(bigquery.client, dataset, [falsified, next_one])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(first, next_one).to_pylist())


def test_endpoints_share_their_hours_and_not_their_snapshots(
    bigquery: BigQuery, dataset: str
) -> None:
    window = lifetime_row(endpoint="28hr", granularity="window")
    land(bigquery.client, dataset, [hour_row(endpoint="28hr", value=3), window])
    newer = hour_row(endpoint="historical", value=4, collected_at=EVEN_LATER)
    other = window | {"endpoint": "historical"}
    land(bigquery.client, dataset, [newer, other])
    assert counts(bigquery, dataset) == sorted_rows(rows_table(newer, window, other).to_pylist())


def test_answers_converge_in_any_order(bigquery: BigQuery, dataset: str) -> None:
    """Land every choice of four answers in every order, an account for each order."""
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
        land(
            bigquery.client,
            dataset,
            [
                answer(case, order[turn]) | {"account": str(number)}
                for number, order in enumerate(orders)
                for case in range(len(cases))
            ],
        )

    # The model: complete before incomplete, then newer before older.
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
        told = [
            status(case, order[turn]) | {"account": str(number)}
            for number, order in enumerate(orders)
            for case in range(len(cases))
        ]
        land(bigquery.client, dataset, [], told)

    for row in statuses(bigquery, dataset):
        expected = max(
            (status(int(row["tweet_id"]), number) for number in range(3)),
            key=lambda told: (told["status"] == "answered", told["collected_at"]),
        )
        assert (row["status"], row["reason"]) == (expected["status"], expected["reason"])


def test_what_the_service_no_longer_gives_stays(bigquery: BigQuery, dataset: str) -> None:
    land(bigquery.client, dataset, [hour_row(), hour_row(tweet_id="2")])
    land(bigquery.client, dataset, [hour_row(tweet_id="2")])
    assert len(counts(bigquery, dataset)) == 2


def test_a_conflict_with_another_writer_is_tried_again(bigquery: BigQuery, dataset: str) -> None:
    client = Contended(
        bigquery.client,
        ABORTED,
        "Could not serialize access to table p:d.counts due to concurrent update",
    )
    land(
        client, dataset, MIXED, [coverage_row()], labels={"dag": "My DAG", "task": "t", "run": "r"}
    )
    assert counts(bigquery, dataset) == sorted_rows(rows_table(*MIXED).to_pylist())
    assert len(client.queries) == 3
    for options in client.queries:
        assert options["job_config"].labels == {"dag": "my_dag", "task": "t", "run": "r"}
        assert options["location"] == "US"


def test_what_was_changed_is_told_where_it_can_be_known(bigquery: BigQuery, dataset: str) -> None:
    # The emulator lists no statements of a script; BigQuery does, each as a job.
    class Listing(Contended):
        def list_jobs(self, **_: Any) -> list[Any]:
            target, lock = (SimpleNamespace(table_id=name) for name in ("counts", "locks"))
            stats = SimpleNamespace(inserted_row_count=4, updated_row_count=2)
            return [
                SimpleNamespace(dml_stats=stats, referenced_tables=[target]),
                SimpleNamespace(dml_stats=stats, referenced_tables=[lock]),
                SimpleNamespace(dml_stats=None),
            ]

    class Forgetful(Contended):
        def list_jobs(self, **_: Any) -> list[Any]:
            message = "no route"
            raise ConnectionError(message)

    stats = land(Listing(bigquery.client), dataset, MIXED).stats
    assert (stats["rows_inserted"], stats["rows_updated"]) == (4, 2)
    assert "rows_inserted" not in land(Forgetful(bigquery.client), dataset, MIXED).stats


def test_tasks_may_land_side_by_side(bigquery: BigQuery, dataset: str) -> None:
    def one(number: int) -> None:
        rows = [hour_row(account=str(number)), hour_row(value=5)]
        land(bigquery.client, dataset, rows, [coverage_row(account=str(number))])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(8)))
    assert len(counts(bigquery, dataset)) == 9
    assert len(statuses(bigquery, dataset)) == 8
    assert tables(bigquery, dataset) == ONLY_OURS


def test_a_failure_lands_nothing_and_leaves_nothing(
    bigquery: BigQuery, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client = Contended(bigquery.client, "Syntax error: Unexpected identifier at [1:1]")
    with pytest.raises(BadRequest, match="Syntax error"):
        land(client, dataset, MIXED, [coverage_row()])
    assert counts(bigquery, dataset) == statuses(bigquery, dataset) == []
    assert tables(bigquery, dataset) == ONLY_OURS
    assert list(tmp_path.iterdir()) == []


def test_discarding_leaves_nothing(
    bigquery: BigQuery, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sink = BigQuerySink(bigquery.client, f"{dataset}.counts")
    sink.discard()
    sink.prepare()
    sink.write(rows_table(*MIXED))
    assert len(tables(bigquery, dataset)) == len(ONLY_OURS) + 1
    sink.discard()
    sink.discard()
    assert tables(bigquery, dataset) == ONLY_OURS
    assert list(tmp_path.iterdir()) == []


def test_appending_adds_each_time(bigquery: BigQuery, dataset: str) -> None:
    for _ in range(2):
        land(
            bigquery.client,
            dataset,
            [hour_row(), hour_row()],
            [coverage_row()],
            write_mode="append",
        )
    assert len(counts(bigquery, dataset)) == len(statuses(bigquery, dataset)) == 2


def test_an_append_is_not_repeated_where_it_may_have_landed(
    bigquery: BigQuery, dataset: str
) -> None:
    class Torn(FailingJob):
        error_result = None  # type: ignore[assignment] # its end was not seen

    class TornClient(Contended):
        def query(self, sql: str, **options: Any) -> Any:
            super().query(sql, **options).result()
            return Torn(ABORTED)

    with pytest.raises(BadRequest):
        land(TornClient(bigquery.client), dataset, [hour_row()], write_mode="append")
    assert len(counts(bigquery, dataset)) == 1


def test_truncating_replaces_all_rows(bigquery: BigQuery, dataset: str) -> None:
    land(bigquery.client, dataset, MIXED, [coverage_row(), coverage_row(tweet_id="2")])
    land(bigquery.client, dataset, [hour_row(value=2)], [coverage_row()], write_mode="truncate")
    assert counts(bigquery, dataset) == rows_table(hour_row(value=2)).to_pylist()
    assert statuses(bigquery, dataset) == coverage_table(coverage_row()).to_pylist()


def test_a_pull_without_rows_never_truncates(bigquery: BigQuery, dataset: str) -> None:
    land(bigquery.client, dataset, MIXED, [coverage_row()])
    gone = coverage_row(tweet_id="2", status="unavailable", access=None)
    land(bigquery.client, dataset, [], [gone], write_mode="truncate")
    assert len(counts(bigquery, dataset)) == len(MIXED)
    assert len(statuses(bigquery, dataset)) == 2


def test_nothing_at_all_runs_no_job(bigquery: BigQuery, dataset: str) -> None:
    client = Contended(bigquery.client)
    landed = land(client, dataset, [], [], write_mode="truncate")
    assert client.queries == []
    assert landed.rows == 0
    assert landed.stats == {"load_jobs": 0}


def test_wrong_parameters_are_named(bigquery: BigQuery) -> None:
    with pytest.raises(InvalidArgumentError, match=r"write_mode is 'replace'\. Use one of upsert"):
        BigQuerySink(bigquery.client, "d.counts", write_mode="replace")
    with pytest.raises(InvalidArgumentError, match="destination_table is 'counts'"):
        BigQuerySink(bigquery.client, "counts")
    with pytest.raises(InvalidArgumentError, match=r"layout is 'square'\. Use one of long, wide"):
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


def test_wide_rows_have_the_types_side_by_side(bigquery: BigQuery, dataset: str) -> None:
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
    """Land each case's first answer, then each case's second: a Tweet is a case."""
    cases: list[tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[Any, ...]]] = [
        # Only what was asked and answered is set, in whatever order.
        ([typed("impressions", 10)], [typed("favorites", 2, 1)], (10, 2, True)),
        ([typed("favorites", 2, 1)], [typed("impressions", 10)], (10, 2, True)),
        # Newer before older.
        ([typed("impressions", 10)], [typed("impressions", 11, 1)], (11, None, True)),
        ([typed("impressions", 11, 1)], [typed("impressions", 10)], (11, None, True)),
        # Complete before incomplete, whichever is newer.
        ([typed("impressions", 10)], [partly("impressions", 4, 1)], (10, None, True)),
        ([partly("impressions", 4, 1)], [typed("impressions", 10)], (10, None, True)),
        # A count of a part of the period does not stand beside counts of the whole.
        (
            [partly("impressions", 4), partly("favorites", 1)],
            [typed("favorites", 2, 1)],
            (None, 2, True),
        ),
        ([typed("favorites", 2, 1)], [partly("impressions", 4)], (None, 2, True)),
        ([partly("impressions", 4)], [partly("favorites", 1, 1)], (4, 1, False)),
    ]
    for turn in (0, 1):
        land(
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
    falsified = lifetime_row(engagement_type="favorites", value=99, collected_at=EVEN_LATER)
    other = lifetime_row(engagement_type="impressions", value=50, collected_at=EVEN_LATER)
    for rows in ([first], [falsified, other]):
        land(bigquery.client, dataset, rows, layout="wide")
    (row,) = wide(bigquery, dataset)
    assert (row["impressions"], row["favorites"], row["complete"]) == (50, 5, True)


def test_a_wide_upsert_twice_is_the_same_table(bigquery: BigQuery, dataset: str) -> None:
    rows = [typed("impressions", 10), typed("favorites", 2)]
    land(bigquery.client, dataset, rows, layout="wide")
    once = wide(bigquery, dataset)
    again = [row | {"collected_at": EVEN_LATER} for row in rows]
    land(bigquery.client, dataset, again, layout="wide")
    assert wide(bigquery, dataset) == once


def test_what_has_no_wide_form_is_refused(bigquery: BigQuery, dataset: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"grouping engagement\.type lacks tweet\.id"):
        BigQuerySink(bigquery.client, "d.counts", layout="wide", groupings=["engagement.type"])
    sink = BigQuerySink(bigquery.client, f"{dataset}.counts", layout="wide")
    with pytest.raises(InvalidArgumentError, match="there are counts without engagement_type"):
        sink.write(rows_table(hour_row(engagement_type=None)))
