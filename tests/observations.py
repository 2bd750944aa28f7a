"""Makes observations and rules for the tests of thresholds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from airflow_provider_engagement.thresholds.observation import (
    Counts,
    Observation,
    UnavailableCounts,
)
from airflow_provider_engagement.thresholds.rules import Rule, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

NOW = datetime(2026, 11, 21, tzinfo=UTC)
IDS = [str(number) for number in range(1, 7)]
TYPES = ("favorites", "replies", "impressions", "engagements")
LIKES = {"favorites": 100}


def rule(thresholds: Any = LIKES, match: str = "any", require: Any = "any") -> Rule:
    return parse_rule(thresholds, match=match, require=require, endpoint="totals")


def observation(
    counts: Mapping[str, Mapping[str, int]],
    deleted: Sequence[str] = (),
    tweet_ids: Sequence[str] | None = None,
) -> Observation:
    """Make an observation from counts by id and type, of these Tweets and the deleted ones."""
    ids = [*counts, *deleted] if tweet_ids is None else tweet_ids
    rows = [(i, name, value) for i, held in counts.items() for name, value in held.items()]
    columns = zip(*rows, strict=True) if rows else ((), (), ())
    types = (pa.string(), pa.string(), pa.int64())
    arrays = [pa.array(column, type=kind) for column, kind in zip(columns, types, strict=True)]
    return Observation.from_rows(
        NOW,
        ids,
        pa.table(arrays, names=["tweet_id", "engagement_type", "value"]),
        engagement_types=TYPES,
        unavailable=dict.fromkeys(deleted, UnavailableCounts(frozenset(TYPES), "deleted")),
    )


def columns(tweet_ids: Sequence[str], **counts: int | NDArray[np.int64]) -> Observation:
    """Make an observation from columns of counts, all of them answered."""
    answered = np.ones(len(tweet_ids), bool)
    return Observation(
        NOW,
        tweet_ids,
        {
            name: Counts(np.full(len(tweet_ids), values), answered, answered)
            for name, values in counts.items()
        },
    )


def likes(*counts: int | None) -> Observation:
    """Make an observation of the likes of the first Tweets; None for one without an answer."""
    ids = IDS[: len(counts)]
    found = zip(ids, counts, strict=True)
    return observation({i: {"favorites": n} for i, n in found if n is not None}, tweet_ids=ids)
