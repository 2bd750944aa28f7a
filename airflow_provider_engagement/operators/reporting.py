"""What a pull reports to Airflow: metrics, progress, asset events, and a link."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import Asset, Stats

from airflow_provider_engagement.api.window import DAY, align_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.pull import PullStats
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = [
    "LINK_KEY",
    "PROGRESS_KEY",
    "REPORT_KEY",
    "SUMMARY_KEY",
    "collect_lineage",
    "console_url",
    "count_metrics",
    "describe_assets",
    "describe_events",
    "openlineage_facets",
    "page_url",
    "progress_reporter",
]

log = logging.getLogger(__name__)

SUMMARY_KEY: Final = "summary"
LINK_KEY: Final = "destination_url"
REPORT_KEY: Final = "report_url"
PROGRESS_KEY: Final = "engagement_progress"

_CONSOLE: Final = "https://console.cloud.google.com"

# Every partition key is an event, which is a row in Airflow's database.
_MAX_PARTITIONS: Final = 400

# Names of datasets as the OpenLineage specification writes them.
_BIGQUERY: Final = "bigquery"

# Airflow collects at most 100, and readers of lineage need the folder more than its parts.
_MAX_OBJECTS: Final = 20
_MAX_SOURCES: Final = 90


def count_metrics(stats: PullStats, endpoint: str) -> None:
    """Add a pull's figures to Airflow's metrics.

    :param stats: the figures, also of a pull that failed.
    :param endpoint: the metrics' tag.
    """
    # Plain text: OpenTelemetry counts an enum's value in a series of its own.
    tags = {"endpoint": str(endpoint)}
    Stats.incr("engagement.requests", stats.requests, tags=tags)
    Stats.incr("engagement.rate_limited", stats.rate_limited, tags=tags)
    Stats.incr("engagement.retries", stats.retried, tags=tags)
    Stats.incr("engagement.rows", stats.rows, tags=tags)


def progress_reporter(store: Any) -> Callable[[dict[str, int | str]], None] | None:
    """Return a function that shows progress in the task state store, which Airflow 3.3 has.

    :param store: the store; None on an older Airflow.
    """
    if store is None:
        return None

    def report(progress: dict[str, int | str]) -> None:
        try:
            store.set(PROGRESS_KEY, progress)
        except Exception as error:  # noqa: BLE001 - the pull goes on, whatever the store raises
            log.warning("Progress cannot be shown: %s", type(error).__name__)

    return report


def describe_assets(
    context: Mapping[str, Any],
    period: ReportingPeriod,
    written: WriteResult,
    outlets: Iterable[Any],
) -> None:
    """Put the rows and the window into the events of the task's assets.

    In a DAG that is scheduled with Airflow's ``PartitionedAtRuntime`` (3.3) there is one event for
    each UTC day of the window, so that a DAG downstream can have one run a day.

    :param context: the task's context.
    :param period: what the counts are about.
    :param written: where the rows are.
    :param outlets: the task's outlets.
    """
    extra = {
        "rows": written.rows,
        "window": period.describe(),
        **({"table": written.table} if written.table else {"uris": list(written.uris[:20])}),
    }
    days = _days(period) if _sets_partitions(context) else []
    describe_events(context, outlets, extra, days)


def describe_events(
    context: Any, outlets: Iterable[Any], extra: Mapping[str, object], days: Sequence[str] = ()
) -> None:
    """Put something into the events of the task's assets.

    :param context: the task's context.
    :param outlets: the task's outlets.
    :param extra: what to put there.
    :param days: the partitions of the events; without any, Airflow sets them.
    """
    events = context.get("outlet_events")
    if events is None:
        return
    for outlet in outlets:
        if isinstance(outlet, Asset):
            event = events[outlet]
            event.extra.update(extra)
            if days:
                event.add_partitions(list(days))


def _sets_partitions(context: Mapping[str, Any]) -> bool:
    """Return whether the task has to set the partitions of its events.

    An event with a partition starts no DAG that is scheduled on the whole asset, so Airflow leaves
    the choice to the DAG's schedule. Airflow itself passes on the partition of a run.
    """
    timetable = getattr(context.get("dag"), "timetable", None)
    return bool(getattr(timetable, "partitioned_at_runtime", False))


def _days(period: ReportingPeriod) -> list[str]:
    if period.period is None:
        return [f"{period.snapshot_at:%Y-%m-%d}"]
    window = align_to(period.period, DAY)
    number = window.length // DAY
    if number > _MAX_PARTITIONS:
        log.warning("Assets get events for the first %d of %d days only.", _MAX_PARTITIONS, number)
    days = range(min(number, _MAX_PARTITIONS))
    return [f"{window.start + day * DAY:%Y-%m-%d}" for day in days]


def console_url(written: WriteResult) -> str | None:
    """Return the page of Google's console that shows what was written.

    :param written: where the rows are.
    :returns: None if they are not in Google Cloud.
    """
    if written.table is not None:
        # From the right: a project may have a domain before its name, which has dots too.
        parts = written.table.rsplit(".", 2)
        project, dataset, table = (quote(part, safe="") for part in parts)
        resource = f"!1m5!1m4!4m3!1s{project}!2s{dataset}!3s{table}"
        return f"{_CONSOLE}/bigquery?project={project}&ws={resource}"
    if written.uris and written.uris[0].startswith("gs://"):
        folder = written.uris[0].removeprefix("gs://").rpartition("/")[0]
        authority, _, path = folder.partition("/")
        # The bucket may follow the id of the Airflow connection to use.
        bucket = authority.rpartition("@")[2]
        return f"{_CONSOLE}/storage/browser/{quote(f'{bucket}/{path}'.rstrip('/'))}"
    return None


def page_url(uri: str) -> str:
    """Return where a browser opens a page.

    :param uri: where the page was written. An object in Google Cloud is opened with the reader's
        own Google account; another URI stays as it is.
    """
    if not uri.startswith("gs://"):
        return uri
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    # The bucket may follow the id of the Airflow connection to use.
    path = quote(f"{bucket.rpartition('@')[2]}/{name}")
    return f"https://storage.cloud.google.com/{path}"


def collect_lineage(context: Any, source: str | Sequence[str], written: WriteResult) -> None:
    """Report to Airflow's hook lineage collector, which passes it to plugins.

    :param context: the hook that sent the requests, or the operator that read the files.
    :param source: the URL of the endpoint, the URI of the files, or a table; a list of several;
        empty if nothing was read that has a name.
    :param written: where the rows are.
    """
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # Airflow's own
    for each in _sources(source):
        uri = each if "://" in each else f"bigquery://{each.replace('.', '/')}"
        collector.add_input_asset(context, uri=uri)
    for uri in _uris(written):
        collector.add_output_asset(context, uri=uri)


def _sources(source: str | Sequence[str]) -> Sequence[str]:
    sources = [source] if isinstance(source, str) else source
    return [each for each in sources if each][:_MAX_SOURCES]


def _uris(written: WriteResult) -> list[str]:
    uris = [written.coverage] if written.coverage and "://" in written.coverage else []
    if written.table is not None:
        # As the Google provider writes a table's asset.
        tables = [written.table, *([written.coverage] if written.coverage and not uris else [])]
        return [f"bigquery://{table.replace('.', '/')}" for table in tables]
    return [*written.uris[:_MAX_OBJECTS], *uris]


def openlineage_facets(lineage: tuple[str | Sequence[str], WriteResult] | None) -> Any:
    """Return what was read and written, with the number of rows, for OpenLineage.

    :param lineage: what was read, as for :func:`collect_lineage`, and where the rows are; None if
        nothing was written.
    :returns: an ``OperatorLineage``.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    if lineage is None:
        return OperatorLineage()
    source, written = lineage
    read = [Dataset(*_source_dataset(each)) for each in _sources(source)]
    if written.table is None and not written.uris:
        return OperatorLineage(inputs=read)
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=written.rows)
    counts = OutputDataset(*_dataset(written), outputFacets={"outputStatistics": statistics})
    outputs = [counts]
    if written.table is not None:
        outputs.append(OutputDataset(_BIGQUERY, written.coverage))
    return OperatorLineage(inputs=read, outputs=outputs)


def _source_dataset(source: str) -> tuple[str, str]:
    """Return the namespace and name of what was read: a URL, or a table of BigQuery."""
    if "://" not in source:
        return _BIGQUERY, source
    url = urlsplit(source)
    # The name of an object has no slash at its start. `_dataset` names folders in the same way.
    path = url.path.strip("/") if url.scheme == "gs" else url.path
    return f"{url.scheme}://{url.netloc}", path


def _dataset(written: WriteResult) -> tuple[str, str]:
    """Return the namespace and name of what holds the counts; for objects, of their folder."""
    if written.table is not None:
        return _BIGQUERY, written.table
    url = urlsplit(written.uris[0].rpartition("/")[0])
    if url.netloc:
        return f"{url.scheme}://{url.netloc}", url.path.strip("/")
    return "file", url.path
