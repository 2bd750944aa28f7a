"""One try of one task: what it pulls, in which run, and what its traces are named by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_engagement.api.settings import checked_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.api.plan import Plan
    from airflow_provider_engagement.api.settings import Settings
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.rows.period import ReportingPeriod
    from airflow_provider_engagement.sinks.base import ObjectStore

__all__ = ["TaskRun"]


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What an operator pulls in one run.

    :param context: the task's context.
    :param plan: what is to be asked.
    :param settings: the connection.
    :param moment: what the counts are of.
    :param began: the second of :func:`time.monotonic` at which the try began.
    """

    context: Mapping[str, Any]
    plan: Plan
    settings: Settings
    moment: ReportingPeriod
    began: float

    @property
    def source(self) -> str:
        """The URL that is asked."""
        return checked_url(self.settings.host, name="host") + self.plan.query.endpoint.path

    @property
    def labels(self) -> dict[str, str]:
        """What Google's jobs are labelled with."""
        instance = self.context["ti"]
        return {
            "dag": str(instance.dag_id),
            "task": str(instance.task_id),
            "run": str(instance.run_id),
        }

    @property
    def map_index(self) -> int:
        """The task's place in a mapped task, -1 in any other."""
        return int(getattr(self.context["ti"], "map_index", -1))

    @property
    def groupings(self) -> list[str]:
        """The canonical names of what is asked for."""
        return [grouping.canonical for grouping in self.plan.query.groupings]

    @property
    def task_hash(self) -> str:
        """A short name of the task, the same in every run and try, another for each map index."""
        instance = self.context["ti"]
        return _hashed([instance.dag_id, instance.task_id, self.map_index])

    @property
    def is_last_try(self) -> bool:
        """Whether Airflow will not try again."""
        instance = self.context["ti"]
        return int(instance.try_number) > int(getattr(instance, "max_tries", None) or 0)

    def pieces(self, store: ObjectStore, root: str) -> CheckpointStore:
        """Give the place where finished requests wait for the others.

        A retry finds it again. A Clear does not, since it raises the task's ``max_tries``, and
        neither does another question.
        """
        from airflow_provider_engagement.pull.checkpoint import CheckpointStore

        instance, run = self.context["ti"], self.context.get("dag_run")
        began = getattr(run, "start_date", None) or datetime.now(UTC)
        life = [str(instance.run_id), self.task_hash, getattr(instance, "max_tries", 0)]
        name = _hashed([*life, self.fingerprint])
        return CheckpointStore(store=store, root=root, day=began.date(), name=name)

    @property
    def fingerprint(self) -> str:
        """A short name of what is asked: of other Tweets, types or groupings it is another."""
        query = self.plan.query
        return _hashed(
            [
                self.settings.account,
                str(query.endpoint.name),
                str(query.access),
                list(query.engagement_types),
                self.groupings,
                self.moment.describe(),
                sorted(self.plan.tweet_ids),
            ]
        )

    @property
    def folder_part(self) -> str:
        """Name the window or snapshot as a folder."""
        moments = [self.moment.snapshot_at]
        if self.moment.period is not None:
            moments = [self.moment.period.start, self.moment.period.end]
        return "_".join(f"{moment:%Y-%m-%dT%H%M%SZ}" for moment in moments)


def _hashed(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
