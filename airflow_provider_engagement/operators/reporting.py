"""What a pull leaves for people to see: metrics, an asset event, a link."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.providers.common.compat.sdk import Asset, Stats

from airflow_provider_engagement.api.window import DAY, align_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.pull import PullStats
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = ["LINK_KEY", "console_url", "count", "tell_assets"]

log = logging.getLogger(__name__)

LINK_KEY: Final = "destination_url"

_CONSOLE: Final = "https://console.cloud.google.com"

# A key is an event, and events are rows of Airflow's database.
_MOST_PARTITIONS: Final = 400


def count(tally: PullStats, endpoint: str) -> None:
    """Add a pull's figures to Airflow's metrics, a failed one's too."""
    tags = {"endpoint": endpoint}
    Stats.incr("engagement.requests", tally.requests, tags=tags)
    Stats.incr("engagement.rate_limited", tally.rate_limited, tags=tags)
    Stats.incr("engagement.retries", tally.retried, tags=tags)
    Stats.incr("engagement.rows", tally.rows, tags=tags)


def tell_assets(job: TaskRun, landed: WriteResult, outlets: Iterable[Any]) -> None:
    """Tell the assets that the task has as outlets what was written.

    Their events carry the rows and the window. In a DAG that is scheduled with Airflow's
    ``PartitionedAtRuntime`` (3.3) there is one event for each UTC day of the window, so that a DAG
    downstream can have one run a day.

    :param job: what was pulled.
    :param landed: where it is.
    :param outlets: the task's.
    """
    events = job.context.get("outlet_events")
    if events is None:
        return
    extra = {
        "rows": landed.rows,
        "window": job.moment.describe(),
        **({"table": landed.table} if landed.table else {"uris": list(landed.uris[:20])}),
    }
    days = _days(job) if _names_partitions(job) else []
    for outlet in outlets:
        if isinstance(outlet, Asset):
            event = events[outlet]
            event.extra.update(extra)
            if days:
                event.add_partitions(days)


def _names_partitions(job: TaskRun) -> bool:
    """Tell whether the task is to say which partitions its events are of.

    An event of a partition starts no DAG that is scheduled on the whole asset, so Airflow leaves
    the choice to the DAG's schedule. A partition that the run itself has it hands on unasked.
    """
    timetable = getattr(job.context.get("dag"), "timetable", None)
    return bool(getattr(timetable, "partitioned_at_runtime", False))


def _days(job: TaskRun) -> list[str]:
    moment = job.moment
    if moment.period is None:
        return [f"{moment.snapshot_at:%Y-%m-%d}"]
    days = align_to(moment.period, DAY)
    number = days.length // DAY
    if number > _MOST_PARTITIONS:
        log.warning(
            "Assets get an event for each of the first %d days alone, of %d.",
            _MOST_PARTITIONS,
            number,
        )
    every = range(min(number, _MOST_PARTITIONS))
    return [f"{days.start + place * DAY:%Y-%m-%d}" for place in every]


def console_url(landed: WriteResult) -> str | None:
    """Give the page of Google's console that shows what was written."""
    if landed.table is not None:
        # From the right, since a project may have a domain before it, with dots of its own.
        parts = landed.table.rsplit(".", 2)
        project, dataset, table = (quote(part, safe="") for part in parts)
        resource = f"!1m5!1m4!4m3!1s{project}!2s{dataset}!3s{table}"
        return f"{_CONSOLE}/bigquery?project={project}&ws={resource}"
    if landed.uris and landed.uris[0].startswith("gs://"):
        place, _, folder = landed.uris[0].removeprefix("gs://").rpartition("/")[0].partition("/")
        # Before the bucket may stand the connection to use, which is no business of the console's.
        bucket = place.rpartition("@")[2]
        return f"{_CONSOLE}/storage/browser/{quote(f'{bucket}/{folder}'.rstrip('/'))}"
    return None
