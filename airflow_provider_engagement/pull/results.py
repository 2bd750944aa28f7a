"""What a pull did, in figures, and as text that the next try of its task can read."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Self, cast

from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.sinks.base import WriteResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PullResult", "PullStats"]


@dataclass(slots=True)
class PullStats:
    """The figures of a pull so far. They are right at any moment, also after a failure.

    :param requests: requests sent, retries included.
    :param rate_limited: how many of them the service refused for their rate.
    :param retried: how many of them were retries.
    :param resumed: requests that an earlier try of the task had finished.
    :param rows: rows written to the sink.
    :param incomplete_dropped: rows left out because their period was not complete.
    :param unrequested: counts in responses that no request asked for.
    :param sums_left_out: sums left out because a request that they need has no counts.
    """

    requests: int = 0
    rate_limited: int = 0
    retried: int = 0
    resumed: int = 0
    rows: int = 0
    incomplete_dropped: int = 0
    unrequested: int = 0
    sums_left_out: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def count_request(self, *, is_retry: bool) -> None:
        """Count a request that is about to be sent. Threads may do so at once."""
        with self._lock:
            self.requests += 1
            self.retried += is_retry

    def count_rate_limited(self) -> None:
        """Count a request that was refused for its rate. Threads may do so at once."""
        with self._lock:
            self.rate_limited += 1

    def figures(self) -> dict[str, int]:
        """Return the figures by name."""
        return {name: getattr(self, name) for name in _FIGURES}


_FIGURES = tuple(name for name in PullStats.__dataclass_fields__ if not name.startswith("_"))


@dataclass(slots=True)
class PullResult:
    """What a pull did.

    :param written: where its rows are.
    :param summary: the pull in figures, JSON-able, below 10 kB at any size.
    :param stats: the pull's figures.
    """

    written: WriteResult
    summary: dict[str, object]
    stats: PullStats

    def __str__(self) -> str:
        stats, written = self.stats, self.written
        tweets = cast("Mapping[str, int]", self.summary["tweets"])
        where = written.table or ", ".join(written.uris[:3]) or "memory"
        repeated = f"{stats.retried:,} retried, {stats.rate_limited:,} rate limited"
        facts = [f"{stats.requests:,} requests ({repeated})"]
        facts += [f"{stats.resumed:,} resumed from earlier tries"] * bool(stats.resumed)
        facts += [
            f"{name.replace('_', ' ')}: {value:,}"
            for name, value in written.stats.items()
            if isinstance(value, int)
        ]
        coverage = written.coverage and f"; each is listed in {written.coverage}"
        outcomes = (f"{n:,} {status}" for status in Status if (n := tweets[status]))
        return (
            f"{stats.rows:,} rows in {where}, {', '.join(facts)}. "
            f"Of {tweets['asked']:,} Tweets: {', '.join(outcomes)}{coverage}."
        )

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(
            {
                "written": asdict(self.written),
                "summary": self.summary,
                "stats": self.stats.figures(),
            }
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Read it from JSON.

        :raises ValueError, KeyError, TypeError: if the text is not what :meth:`to_json` returns.
        """
        read = json.loads(text)
        written = {**read["written"], "uris": tuple(read["written"]["uris"])}
        return cls(WriteResult(**written), dict(read["summary"]), PullStats(**read["stats"]))
