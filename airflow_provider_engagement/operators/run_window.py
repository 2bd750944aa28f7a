"""The window and the moment that a run is about: read from its context, never guessed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.spec import EndpointName, GroupBy
from airflow_provider_engagement.api.window import Window, as_moment
from airflow_provider_engagement.collections.parsing import is_given, parse_duration
from airflow_provider_engagement.operators.partition import partition_key, partition_window

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_engagement.api.plan import ReportingPeriod
    from airflow_provider_engagement.api.query import Query
    from airflow_provider_engagement.operators.task_run import TaskRun

__all__ = [
    "WindowParameters",
    "is_manual",
    "late_reason",
    "reporting_period",
    "requested_window",
    "snapshot_moment",
    "two_windows",
]

# Runs that a person or another DAG starts when the counts are wanted.
_MANUAL: Final = frozenset({"manual", "operator_triggered"})


@dataclass(frozen=True, slots=True)
class WindowParameters:
    """The parameters of an operator that choose the window, as they were given or rendered.

    :param start: the first moment of the window.
    :param end: the first moment after it.
    :param lookback: how far to move the start back.
    :param since_posting: instead of a window, how long to count each Tweet from its posting on.
    """

    start: object = None
    end: object = None
    lookback: object = None
    since_posting: object = None


def reporting_period(
    context: Mapping[str, Any],
    query: Query,
    given: WindowParameters,
    *,
    max_snapshot_age: timedelta,
) -> ReportingPeriod:
    """Return what a run's counts are about.

    :param context: the task's context.
    :param query: what is asked.
    :param given: the parameters that choose the window.
    :param max_snapshot_age: see :func:`snapshot_moment`.
    :raises InvalidArgumentError: if the run has no window, or no moment.
    """
    from airflow_provider_engagement.api.plan import period_of_snapshot, period_of_window

    if is_given(given.since_posting):
        return _period_since_posting(context, query, given)
    if query.endpoint.name is EndpointName.HISTORICAL:
        return period_of_window(requested_window(context, given), query)
    moment = snapshot_moment(context, now=datetime.now(UTC), max_age=max_snapshot_age)
    return period_of_snapshot(moment)


def _period_since_posting(
    context: Mapping[str, Any], query: Query, given: WindowParameters
) -> ReportingPeriod:
    from airflow_provider_engagement.api.since_posting import period_since_posting

    others = ("start", "end", "lookback")
    if also := [name for name in others if is_given(getattr(given, name))]:
        raise two_windows(also)
    length = parse_duration(given.since_posting, name="since_posting")
    partition = partition_window(context)
    moments = [
        _moment(context, "data_interval_end"),
        partition.end if partition else None,
        *(_moment(context, name) for name in ("logical_date", "run_after")),
    ]
    return period_since_posting(query, length, next(filter(None, moments), datetime.now(UTC)))


def late_reason(run: TaskRun, max_snapshot_age: timedelta) -> str | None:
    """Return why a run's counts can no longer be had: the API returns the counts of now only.

    A run that was started by hand is for the counts of now, so it is never late.

    :param run: the task run.
    :param max_snapshot_age: how long ago the run's moment may be.
    :returns: None if they can be had.
    """
    dated = all(GroupBy.DAY in grouping.group_by for grouping in run.plan.query.groupings)
    age = datetime.now(UTC) - run.period.snapshot_at
    if run.period.period or dated or is_manual(run.context) or age <= max_snapshot_age:
        return None
    hours, most = (length.total_seconds() / 3600 for length in (age, max_snapshot_age))
    return (
        f"this run is for {run.period.snapshot_at:%Y-%m-%d %H:%M} UTC, {hours:.1f} hours ago, and "
        "the API returns such counts only as they are now. To pull them nevertheless, raise "
        f"max_snapshot_age, which is {most:.1f} hours."
    )


def is_manual(context: Mapping[str, Any]) -> bool:
    """Return whether a person or another DAG started the run, not the scheduler or a backfill.

    :param context: the task's context.
    """
    kind = getattr(context.get("dag_run"), "run_type", None)
    return getattr(kind, "value", kind) in _MANUAL


def snapshot_moment(context: Mapping[str, Any], *, now: datetime, max_age: timedelta) -> datetime:
    """Return the moment that a run's counts to date are of: the same in each try of the run.

    For a run that was started by hand it is the start of the run. For others it is the end of the
    data interval; else the end of the partition, or the time that the run was to start at where
    the partition was still open then; else that time.

    :param context: the task's context.
    :param now: the present, UTC.
    :param max_age: a run that was started by hand longer ago has its counts of now.
    :raises InvalidArgumentError: if the run has none of these times.
    """
    planned = _moment(context, "run_after") or _moment(context, "logical_date")
    if is_manual(context):
        started = _moment(context, "start_date") or planned or now
        return started if now - started <= max_age else now
    end = _moment(context, "data_interval_end")
    if end is not None:
        return end
    partition = partition_window(context)
    if partition is not None:
        return min(partition.end, planned) if planned else partition.end
    if planned is None:
        msg = "This run has neither a data interval nor a partition nor a date it was to run on."
        raise InvalidArgumentError(msg)
    return planned


def requested_window(context: Mapping[str, Any], given: WindowParameters) -> Window:
    """Return the window that a run asks for.

    It is ``start`` to ``end`` where they are given; else the run's partition, if its key names a
    period; else the run's data interval.

    :param context: the task's context.
    :param given: the operator's parameters.
    :raises InvalidArgumentError: if there is no window, with the ways to give one.
    """
    window = _given_window(given) or partition_window(context) or _data_interval(context)
    if window is None:
        raise _no_window(partition_key(context))
    if not is_given(given.lookback):
        return window
    return Window(window.start - parse_duration(given.lookback, name="lookback"), window.end)


def two_windows(others: Sequence[str]) -> InvalidArgumentError:
    """Return the error for a task that is given two ways to choose its window.

    :param others: the parameters that are given beside ``since_posting``.
    """
    names = " and ".join(others)
    return InvalidArgumentError(
        f"since_posting and {names} are both given: with since_posting each Tweet's window begins "
        "with its posting.",
        advice=f"Give since_posting or {names}, not both.",
    )


def _given_window(given: WindowParameters) -> Window | None:
    moments = {"start": given.start, "end": given.end}
    if not any(is_given(value) for value in moments.values()):
        return None
    return Window(*(as_moment(value, name=name) for name, value in moments.items()))


def _data_interval(context: Mapping[str, Any]) -> Window | None:
    start, end = (_moment(context, f"data_interval_{name}") for name in ("start", "end"))
    return Window(start, end) if start and end else None


def _no_window(key: str | None) -> InvalidArgumentError:
    if key is not None:
        return InvalidArgumentError(
            f"The run's partition key is {key!r}, which names no period.",
            advice='Give the timetable key_format="%Y-%m-%d", or "%Y-%m" or "%Y-%m-%dT%H"; or give '
            "the task start and end.",
        )
    return InvalidArgumentError(
        "This run has no partition that names a time, and no data interval: there is no window to "
        "ask for.",
        advice="Give start and end, or schedule the DAG with "
        "airflow.timetables.interval.CronDataIntervalTimetable. Manual runs need a logical date.",
    )


def _moment(context: Mapping[str, Any], name: str) -> datetime | None:
    value = context.get(name) or getattr(context.get("dag_run"), name, None)
    if not isinstance(value, datetime):
        return None
    # Airflow's datetimes are pendulum's, which print in another way.
    return datetime.fromtimestamp(value.timestamp(), tz=UTC)
