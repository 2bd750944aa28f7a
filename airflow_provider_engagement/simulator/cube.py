"""The counts of one response, and their groupings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from airflow_provider_engagement.api.spec import GROUP_BY_ORDER, GroupBy
from airflow_provider_engagement.simulator.world import World, milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_engagement.simulator.counts import Counts
    from airflow_provider_engagement.simulator.window import Window

__all__ = ["Cube", "of_lifetime", "of_window"]

_HOURS: Final = tuple(f"{hour:02}" for hour in range(24))


@dataclass(frozen=True, slots=True)
class Cube:
    """Counts by Tweet, type, day and hour, in the order of ``GROUP_BY_ORDER``.

    :param labels: the keys of each axis.
    :param values: the counts; zero for hours outside the window.
    :param present: whether the window has an hour, by day and hour.
    """

    labels: tuple[Sequence[str], ...]
    values: Counts
    present: npt.NDArray[np.bool_]

    def grouped(self, levels: tuple[GroupBy, ...]) -> dict[str, Any]:
        """Return the counts nested by some levels, in the given order, summed over the others.

        Hours without days are sums over all days of the window.
        """
        axes = [GROUP_BY_ORDER.index(level) for level in levels]
        others = tuple(axis for axis in range(len(GROUP_BY_ORDER)) if axis not in axes)
        # The remaining axes in the cube's order, then in the requested order.
        order = [sorted(axes).index(axis) for axis in axes]
        values: Counts = np.asarray(self.values.sum(axis=others)).transpose(order)
        everywhere = np.broadcast_to(self.present, self.values.shape)
        present = np.asarray(everywhere.any(axis=others)).transpose(order)
        labels = [self.labels[axis] for axis in axes]
        return _nest(labels, values.tolist(), present.tolist())


def _nest(labels: list[Sequence[str]], values: list[Any], present: list[Any]) -> dict[str, Any]:
    keys, *deeper = labels
    rows = zip(keys, values, present, strict=True)
    if deeper:
        nested = ((key, _nest(deeper, value, there)) for key, value, there in rows)
        return {key: below for key, below in nested if below}
    return {key: str(value) for key, value, there in rows if there}


def of_lifetime(world: World, tweet_ids: Sequence[str], types: tuple[str, ...], now: int) -> Cube:
    """Return the lifetime counts of Tweets.

    :param now: the moment to count at, in Unix milliseconds.
    """
    counts = world.counts(tweet_ids, types, np.array([now], dtype=np.int64))
    return Cube(
        labels=(tweet_ids, types, ("",), ("",)),
        values=counts[:, :, :, np.newaxis],
        present=np.ones((1, 1), dtype=np.bool_),
    )


def of_window(
    world: World, tweet_ids: Sequence[str], types: tuple[str, ...], window: Window
) -> Cube:
    """Return the counts of Tweets for each hour of a window."""
    edges = window.edges()
    events = world.series(
        tweet_ids, types, np.array([milliseconds(edge) for edge in edges], dtype=np.int64)
    )
    days = sorted({edge.date() for edge in edges[:-1]})
    midnight = datetime.combine(days[0], datetime.min.time(), tzinfo=UTC)
    first = (window.start - midnight).seconds // 3600
    period = slice(first, first + len(edges) - 1)
    values = np.zeros((len(tweet_ids), len(types), 24 * len(days)), dtype=np.int64)
    values[:, :, period] = events
    present = np.zeros(24 * len(days), dtype=np.bool_)
    present[period] = True
    return Cube(
        labels=(tweet_ids, types, tuple(day.isoformat() for day in days), _HOURS),
        values=values.reshape(len(tweet_ids), len(types), len(days), 24),
        present=present.reshape(len(days), 24),
    )
