"""The period that a report is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.window import DAY, Window, align_to
from airflow_provider_engagement.collections.parsing import is_given
from airflow_provider_engagement.operators.partition import partition_window
from airflow_provider_engagement.operators.run_window import WindowParameters, requested_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.reports.content import Period

__all__ = ["report_period"]

_LAST_DAYS: Final = "the last 28 days with counts"


def report_period(
    context: Mapping[str, Any], start: object, end: object
) -> tuple[Period | None, str]:
    """Return the days that a report is about, and where they come from.

    They are ``start`` to ``end`` where they are given; else the run's partition; else its data
    interval, unless that is empty, as with a plain cron string on Airflow 3; else None.

    :param context: the task's context.
    :param start: the parameter.
    :param end: the parameter.
    :raises InvalidArgumentError: if one is given without the other, or is not a date or time.
    """
    from airflow_provider_engagement.reports.content import Period

    window, origin = _window(context, start, end)
    if window is None:
        return None, origin
    aligned = align_to(window, DAY)
    return Period(aligned.start.date(), aligned.end.date()), origin


def _window(context: Mapping[str, Any], start: object, end: object) -> tuple[Window | None, str]:
    if is_given(start) or is_given(end):
        return requested_window(context, WindowParameters(start, end)), "as the task asks"
    window = partition_window(context)
    if window is not None:
        return window, "the run's partition"
    first, last = context.get("data_interval_start"), context.get("data_interval_end")
    if first is not None and last is not None and first < last:
        return requested_window(context, WindowParameters()), "the run's data interval"
    return None, _LAST_DAYS
