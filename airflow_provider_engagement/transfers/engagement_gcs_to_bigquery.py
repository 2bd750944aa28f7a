"""From folders in Google Cloud Storage to a BigQuery table."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from airflow_provider_engagement.api.spec import check_one_of
from airflow_provider_engagement.operators.base import (
    WithLineage,
    fail_for_good,
    refuse_empty_list,
)
from airflow_provider_engagement.operators.google import GoogleCloudOperator
from airflow_provider_engagement.transfers.base import LAYOUTS, WRITE_MODES, job_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_engagement.operators.parameters import (
        Labels,
        Layout,
        Number,
        TaskParameters,
        Text,
        TextList,
        Uris,
        WriteMode,
    )
    from airflow_provider_engagement.sinks.base import Sink, WriteResult
    from airflow_provider_engagement.sinks.folder_load import FolderLoad
    from airflow_provider_engagement.transfers.destinations import BigQueryDestination

__all__ = ["EngagementGCSToBigQueryOperator"]

log = logging.getLogger(__name__)


class EngagementGCSToBigQueryOperator(WithLineage, GoogleCloudOperator):
    """Loads folders that ``EngagementToGCSOperator`` has written into a table, in one load job.

    All folders are written in one transaction with one MERGE, and the status of every id into
    ``<table>_coverage``. Manifests, sizes and checksums are checked. A folder that is missing,
    unfinished or damaged fails the task before anything is written. The task may be repeated: the
    same folders make the same table, which is the table that ``EngagementToBigQueryOperator``
    makes of the same counts. No request is sent to the API.

    It returns ``{"table", "rows", "window"}``. The window is that of the folders, from the first
    moment to the last one.

    :param uris: the folders (templated): the output of an ``EngagementToGCSOperator``, mapped or
        not; or the URI of a folder, of its ``manifest.json`` or of one of its objects; or a list
        of these. All must have the same layout and endpoint. Accounts, windows and formats may
        differ. A list that is empty at run time writes nothing, with a warning.
    :param destination_table: ``project.dataset.table`` or ``dataset.table`` (templated). The
        dataset must exist.
    :param layout: the layout of the folders and of the table: ``"long"`` or ``"wide"``.
    :param write_mode: ``"upsert"``, ``"append"`` or ``"truncate"``, as for
        ``EngagementToBigQueryOperator``.
    :param location: where the dataset is (templated); looked up where it is not given.
    :param labels: labels of every BigQuery job, beside those of dag, task and run (templated).
    :param maximum_bytes_billed: a query that would be billed for more bytes fails (templated).

    The other parameters are those of :class:`GoogleCloudOperator` and of every Airflow task.
    """

    template_fields: Sequence[str] = (
        *GoogleCloudOperator.template_fields,
        "uris",
        "destination_table",
        "location",
        "labels",
        "maximum_bytes_billed",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"uris": "json"}

    _destination: BigQueryDestination | None = None

    def __init__(
        self,
        *,
        uris: Uris,
        destination_table: Text,
        layout: Layout = "long",
        write_mode: WriteMode = "upsert",
        location: Text | None = None,
        labels: Labels = None,
        maximum_bytes_billed: Number = None,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Unpack[TaskParameters],
    ) -> None:
        check_one_of(layout, LAYOUTS, name="layout")
        check_one_of(write_mode, WRITE_MODES, name="write_mode")
        super().__init__(gcp_conn_id=gcp_conn_id, impersonation_chain=impersonation_chain, **kwargs)
        refuse_empty_list(self, uris, name="uris")
        self.uris = uris
        self.destination_table = destination_table
        self.layout = layout
        self.write_mode = write_mode
        self.location = location
        self.labels = labels
        self.maximum_bytes_billed = maximum_bytes_billed

    def execute(self, context: Context) -> dict[str, Any]:
        """Check the folders, and load all of them or none.

        :returns: ``{"table", "rows", "window"}``; the XCom ``summary`` holds the rest.
        """
        with fail_for_good():
            load = self._load()
            if load is None:
                log.warning("uris holds no folders: nothing is written.")
                return {"table": str(self.destination_table), "rows": 0, "window": {}}
            load.check()
            load.log_missing_shards()
            written = load.write(self._sink(context, load))
        self._report(context, load, written)
        window = load.period.describe()
        return {"table": written.table, "rows": written.rows, "window": window}

    def on_kill(self) -> None:
        """Cancel the BigQuery job that is running."""
        if self._destination is not None:
            self._destination.cancel()

    def _load(self) -> FolderLoad | None:
        """Read the manifests of the folders; return None if there are no folders."""
        from airflow_provider_engagement.sinks.finished_folders import folder_uris, open_folder
        from airflow_provider_engagement.sinks.folder_load import FolderLoad
        from airflow_provider_engagement.transfers.destinations import store_of

        opened = []
        for uri in folder_uris(self.uris):
            bucket, _, name = uri.removeprefix("gs://").partition("/")
            opened.append(open_folder(store_of(bucket, self.google_access), name))
        return FolderLoad(opened, self.layout) if opened else None

    def _sink(self, context: Context, load: FolderLoad) -> Sink:
        from airflow_provider_engagement.transfers.destinations import BigQueryDestination

        self._destination = BigQueryDestination(
            table=str(self.destination_table),
            layout=self.layout,
            write_mode=self.write_mode,
            staging_bucket=None,
            google_access=self.google_access,
            **job_options(self),
        )
        return self._destination.open_sink(
            context,
            groupings=load.groupings,
            expected_rows=load.rows,
            period=load.common_period,
            staging=load.folders[0].store,
            staging_folder=load.staging_folder,
        )

    def _report(self, context: Context, load: FolderLoad, written: WriteResult) -> None:
        """Push the link and the summary, and describe the task's assets and lineage."""
        from airflow_provider_engagement.operators import reporting

        summary = load.summary()
        summary |= {"coverage": written.coverage, "write_stats": written.stats}
        log.info(
            "Loaded %d rows of %d folders, with %d load job.",
            written.rows,
            len(load.folders),
            written.stats["load_jobs"],
        )
        context["ti"].xcom_push(key=reporting.SUMMARY_KEY, value=summary)
        context["ti"].xcom_push(key=reporting.LINK_KEY, value=reporting.console_url(written))
        reporting.describe_assets(context, load.period, written, self.outlets or ())
        uris = [folder.uri for folder in load.folders]
        self._lineage = uris, written
        reporting.collect_lineage(self, uris, written)
