"""What a pull tells lineage tools: from where the counts came, and where they lie now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from airflow_provider_engagement.sinks.base import WriteResult

__all__ = ["collect", "openlineage_facets"]

# Names of datasets as the OpenLineage specification writes them.
_BIGQUERY: Final = "bigquery"

# Airflow collects no more than 100, and whoever reads them wants to see the folder, not its parts.
_MOST_OBJECTS: Final = 20


def collect(context: Any, source: str, landed: WriteResult) -> None:
    """Tell Airflow's hook lineage collector, which hands it to plugins that read it.

    :param context: the hook that asked.
    :param source: the URL that was asked.
    :param landed: where the rows are.
    """
    from airflow.providers.common.compat.lineage.hook import get_hook_lineage_collector

    collector: Any = get_hook_lineage_collector()  # type: ignore[no-untyped-call]  # Airflow's own
    collector.add_input_asset(context, uri=source)
    for uri in _uris(landed):
        collector.add_output_asset(context, uri=uri)


def _uris(landed: WriteResult) -> list[str]:
    uris = [landed.coverage] if landed.coverage and "://" in landed.coverage else []
    if landed.table is not None:
        # As the Google provider writes a table's asset.
        tables = [landed.table, *([landed.coverage] if landed.coverage and not uris else [])]
        return [f"bigquery://{table.replace('.', '/')}" for table in tables]
    return [*landed.uris[:_MOST_OBJECTS], *uris]


def openlineage_facets(written: tuple[str, WriteResult] | None) -> Any:
    """Give OpenLineage what was read and written, with the number of rows.

    :param written: the URL that was asked, and where the rows are; None if nothing was written.
    :returns: an ``OperatorLineage``.
    """
    from airflow.providers.common.compat.openlineage.facet import (
        Dataset,
        OutputDataset,
        OutputStatisticsOutputDatasetFacet,
    )
    from airflow.providers.openlineage.extractors import OperatorLineage

    if written is None:
        return OperatorLineage()
    source, landed = written
    url = urlsplit(source)
    read = Dataset(namespace=f"{url.scheme}://{url.netloc}", name=url.path)
    if landed.table is None and not landed.uris:
        return OperatorLineage(inputs=[read])
    statistics = OutputStatisticsOutputDatasetFacet(rowCount=landed.rows)
    counts = OutputDataset(*_dataset(landed), outputFacets={"outputStatistics": statistics})
    outputs = [counts]
    if landed.table is not None:
        outputs.append(OutputDataset(_BIGQUERY, landed.coverage))
    return OperatorLineage(inputs=[read], outputs=outputs)


def _dataset(landed: WriteResult) -> tuple[str, str]:
    """Give the namespace and name of what holds the counts: objects are known by their folder."""
    if landed.table is not None:
        return _BIGQUERY, landed.table
    url = urlsplit(landed.uris[0].rpartition("/")[0])
    if url.netloc:
        return f"{url.scheme}://{url.netloc}", url.path.strip("/")
    return "file", url.path
