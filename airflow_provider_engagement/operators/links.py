"""Extra links on a task's page."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

__all__ = ["EngagementDestinationLink", "EngagementReportLink"]


class _PushedLink(BaseOperatorLink):
    """Links to a URL that the task pushes to XCom."""

    pushed_key: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow passes it by name
        """Return the URL that the task pushed; an empty text if it wrote nothing."""
        return XCom.get_value(ti_key=ti_key, key=self.pushed_key) or ""


class EngagementDestinationLink(_PushedLink):
    """Links to the table or the objects that the task wrote."""

    name = "Destination"
    pushed_key = "destination_url"


class EngagementReportLink(_PushedLink):
    """Links to the page that the task wrote."""

    name = "Report"
    pushed_key = "report_url"
