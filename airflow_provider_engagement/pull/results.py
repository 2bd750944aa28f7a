"""What a pull did, in figures, and as text that the next try of its task can read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self, cast

from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.sinks.base import WriteResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PullResult", "PullStats"]


@dataclass(slots=True)
class PullStats:
    """What a pull has done so far, in figures; true at any moment, also when it fails.

    :param requests: requests sent, retries included.
    :param refused: how many of them the service refused for their rate.
    :param retried: how many of them were tries after the first.
    :param kept: requests that an earlier try of the task had answered.
    :param rows: rows handed to the sink.
    :param incomplete: rows left out since their period was not whole.
    :param strangers: counts of what was never asked for.
    :param sums_left_out: sums that not every request was answered for.
    """

    requests: int = 0
    refused: int = 0
    retried: int = 0
    kept: int = 0
    rows: int = 0
    incomplete: int = 0
    strangers: int = 0
    sums_left_out: int = 0


@dataclass(slots=True)
class PullResult:
    """What a pull did.

    :param landed: where its rows are.
    :param summary: all of it in figures, JSON-able, below 10 kB at any size.
    :param tally: what it took.
    """

    landed: WriteResult
    summary: dict[str, object]
    tally: PullStats

    def __str__(self) -> str:
        tally, stats = self.tally, self.landed.stats
        tweets = cast("Mapping[str, int]", self.summary["tweets"])
        where = self.landed.table or ", ".join(self.landed.uris[:3]) or "memory"
        told = [
            f"{tally.requests:,} requests ({tally.retried:,} retried, {tally.refused:,} refused)"
        ]
        told += [f"{tally.kept:,} kept from earlier tries"] * bool(tally.kept)
        told += [
            f"{name.replace('_', ' ')}: {value:,}"
            for name, value in stats.items()
            if isinstance(value, int)
        ]
        listed = self.landed.coverage and f"; each stands in {self.landed.coverage}"
        outcomes = (f"{n:,} {status}" for status in Status if (n := tweets[status]))
        return (
            f"{tally.rows:,} rows in {where}, by {', '.join(told)}. "
            f"Of {tweets['asked']:,} Tweets: {', '.join(outcomes)}{listed}."
        )

    def packed(self) -> bytes:
        """Give it as text."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpacked(cls, text: bytes) -> Self:
        """Read it from text.

        :raises ValueError, KeyError, TypeError: if it is not of this form.
        """
        read = json.loads(text)
        landed = {**read["landed"], "uris": tuple(read["landed"]["uris"])}
        return cls(WriteResult(**landed), dict(read["summary"]), PullStats(**read["tally"]))
