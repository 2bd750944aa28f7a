"""What transfers have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import EndpointName, check_one_of
from airflow_provider_engagement.operators.base import EngagementPullOperator, refuse_two_windows
from airflow_provider_engagement.operators.google import google_access
from airflow_provider_engagement.operators.links import EngagementDestinationLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.operators.parameters import (
        DateTimeLike,
        Duration,
        Text,
        TextList,
    )
    from airflow_provider_engagement.operators.run_window import WindowParameters

__all__ = ["LAYOUTS", "WRITE_MODES", "EngagementTransfer", "job_options"]

LAYOUTS = ("long", "wide")
WRITE_MODES = ("upsert", "append", "truncate")
_WITHOUT_WINDOW = {"totals": "the counts to date", "28hr": "the last 28 hours"}


class EngagementTransfer(EngagementPullOperator):
    """A pull that writes to Google Cloud.

    :param endpoint: ``"totals"``, ``"28hr"`` or ``"historical"``.
    :param layout: ``"long"``: one count a row; ``"wide"``: one row a Tweet and period, and a column
        for each engagement type. Groupings without Tweet or type have no wide form.
    :param start: historical only (templated): the first moment of the window, of any precision; a
        datetime, a date, or ISO 8601 text. By default the run's partition, else its data interval.
    :param end: historical only (templated): the first moment after the window.
    :param lookback: historical only (templated): how far to move the start back, so that late
        corrections are pulled: a request costs the same for 1 day as for 28.
    :param since_posting: historical only (templated): instead of ``start`` and ``end``, count each
        Tweet from its posting for this long, a timedelta or an ISO 8601 duration such as ``P28D``.
        For ``granularity`` ``"day"`` and ``"hour"``.
    :param gcp_conn_id: the Google Cloud connection (templated).
    :param impersonation_chain: the service account to impersonate, or a chain of them (templated).

    The other parameters are those of every pull: :class:`EngagementPullOperator`.
    """

    template_fields: Sequence[str] = (
        *EngagementPullOperator.template_fields,
        "start",
        "end",
        "lookback",
        "since_posting",
        "gcp_conn_id",
        "impersonation_chain",
    )

    operator_extra_links = (EngagementDestinationLink(),)

    def __init__(
        self,
        *,
        endpoint: str = "totals",
        layout: str = "long",
        start: DateTimeLike = None,
        end: DateTimeLike = None,
        lookback: Duration = None,
        since_posting: Duration = None,
        gcp_conn_id: Text = "google_cloud_default",
        impersonation_chain: TextList = None,
        **kwargs: Any,
    ) -> None:
        check_one_of(endpoint, EndpointName, name="endpoint")
        check_one_of(layout, LAYOUTS, name="layout")
        has_window = any(value is not None for value in (start, end, lookback, since_posting))
        if endpoint in _WITHOUT_WINDOW and has_window:
            msg = (
                f"start, end, lookback and since_posting are for historical; {endpoint} takes no "
                f"window, because it returns {_WITHOUT_WINDOW[endpoint]}."
            )
            raise InvalidArgumentError(msg)
        super().__init__(endpoint=endpoint, **kwargs)
        self.layout = layout
        self.start = start
        self.end = end
        self.lookback = lookback
        self.since_posting = since_posting
        refuse_two_windows(self)
        self.gcp_conn_id = gcp_conn_id
        self.impersonation_chain = impersonation_chain

    def window_parameters(self) -> WindowParameters:
        """Return ``start``, ``end``, ``lookback`` and ``since_posting``."""
        from airflow_provider_engagement.operators.run_window import WindowParameters

        return WindowParameters(self.start, self.end, self.lookback, self.since_posting)

    def read_tweet_ids(self) -> list[str]:
        """Read the collection; a file in Google Cloud by the transfer's own connection."""
        from airflow_provider_engagement.hooks.storage import read_tweet_ids

        conn_id, chain = self.google_access
        return read_tweet_ids(
            self.tweet_ids,
            id_column=self.chosen_id_column,
            gcp_conn_id=conn_id,
            impersonation_chain=chain,
        )

    @property
    def google_access(self) -> tuple[str, Any]:
        """The id of the Google Cloud connection, and the impersonation chain."""
        return google_access(self)


def job_options(operator: Any) -> dict[str, Any]:
    """Return how an operator's BigQuery jobs run: location, labels and limit of bytes.

    :param operator: it has ``location``, ``labels`` and ``maximum_bytes_billed``.
    :raises InvalidArgumentError: if one has a value that is not allowed.
    """
    from airflow_provider_engagement.operators.coercion import as_labels, as_text, as_whole_number

    limit = operator.maximum_bytes_billed
    return {
        "location": as_text(operator.location),
        "labels": as_labels(operator.labels, name="labels"),
        "maximum_bytes_billed": as_whole_number(limit, name="maximum_bytes_billed"),
    }
