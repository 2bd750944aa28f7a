"""Measures the figures of docs/: ratios of two times from one run.

The comparison is what an author would write by hand: one connection, one request after another,
nested loops into dictionaries. ``make bench`` runs all, ``make bench ARGS="payload pace"`` some.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import Plan, ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import PlannedRequest, build_query
from airflow_provider_engagement.api.response import read_response
from airflow_provider_engagement.api.settings import Credentials, Secret, Settings
from airflow_provider_engagement.api.spec import Access, EndpointName
from airflow_provider_engagement.api.transport import Reply
from airflow_provider_engagement.api.tweet_id import created_at, first_id_at
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.hooks.storage import put_file
from airflow_provider_engagement.pull import PullStats, pull
from airflow_provider_engagement.rows.flatten import flatten
from airflow_provider_engagement.sinks.files import FileSink
from airflow_provider_engagement.sinks.memory import MemorySink
from tools.bench_collections import lines_over_json, peak_above_ids
from tools.bench_workers import say_workers
from tools.pull_profile import task_context
from tools.services import simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime.now(UTC).replace(microsecond=0)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0)
FOUR_WEEKS = timedelta(days=28)


def say(what: str, figure: str, goal: str) -> None:
    """Print one line of the result."""
    print(f"{what:<62} {figure:>22}   goal {goal}", flush=True)


def median_of(
    runs: int, *functions: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the median times of functions, which run in turn so that load affects all of them.

    :param runs: how often each runs.
    :param clock: returns seconds; processor time for work that does not wait, because other
        processes affect it less.
    """
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(runs):
        for function, took in zip(functions, times, strict=True):
            gc.collect()
            began = clock()
            result = function()
            took.append(clock() - began)
            del result
    return [statistics.median(took) for took in times]


def payload() -> None:
    """Decode a response of 4 weeks by the hour to all columns."""
    query = build_query("historical", has_owner=True, granularity="hour")
    window = Window(MIDNIGHT - FOUR_WEEKS, MIDNIGHT)
    ids = [str(first_id_at(window.start - timedelta(days=n))) for n in range(1, 26)]
    body = hourly_answer(ids, query.engagement_types, window)
    request = PlannedRequest(tuple(ids), query.engagement_types, Access.OWNER, window)
    period = ReportingPeriod(NOW, window)

    def ours() -> object:
        reply = Reply(200, {}, body, NOW)
        response = read_response(reply, grouping_names=["hour"])
        if response is None:
            raise AssertionError
        return flatten(response, query=query, request=request, account="acme", period=period)

    def loads() -> object:
        return json.loads(body)

    # Rows by hand are measured apart: their objects scatter the memory of what runs after them.
    parsed, by_us = median_of(15, loads, ours, clock=time.process_time)
    parsed_again, by_hand = median_of(
        3, loads, lambda: rows_by_hand(json.loads(body)), clock=time.process_time
    )
    say("hourly payload to columns, over json.loads", f"{by_us / parsed:.2f}x", "2.60x at most")
    say("the same by hand, over json.loads", f"{by_hand / parsed_again:.2f}x", "above ours")


def hourly_answer(ids: list[str], types: tuple[str, ...], window: Window) -> bytes:
    """Make a response with every hour of a window."""
    days = [f"{window.start + timedelta(days=n):%Y-%m-%d}" for n in range(28)]
    counts = {
        item: {
            name: {
                day: {f"{hour:02}": str(at * len(name) * hour % 997) for hour in range(24)}
                for at, day in enumerate(days)
            }
            for name in types
        }
        for item in ids
    }
    start, end = window.body().values()
    return json.dumps({"start": start, "end": end, "hour": counts}).encode()


def rows_by_hand(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten a response as a DAG author would."""
    return [
        {
            "tweet_id": tweet_id,
            "engagement_type": name,
            "period_start": datetime.strptime(f"{day}T{hour}Z", "%Y-%m-%dT%HZ").replace(tzinfo=UTC),
            "value": int(value),
        }
        for tweet_id, by_type in document["hour"].items()
        for name, by_day in by_type.items()
        for day, by_hour in by_day.items()
        for hour, value in by_hour.items()
    ]


@contextmanager
def served(*options: str, tweets: int, **changes: Any) -> Iterator[tuple[Settings, list[str]]]:
    """Simulate one account's Tweets; yield its settings and the ids."""
    with tempfile.TemporaryDirectory() as name:
        ids_file = Path(name) / "ids.txt"
        flags = ("--account", "acme", "--tweets", str(tweets), "--ids-file", str(ids_file))
        with simulator(Path(name), *flags, *options) as running:
            held = running.connections["acme"]
            yield settings_of(held, **changes), ids_file.read_text().split()


def settings_of(held: dict[str, Any], **changes: Any) -> Settings:
    """Return the settings of a simulated connection."""
    extra = held["extra"]
    credentials = Credentials(
        Secret(held["login"]),
        Secret(held["password"]),
        Secret(extra["access_token"]),
        Secret(extra["access_token_secret"]),
        Secret(extra["bearer_token"]),
    )
    return Settings(credentials=credentials, account="acme", host=held["host"], **changes)


def pull_all(settings: Settings, plan: Plan, folder: Path) -> PullStats:
    """Pull a plan into memory."""
    tally = PullStats()
    with EngagementClient(settings, rate_state_directory=folder) as client:
        period = plan.window
        pull(client, plan, MemorySink(), period=ReportingPeriod(NOW, period), stats=tally)
    return tally


def by_hand(settings: Settings, plan: Plan) -> None:
    """Send one request after another on one connection, as a DAG author would."""
    import requests
    from requests_oauthlib import OAuth1

    held = settings.credentials
    secrets = held.consumer_key, held.consumer_secret, held.access_token, held.access_token_secret
    auth = OAuth1(*(secret.reveal() for secret in secrets if secret))
    rows = []
    with requests.Session() as session:
        for request in plan.requests:
            body = plan.query.body(request)
            url = settings.host + plan.query.endpoint.path
            answer = session.post(url, json=body, auth=auth, headers={"Accept-Encoding": "gzip"})
            for tweet_id, counts in answer.json()["total"].items():
                for name, value in counts.items():
                    rows.append({"tweet_id": tweet_id, "type": name, "value": int(value)})


def throughput() -> None:
    """Pull 10,000 ids of /totals from a service without a limit that answers in 200 ms.

    With a limit in the connection all requests start at once; without one the first request is
    sent alone.
    """
    query = build_query("totals", has_owner=True)
    with (
        served("--latency", "0.2", tweets=10_000) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        plan = make_plan(query, ids, now=NOW)
        stated = replace(settings, requests_per_minute={EndpointName.TOTALS: 6000.0})
        hand, ours, alone = median_of(
            3,
            lambda: by_hand(settings, plan),
            lambda: pull_all(stated, plan, Path(folder)),
            lambda: pull_all(settings, plan, Path(folder)),
        )
    say(
        "10,000 ids on totals, 200 ms an answer, over by hand", f"{hand / ours:.1f}x", "6x at least"
    )
    say("  where the connection states no contract", f"{hand / alone:.1f}x", "none set")


def _paced(settings: Settings, ids: list[str], requests: int, folder: Path) -> PullStats:
    query = build_query("totals", has_owner=True)
    plan = make_plan(query, ids, now=NOW)
    more = tuple(plan.requests[n % len(plan.requests)] for n in range(requests))
    plan = Plan(query=query, tweet_ids=plan.tweet_ids, requests=more, too_old={})
    return pull_all(settings, plan, folder)


def pace() -> None:
    """Pull a plan of 600 requests with a limit of 300 per minute."""
    limit = {EndpointName.TOTALS: 300.0}
    options = ("--requests-per-minute", "300", "--latency", "0.05")
    with (
        served(*options, tweets=20, requests_per_minute=limit) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        began = time.monotonic()
        tally = _paced(settings, ids, 600, Path(folder))
        minutes = (time.monotonic() - began) / 60
    accepted = (tally.requests - tally.rate_limited) / minutes / 300
    say("600 requests, contract of 300 a minute: pace", f"{accepted:.3f} R", "0.98 R at least")
    say("  of them refused", f"{tally.rate_limited / tally.requests:.2%}", "under 1 %")


def _mapped(settings: Settings, ids: list[str], folder: Path, results: Any) -> None:
    tally = _paced(settings, ids, 150, folder)
    results.put((tally.requests, tally.rate_limited))


def mapped() -> None:
    """Pull in 4 processes at once on one app with a limit of 300 per minute."""
    limit = {EndpointName.TOTALS: 300.0}
    options = ("--requests-per-minute", "300", "--latency", "0.05")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    with (
        served(*options, tweets=20, requests_per_minute=limit) as (settings, ids),
        tempfile.TemporaryDirectory() as folder,
    ):
        tasks = [
            context.Process(target=_mapped, args=(settings, ids, Path(folder), results))
            for _ in range(4)
        ]
        began = time.monotonic()
        for task in tasks:
            task.start()
        found = [results.get() for _ in tasks]
        minutes = (time.monotonic() - began) / 60
        for task in tasks:
            task.join()
    sent, refused = (sum(column) for column in zip(*found, strict=True))
    say(
        "4 tasks at once on one app: pace together",
        f"{(sent - refused) / minutes / 300:.3f} R",
        "0.95 R at least",
    )
    say("  of them refused", f"{refused / sent:.2%}", "under 1 %")


def year() -> None:
    """Count the requests of one pull over a year with 1,000 Tweets, created evenly over it."""
    query = build_query("historical", has_owner=True)
    start = MIDNIGHT - timedelta(days=365)
    ids = [str(first_id_at(start + timedelta(days=365) * n / 1000) + 1) for n in range(1000)]
    plan = make_plan(query, ids, now=NOW, window=Window(start, MIDNIGHT))
    lives = [MIDNIGHT - created for item in ids if (created := created_at(item))]
    least = -(-sum(-(-life // FOUR_WEEKS) for life in lives) // 25)
    hand = 1000 // 25 * -(-timedelta(days=365) // FOUR_WEEKS)
    say(
        "a year of 1,000 Tweets: requests over the least",
        f"{len(plan.requests)}/{least} = {len(plan.requests) / least:.3f}x",
        "1.05x at most",
    )
    say("  by hand, every window for every batch", f"{hand / least:.2f}x", "above ours")


def _peak(settings: Settings, ids: list[str], requests: int, results: Any) -> None:
    """Pull hourly responses into a Parquet file, and send the peak memory in MiB."""
    query = build_query("historical", has_owner=True, granularity="hour")
    window = Window(MIDNIGHT - FOUR_WEEKS, MIDNIGHT)
    plan = make_plan(query, ids, now=NOW, window=window)
    plan = replace(plan, requests=plan.requests * requests)
    with tempfile.TemporaryDirectory() as name:
        sink = FileSink(f"file://{name}/rows.parquet", put_file)
        with EngagementClient(settings, rate_state_directory=Path(name)) as client:
            pull(client, plan, sink, period=ReportingPeriod(NOW, window))
    results.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def memory() -> None:
    """Measure the peak memory of pulls of 5 and of 20 million counts."""
    context = multiprocessing.get_context("spawn")
    limit = {EndpointName.HISTORICAL: 100_000.0}
    peaks = []
    with served(tweets=400, requests_per_minute=limit) as (settings, every):
        old = (i for i in every if (made := created_at(i)) and made < MIDNIGHT - FOUR_WEEKS)
        ids = list(old)[:25]
        for requests in (18, 71):
            results = context.Queue()
            task = context.Process(target=_peak, args=(settings, ids, requests, results))
            task.start()
            peaks.append(results.get())
            task.join()
    say("peak memory, 5 and 20 million counts", f"{peaks[0]} and {peaks[1]} MiB", "+64 MiB at most")


def _run_task(connection: str, ids_file: Path, results: Any) -> None:
    """Pull all ids of a file into a Parquet file by one task; send the time and peak memory."""
    os.environ["AIRFLOW_CONN_ENGAGEMENT_BENCH"] = connection
    tempfile.tempdir = os.environ["AIRFLOW_HOME"] = str(ids_file.parent)
    from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator

    output = ids_file.with_name("rows.parquet")
    operator = EngagementTotalsOperator(
        task_id="pull",
        tweet_ids=f"file://{ids_file}",
        output_path=f"file://{output}",
        engagement_conn_id="engagement_bench",
    )
    began = time.monotonic()
    operator.execute(task_context(operator))  # type: ignore[arg-type]  # a stand-in
    took = time.monotonic() - began
    results.put((took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure_task(tweets: int) -> tuple[float, float]:
    """Pull Tweets of /totals into a Parquet file by one task, in a process of its own.

    :param tweets: how many.
    :returns: the seconds of the task, and the peak memory of its process in MiB.
    """
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as name:
        ids_file = Path(name) / "ids.txt"
        flags = ("--account", "acme", "--tweets", str(tweets), "--ids-file", str(ids_file))
        with simulator(Path(name), *flags) as running:
            held = running.connections["acme"]
            held["extra"]["requests_per_minute"] = 100_000
            task = context.Process(target=_run_task, args=(json.dumps(held), ids_file, results))
            task.start()
            took, peak = results.get()
            task.join()
    return took, peak


def million() -> None:
    """Pull a million Tweets of /totals into a Parquet file, by one task."""
    took, peak = measure_task(1_000_000)
    say("a million Tweets to Parquet by one task: wall time", f"{took:.0f} s", "under 60 s")
    say("  peak memory of the task's process", f"{peak:.0f} MiB", "under 700 MiB")


def collections() -> None:
    """Read Tweets from JSON Lines, over ``json.loads``; and a million lines, in bounded memory."""
    ids, whole = lines_over_json(median_of, time.process_time)
    say("JSON Lines to ids, over json.loads", f"{ids:.2f}x", "2.50x at most")
    say("JSON Lines to ids and attributes, over json.loads", f"{whole:.2f}x", "2.50x at most")
    of_ids, of_all = peak_above_ids()
    say("a million lines to ids, peak memory", f"{of_ids:.0f} MiB", "the ids")
    above = f"+{of_all - of_ids:.0f} MiB"
    say("the same with attributes, above the ids", above, "+300 MiB at most")


def workers() -> None:
    """Pull in 4 processes that share nothing but a store, or not even that."""
    say_workers(say)


BENCHMARKS = (payload, throughput, year, memory, million, collections, pace, mapped, workers)


def main(names: list[str]) -> int:
    """Run the benchmarks, or those that are named."""
    known = {benchmark.__name__: benchmark for benchmark in BENCHMARKS}
    unknown = set(names) - known.keys()
    if unknown:
        print(f"Unknown benchmarks: {', '.join(sorted(unknown))}. Known are: {', '.join(known)}")
        return 2
    for name, benchmark in known.items():
        if not names or name in names:
            benchmark()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
