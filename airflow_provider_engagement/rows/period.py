"""The period or the moment that the rows of a pull are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_engagement.api.window import Window

__all__ = ["ReportingPeriod", "utc_text"]


@dataclass(frozen=True, slots=True)
class ReportingPeriod:
    """What the counts of a pull are about.

    :param snapshot_at: the moment that counts to date are of, UTC.
    :param period: the whole period of the run, aligned, UTC. The plan's window may be shorter, if
        the service does not hold all of it. None for counts to date.
    """

    snapshot_at: datetime
    period: Window | None = None

    def describe(self) -> dict[str, str]:
        """Return it as JSON-able text: ``snapshot_at``, or ``start`` and ``end``."""
        if self.period is None:
            return {"snapshot_at": utc_text(self.snapshot_at)}
        return {"start": utc_text(self.period.start), "end": utc_text(self.period.end)}


def utc_text(moment: datetime) -> str:
    """Return a UTC datetime as ISO 8601 text that ends in ``Z``."""
    return moment.isoformat().replace("+00:00", "Z")
