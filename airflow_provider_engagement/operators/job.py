"""One try of one task: what it pulls, in which run, and what its traces are named by."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_engagement.api.plan import Plan
    from airflow_provider_engagement.api.settings import Settings

__all__ = ["Job"]


@dataclass(frozen=True, slots=True)
class Job:
    """What an operator pulls in one run.

    :param context: the task's context.
    :param plan: what is to be asked.
    :param settings: the connection.
    :param snapshot_at: the moment that counts to date stand for, UTC.
    """

    context: Mapping[str, Any]
    plan: Plan
    settings: Settings
    snapshot_at: datetime

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
    def task_hash(self) -> str:
        """A short name of the task, the same in every run and try, another for each map index."""
        instance = self.context["ti"]
        return _hashed([instance.dag_id, instance.task_id, getattr(instance, "map_index", -1)])

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
                [grouping.canonical for grouping in query.groupings],
                self.snapshot_at.isoformat(),
                sorted(self.plan.tweet_ids),
            ]
        )

    @property
    def window(self) -> dict[str, str]:
        """The window, as it is returned and logged."""
        return {"snapshot_at": self.snapshot_at.isoformat()}


def _hashed(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
