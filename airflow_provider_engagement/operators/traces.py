"""What a pull leaves for people to see: metrics, an asset event, a link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.providers.common.compat.sdk import Asset, Stats

from airflow_provider_engagement.api.window import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_engagement.data.sink import Landed
    from airflow_provider_engagement.operators.job import Job
    from airflow_provider_engagement.pull import Tally

__all__ = ["LINK_KEY", "console_url", "count", "tell_assets"]

LINK_KEY: Final = "destination_url"

_CONSOLE: Final = "https://console.cloud.google.com"

# A key is an event, and events are rows of Airflow's database.
_MOST_PARTITIONS: Final = 400


def count(tally: Tally, endpoint: str) -> None:
    """Add a pull's figures to Airflow's metrics, a failed one's too."""
    tags = {"endpoint": endpoint}
    Stats.incr("engagement.requests", tally.requests, tags=tags)
    Stats.incr("engagement.refusals", tally.refused, tags=tags)
    Stats.incr("engagement.retries", tally.retried, tags=tags)
    Stats.incr("engagement.rows", tally.rows, tags=tags)


def tell_assets(job: Job, landed: Landed, outlets: Iterable[Any]) -> None:
    """Tell the assets that the task has as outlets what was written.

    Their events carry the rows and the window, and where Airflow has partitions (3.3), one for
    each UTC day of the run's own range, so that a DAG downstream can have one run a day.
    """
    events = job.context.get("outlet_events")
    if events is None:
        return
    extra = {
        "rows": landed.rows,
        "window": job.moment.describe(),
        **({"table": landed.table} if landed.table else {"uris": list(landed.uris[:20])}),
    }
    for outlet in outlets:
        if isinstance(outlet, Asset):
            event = events[outlet]
            event.extra.update(extra)
            if hasattr(event, "add_partitions") and not _has_partition(job):
                event.add_partitions(_partitions(job))


def _has_partition(job: Job) -> bool:
    """Tell whether the run has a partition: Airflow then hands it on by itself."""
    return bool(getattr(job.context.get("dag_run"), "partition_key", None))


def _partitions(job: Job) -> list[str]:
    moment = job.moment
    if moment.span is None:
        return [f"{moment.snapshot_at:%Y-%m-%d}"]
    first, days = moment.span.start, -(-moment.span.length // DAY)
    return [f"{first + number * DAY:%Y-%m-%d}" for number in range(min(days, _MOST_PARTITIONS))]


def console_url(landed: Landed) -> str | None:
    """Give the page of Google's console that shows what was written."""
    if landed.table is not None:
        project, dataset, table = (quote(part, safe="") for part in landed.table.split("."))
        resource = f"!1m5!1m4!4m3!1s{project}!2s{dataset}!3s{table}"
        return f"{_CONSOLE}/bigquery?project={project}&ws={resource}"
    if landed.uris and landed.uris[0].startswith("gs://"):
        folder = landed.uris[0].removeprefix("gs://").rpartition("/")[0]
        return f"{_CONSOLE}/storage/browser/{quote(folder)}"
    return None
