"""Extra links on a task's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

__all__ = ["EngagementDestinationLink", "EngagementReportLink"]


class EngagementDestinationLink(BaseOperatorLink):
    """Links to the table or the objects that the task wrote."""

    name = "Destination"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL that the task pushed; an empty text if it wrote nothing."""
        return XCom.get_value(ti_key=ti_key, key="destination_url") or ""


class EngagementReportLink(BaseOperatorLink):
    """Links to the page that the task wrote."""

    name = "Report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL that the task pushed; an empty text if it wrote nothing."""
        return XCom.get_value(ti_key=ti_key, key="report_url") or ""
