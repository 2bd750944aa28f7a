"""Measures the peak memory of pulls in processes of their own, and a task with a million Tweets."""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.client import EngagementClient
from airflow_provider_engagement.api.plan import ReportingPeriod, make_plan
from airflow_provider_engagement.api.query import build_query
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.api.tweet_id import created_at
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.hooks.storage import put_file
from airflow_provider_engagement.pull import pull
from airflow_provider_engagement.sinks.files import FileSink
from tools.measuring import FOUR_WEEKS, MIDNIGHT, NOW, peak_mib, say, served
from tools.pull_profile import task_context
from tools.services import simulator

if TYPE_CHECKING:
    from airflow_provider_engagement.api.settings import Settings

__all__ = ["measure_task", "memory", "million"]


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
    results.put(round(peak_mib()))


def million() -> None:
    """Pull a million Tweets of /totals into a Parquet file, by one task."""
    took, peak = measure_task(1_000_000)
    say("a million Tweets to Parquet by one task: wall time", f"{took:.0f} s", "under 60 s")
    say("  peak memory of the task's process", f"{peak:.0f} MiB", "under 700 MiB")


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
    results.put((took, peak_mib()))
