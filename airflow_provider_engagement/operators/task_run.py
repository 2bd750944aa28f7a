"""One try of one task: what it pulls, and the names that identify it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.plan import iso_text
from airflow_provider_engagement.compat import region_of

if TYPE_CHECKING:
    from datetime import timedelta

    from airflow_provider_engagement.api.plan import Plan, ReportingPeriod
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.collections.shard import Shard
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.sinks.base import ObjectStore

__all__ = ["TaskRun", "has_siblings", "job_labels"]


@dataclass(frozen=True, slots=True)
class TaskRun:
    """One try of a task that pulls.

    :param context: the task's context.
    :param plan: the requests to send.
    :param settings: the connection.
    :param period: what the counts are about.
    :param collection: identifies the collection: its URI, whose content may change, or its ids.
    :param began: the value of :func:`time.monotonic` at which the try began.
    :param shard: which part of the collection the plan asks for; None for all of it.
    """

    context: Mapping[str, Any]
    plan: Plan
    settings: Settings
    period: ReportingPeriod
    collection: tuple[str, ...]
    began: float
    shard: Shard | None = None

    @property
    def is_mapped(self) -> bool:
        """Whether the task is an instance of a mapped task, or lies in a mapped task group."""
        return _is_mapped(self.context)

    @property
    def region(self) -> str | None:
        """Which pass of a loop the task belongs to; None outside loops."""
        return region_of(self.context["ti"])

    @property
    def shared_arguments(self) -> Mapping[str, object]:
        """What a mapped task was given in ``.partial``, before it was rendered.

        It is empty for a task in a mapped task group, where any argument may differ.
        """
        found: Mapping[str, object] = getattr(self._task_of_dag, "partial_kwargs", {})
        return found

    @property
    def combined_arguments(self) -> frozenset[str]:
        """The arguments that ``.expand`` combines, each value of one with each of the others."""
        value = getattr(getattr(self._task_of_dag, "expand_input", None), "value", None)
        return frozenset(value) if isinstance(value, Mapping) else frozenset()

    @property
    def groupings(self) -> list[str]:
        """The canonical names of the groupings."""
        return [grouping.canonical for grouping in self.plan.query.groupings]

    @property
    def is_last_try(self) -> bool:
        """Whether Airflow will not retry the task."""
        instance = self.context["ti"]
        return int(instance.try_number) > int(getattr(instance, "max_tries", None) or 0)

    def end_by(self, execution_timeout: timedelta | None) -> float | None:
        """Return when the pull has to stop, for a retry to continue it.

        :param execution_timeout: the task's; None if it has none.
        :returns: a value of :func:`time.monotonic`; None if the try may take all its time.
        """
        from airflow_provider_engagement.pull.deadline import end_before_timeout

        if execution_timeout is None or self.is_last_try:
            return None
        return end_before_timeout(
            began=self.began,
            timeout=execution_timeout.total_seconds(),
            request_timeout=self.settings.timeout,
        )

    @property
    def fingerprint(self) -> str:
        """Identifies what is asked, apart from the ids: types, groupings, and of which period."""
        return _hashed([*self._query, self.period.describe()])

    def task_hash(self, *output: str) -> str:
        """Return a short name of the task, the same in every run and try.

        An instance of a mapped task is identified by what it asks, not by its map index: the same
        item in another place of the list has the same name. The name ends with the shard.

        :param output: what else tells instances apart, such as a file format.
        """
        instance = self.context["ti"]
        identity: list[Any] = [instance.dag_id, instance.task_id]
        if self.is_mapped:
            shared = "tweet_ids" in self.shared_arguments
            identity += [self._query, output, [] if shared else sorted(self.collection)]
        if self.region is not None:
            identity.append({"region": self.region})
        name = _hashed(identity)
        return f"{name}-{self.shard.name}" if self.shard is not None else name

    def checkpoints(self, store: ObjectStore, root: str) -> CheckpointStore:
        """Return the place where answers are saved until the rows are written.

        A retry finds the same place. A Clear does not, because it raises the task's
        ``max_tries``, and neither does a task that asks something else.

        :param store: the bucket.
        :param root: the folder of all checkpoints in it.
        """
        from airflow_provider_engagement.pull.checkpoint import CheckpointStore

        instance, run = self.context["ti"], self.context.get("dag_run")
        began = getattr(run, "start_date", None) or datetime.now(UTC)
        life = [str(instance.run_id), self.task_hash(), getattr(instance, "max_tries", 0)]
        name = _hashed([*life, self.fingerprint, sorted(self.plan.tweet_ids)])
        return CheckpointStore(store=store, root=root, day=began.date(), name=name)

    @property
    def folder_part(self) -> str:
        """The window or snapshot as the name of a folder."""
        since, moments = self.period.since_posting, [self.period.snapshot_at]
        if since is not None:
            # By the run, because a later run is about other Tweets.
            return f"since-posting-{iso_text(since)}_{moments[0]:%Y-%m-%dT%H%M%SZ}"
        if self.period.period is not None:
            moments = [self.period.period.start, self.period.period.end]
        return "_".join(f"{moment:%Y-%m-%dT%H%M%SZ}" for moment in moments)

    @property
    def _task_of_dag(self) -> object:
        """The task as the DAG has it: of a mapped task, not the instance."""
        dag = self.context.get("dag")
        return dag.get_task(self.context["ti"].task_id) if dag is not None else None

    @property
    def _query(self) -> list[Any]:
        query = self.plan.query
        return [
            self.settings.account,
            str(query.endpoint.name),
            str(query.access),
            list(query.engagement_types),
            self.groupings,
        ]


def _is_mapped(context: Mapping[str, Any]) -> bool:
    return int(getattr(context["ti"], "map_index", -1)) >= 0


def has_siblings(context: Mapping[str, Any]) -> bool:
    """Return whether the same run may have other instances of a task, by mapping or by a loop.

    :param context: the task's context.
    """
    return _is_mapped(context) or region_of(context["ti"]) is not None


def job_labels(context: Mapping[str, Any]) -> dict[str, str]:
    """Return the labels of Google's jobs: dag, task and run, and the region of a loop.

    :param context: the task's context.
    """
    instance = context["ti"]
    region = region_of(instance)
    return {
        "dag": str(instance.dag_id),
        "task": str(instance.task_id),
        "run": str(instance.run_id),
        **({"region": region} if region is not None else {}),
    }


def _hashed(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
