"""Report to lineage tools where the counts came from, and where they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = ["collect", "openlineage_facets"]

# Names of datasets as the OpenLineage specification writes them.
_BIGQUERY: Final = "bigquery"

# Airflow collects at most 100, and readers of lineage need the folder more than its parts.
_MAX_OBJECTS: Final = 20


def collect(context: Any, source: str, written: WriteResult) -> None:
    """Report to Airflow's hook lineage collector, which passes it to plugins.

    :param context: the hook that sent the requests.
    :param source: the URL of the endpoint.
    :param written: where the rows are.
    """
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # Airflow's own
    collector.add_input_asset(context, uri=source)
    for uri in _uris(written):
        collector.add_output_asset(context, uri=uri)


def _uris(written: WriteResult) -> list[str]:
    uris = [written.coverage] if written.coverage and "://" in written.coverage else []
    if written.table is not None:
        # As the Google provider writes a table's asset.
        tables = [written.table, *([written.coverage] if written.coverage and not uris else [])]
        return [f"bigquery://{table.replace('.', '/')}" for table in tables]
    return [*written.uris[:_MAX_OBJECTS], *uris]


def openlineage_facets(lineage: tuple[str, WriteResult] | None) -> Any:
    """Return what was read and written, with the number of rows, for OpenLineage.

    :param lineage: the URL of the endpoint, and where the rows are; None if nothing was written.
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
    url = urlsplit(source)
    read = Dataset(namespace=f"{url.scheme}://{url.netloc}", name=url.path)
    if written.table is None and not written.uris:
        return OperatorLineage(inputs=[read])
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=written.rows)
    counts = OutputDataset(*_dataset(written), outputFacets={"outputStatistics": statistics})
    outputs = [counts]
    if written.table is not None:
        outputs.append(OutputDataset(_BIGQUERY, written.coverage))
    return OperatorLineage(inputs=[read], outputs=outputs)


def _dataset(written: WriteResult) -> tuple[str, str]:
    """Return the namespace and name of what holds the counts; for objects, of their folder."""
    if written.table is not None:
        return _BIGQUERY, written.table
    url = urlsplit(written.uris[0].rpartition("/")[0])
    if url.netloc:
        return f"{url.scheme}://{url.netloc}", url.path.strip("/")
    return "file", url.path
