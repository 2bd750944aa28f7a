"""What both transfers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.operators.base import EngagementPullOperator, one_of
from airflow_provider_engagement.operators.links import EngagementDestinationLink

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EngagementTransfer"]

_LAYOUTS = ("long", "wide")


class EngagementTransfer(EngagementPullOperator):
    """A pull that lands in Google Cloud.

    :param endpoint: ``"totals"``, ``"28hr"`` or ``"historical"``.
    :param layout: ``"long"``: one count a row; ``"wide"``: one row a Tweet and period, and a column
        for each engagement type. Groupings without Tweet or type have no wide form.
    :param gcp_conn_id: the Google Cloud connection (templated).
    :param impersonation_chain: the service account to act as, or a chain of them (templated).

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    template_fields: Sequence[str] = (
        *EngagementPullOperator.template_fields,
        "gcp_conn_id",
        "impersonation_chain",
    )

    operator_extra_links = (EngagementDestinationLink(),)

    def __init__(
        self,
        *,
        endpoint: str = EndpointName.TOTALS,
        layout: str = "long",
        gcp_conn_id: str = "google_cloud_default",
        impersonation_chain: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        one_of(endpoint, tuple(EndpointName), name="endpoint")
        one_of(layout, _LAYOUTS, name="layout")
        super().__init__(endpoint=endpoint, **kwargs)
        self.layout = layout
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain
