"""Load finished folders of objects into one table: all of them, or none."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_engagement.api.errors import InvalidArgumentError
from airflow_provider_engagement.api.plan import ReportingPeriod
from airflow_provider_engagement.api.window import Window
from airflow_provider_engagement.collections.parsing import parse_duration
from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.rows.layout import layout_of
from airflow_provider_engagement.sinks.objects import folder_name
from airflow_provider_engagement.sinks.scratch import ScratchFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_engagement.sinks.base import Sink, WriteResult
    from airflow_provider_engagement.sinks.finished_folders import FinishedFolder

__all__ = ["FolderLoad"]

log = logging.getLogger(__name__)

# The most entries of a list in the summary, which stays below 10 kB at any number of folders.
_MAX_LISTED: Final = 20

_MOMENTS: Final = ("start", "end", "snapshot_at")

# The levels of a folder's name below the object_prefix: endpoint, account, window, task.
_LEVELS: Final = 4


@dataclass(frozen=True, slots=True)
class FolderLoad:
    """Finished folders that are loaded together.

    :param folders: the folders, at least one, each once.
    :param layout: the layout of the table.
    """

    folders: Sequence[FinishedFolder]
    layout: str

    def check(self) -> None:
        """Check that the folders fit together and into the table, and that they are undamaged.

        :raises InvalidArgumentError: naming the first folder that does not, and why.
        """
        first = self.folders[0]
        for folder in self.folders:
            layout = folder.manifest.layout
            if layout != self.layout:
                raise InvalidArgumentError(
                    f"{folder.uri} has layout {layout!r}, and layout is {self.layout!r}.",
                    advice=f'Pass layout="{layout}" and folders of that layout alone.',
                )
            if _endpoint(folder) != _endpoint(first):
                raise InvalidArgumentError(
                    f"{first.uri} holds counts of {_endpoint(first)}, and {folder.uri} those of "
                    f"{_endpoint(folder)}.",
                    advice="Load each endpoint with a task of its own.",
                )
        layout_of(self.layout, self.groupings)
        for folder in self.folders:
            folder.check()

    def write(self, sink: Sink) -> WriteResult:
        """Write the rows and the coverage of all folders.

        :param sink: the destination, which is prepared before the first row is read.
        :raises EngagementError: if it cannot take the rows, or a folder has changed. Nothing is
            written.
        """
        scratch = ScratchFolder()
        try:
            sink.prepare()
            for folder in self.folders:
                for table in folder.rows(scratch.path):
                    sink.write(table)
            coverage = (folder.coverage(scratch.path) for folder in self.folders)
            return sink.commit(chain.from_iterable(coverage), {})
        except BaseException:
            sink.discard()
            raise
        finally:
            scratch.remove()

    @property
    def endpoint(self) -> str:
        """The endpoint that the counts come from."""
        return _endpoint(self.folders[0])

    @property
    def rows(self) -> int:
        """The number of rows in all folders."""
        return sum(folder.manifest.rows for folder in self.folders)

    @property
    def groupings(self) -> list[str]:
        """The canonical groupings of the counts."""
        plans = (folder.manifest.summary["plan"] for folder in self.folders)
        return list(dict.fromkeys(name for plan in plans for name in plan["groupings"]))

    @property
    def period(self) -> ReportingPeriod:
        """What the counts are about: from the first moment of all folders to the last one."""
        windows = self._windows
        moments = [_moment(window[key]) for window in windows for key in _MOMENTS if key in window]
        lengths = {window.get("since_posting") for window in windows}
        length = lengths.pop() if len(lengths) == 1 else None
        since_posting = parse_duration(length, name="since_posting") if length else None
        first, last = min(moments), max(moments)
        return ReportingPeriod(last, Window(first, last) if first < last else None, since_posting)

    @property
    def common_period(self) -> ReportingPeriod | None:
        """What all counts are about: a period, or the first moment of counts to date.

        None if some folders hold counts of a period and others hold counts to date.
        """
        have_start = {"start" in window for window in self._windows}
        if len(have_start) > 1:
            return None
        if True in have_start:
            return self.period
        return ReportingPeriod(min(_moment(window["snapshot_at"]) for window in self._windows))

    @property
    def _windows(self) -> list[Mapping[str, Any]]:
        return [folder.manifest.summary["window"] for folder in self.folders]

    @property
    def staging_folder(self) -> str:
        """Where the rows are staged: in ``_staging`` below the first folder's ``object_prefix``.

        If this task is killed, a later pull deletes what it left there.
        """
        levels = self.folders[0].name.split("/")[:-_LEVELS]
        return folder_name("/".join(levels), "_staging", str(datetime.now(UTC).date()))

    def missing_shards(self) -> list[str]:
        """Return the shards that no folder holds, for each number of shards that a folder names."""
        held: dict[int, set[int]] = defaultdict(set)
        for folder in self.folders:
            shard = Shard.parse(folder.manifest.shard)
            if shard is not None:
                held[shard.count].add(shard.index)
        return [
            str(Shard(index, count))
            for count, indexes in sorted(held.items())
            for index in range(count)
            if index not in indexes
        ]

    def summary(self) -> dict[str, Any]:
        """Return the folders in figures, in the form of a pull's summary."""
        tweets: Counter[str] = Counter()
        for folder in self.folders:
            counts: Mapping[str, Any] = folder.manifest.summary["tweets"]
            tweets.update({name: n for name, n in counts.items() if isinstance(n, int)})
        accounts = {str(folder.manifest.summary["account"]) for folder in self.folders}
        return {
            "folders": len(self.folders),
            "folders_listed": [folder.uri for folder in self.folders[:_MAX_LISTED]],
            "accounts": sorted(accounts)[:_MAX_LISTED],
            "endpoint": self.endpoint,
            "layout": self.layout,
            "groupings": self.groupings[:_MAX_LISTED],
            "window": self.period.describe(),
            "rows": self.rows,
            "tweets": dict(tweets),
            "shards_missing": self.missing_shards()[:_MAX_LISTED],
        }

    def log_missing_shards(self) -> None:
        """Warn of shards that no folder holds: they have no Tweets, or no folder was passed."""
        missing = self.missing_shards()
        if missing:
            log.warning(
                "No folder holds shard %s. A shard without Tweets has no folder; if there were "
                "Tweets, their counts are not in these folders.",
                ", ".join(missing[:_MAX_LISTED]),
            )


def _endpoint(folder: FinishedFolder) -> str:
    return str(folder.manifest.summary["plan"]["endpoint"])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
