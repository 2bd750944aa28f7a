"""The base of the operators that write to Google Cloud and send no request to the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_engagement.compat import DefaultsWhenMapped
from airflow_provider_engagement.operators.links import EngagementDestinationLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.providers.common.compat.sdk import BaseOperatorLink

    from airflow_provider_engagement.operators.parameters import Text, TextList

__all__ = ["GoogleCloudOperator", "google_access"]


class GoogleCloudOperator(DefaultsWhenMapped, BaseOperator):
    """An operator that writes to Google Cloud and sends no request to the API.

    :param gcp_conn_id: the Google Cloud connection (templated).
    :param impersonation_chain: the service account to impersonate, or a chain of them (templated).
    :param retries: the number of retries, as on every Airflow task; 3 unless the DAG's
        ``default_args`` say otherwise. An error that no retry can mend fails the task at once.
    """

    template_fields: Sequence[str] = ("gcp_conn_id", "impersonation_chain")
    operator_extra_links: Sequence[BaseOperatorLink] = (EngagementDestinationLink(),)
    ui_color = "#e8f5fd"

    def __init__(
        self,
        *,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        retries: int | None = DefaultsWhenMapped.default_retries,
        **kwargs: Any,
    ) -> None:
        super().__init__(retries=retries, **kwargs)
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain

    @property
    def google_access(self) -> tuple[str, Any]:
        """The id of the Google Cloud connection, and the impersonation chain."""
        return google_access(self)


def google_access(operator: Any) -> tuple[str, Any]:
    """Return the id of an operator's Google Cloud connection, and its impersonation chain.

    :param operator: it has ``gcp_conn_id`` and ``impersonation_chain``.
    """
    from airflow_provider_engagement.operators.coercion import or_default

    conn_id = or_default(operator.gcp_conn_id, "google_cloud_default")
    return str(conn_id), or_default(operator.impersonation_chain, None)
