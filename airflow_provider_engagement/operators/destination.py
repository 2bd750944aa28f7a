"""Where a task writes the rows of a pull."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_engagement.operators.task_run import TaskRun
    from airflow_provider_engagement.pull import PullResult
    from airflow_provider_engagement.pull.checkpoint import CheckpointStore
    from airflow_provider_engagement.sinks.base import Sink, WriteResult

__all__ = ["Destination", "ExistingRows", "FileDestination", "XComDestination"]

# Return values go through Airflow's metadata database, which is not made for tables.
_MAX_RETURNED_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class ExistingRows:
    """What an earlier run has left of the counts that a run is about.

    :param result: the result of the earlier run.
    :param tweet_ids: the ids that it asked for.
    :param answered: how many of them have counts.
    """

    result: PullResult
    tweet_ids: frozenset[str]
    answered: int

    @property
    def counted(self) -> tuple[int, int]:
        """How many Tweets were counted, of how many."""
        return self.answered, len(self.tweet_ids)


class Destination(Protocol):
    """A place for the rows of one task run."""

    def sink(self, run: TaskRun) -> Sink:
        """Return the sink that takes the rows.

        :raises InvalidArgumentError: if the place cannot take what the run pulls.
        """

    def checkpoints(self, run: TaskRun) -> CheckpointStore | None:  # noqa: ARG002 - for implementations
        """Return where answers are saved for a retry; None if they are not saved."""
        return None

    def existing(self, run: TaskRun) -> ExistingRows | None:  # noqa: ARG002 - for implementations
        """Return what an earlier run has left of the same counts; None if they are to be pulled.

        The sink then adds the rows of other Tweets to them.
        """
        return None

    def returned(self, written: WriteResult | None, window: Mapping[str, str]) -> Any:
        """Return the task's return value.

        :param written: what the sink wrote; None if there was nothing to pull.
        :param window: the window or snapshot, as text.
        """
        uris = list(written.uris) if written else []
        return {"uris": uris, "rows": written.rows if written else 0, "window": dict(window)}

    def cancel(self) -> None:
        """Stop what runs outside this process, because the task is being killed."""
        return


class XComDestination(Destination):
    """The task's return value: a list of rows."""

    def __init__(self) -> None:
        from airflow_provider_engagement.sinks.memory import MemorySink

        self._sink = MemorySink()

    def sink(self, run: TaskRun) -> Sink:
        """Return a sink that collects the rows in memory.

        :raises InvalidArgumentError: if the plan may give more rows than XCom should hold.
        """
        if run.plan.max_rows > _MAX_RETURNED_ROWS:
            raise InvalidArgumentError(
                f"The plan gives up to {run.plan.max_rows} rows, and at most {_MAX_RETURNED_ROWS} "
                "can be returned through XCom.",
                advice="Set output_path, or use EngagementToBigQueryOperator "
                "or EngagementToGCSOperator.",
            )
        return self._sink

    def returned(self, written: WriteResult | None, window: Mapping[str, str]) -> Any:  # noqa: ARG002 - a destination's signature
        """Return the rows."""
        return self._sink.rows()


class FileDestination(Destination):
    """One file.

    :param output_path: the file's URI.
    :param template: the parameter before it was rendered.
    """

    def __init__(self, output_path: str, *, template: object) -> None:
        self._path = output_path
        self._template = template

    def sink(self, run: TaskRun) -> Sink:
        """Return a sink that writes the file.

        :raises InvalidArgumentError: if the instances of a mapped task would write the same file,
            or the file's ending is unknown.
        """
        from airflow_provider_engagement.hooks.storage import put_file
        from airflow_provider_engagement.sinks.files import FileSink

        if run.region is not None and "region_id" not in str(self._template):
            raise self._shared_path_error(
                "each pass of this loop", "Put {{ ti.region_id }} into it."
            )
        if run.is_mapped and not self._differs_by_shard(run):
            advice = "Put {{ task.shard }} or {{ ti.map_index }} into it."
            raise self._shared_path_error("every shard of this mapped task", advice)
        if run.is_mapped and not self._differs_by_instance(run):
            advice = "Put {{ ti.map_index }} into output_path, or give it in .expand."
            raise self._shared_path_error("every instance of this mapped task", advice)
        return FileSink(self._path, put_file)

    def _differs_by_shard(self, run: TaskRun) -> bool:
        """Return whether the shards of a mapped task have files of their own."""
        shared = run.shared_arguments
        if run.shard is None or "shard" in shared or not isinstance(self._template, str):
            return True
        if shared and "output_path" not in shared and "output_path" not in run.combined_arguments:
            return True
        return "map_index" in self._template or "shard" in self._named_arguments(run)

    def _differs_by_instance(self, run: TaskRun) -> bool:
        """Return whether the path names the map index, or an argument that is mapped over."""
        shared = run.shared_arguments
        if not isinstance(self._template, str) or (shared and "output_path" not in shared):
            return True
        return "map_index" in self._template or bool(self._named_arguments(run) - set(shared))

    def _named_arguments(self, run: TaskRun) -> set[str]:
        """Return the parameters that the path's template names."""
        names = re.findall(r"\btask\.(\w+)", str(self._template))
        return set(names) & set(run.context["task"].template_fields)

    def _shared_path_error(self, by: str, advice: str) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"output_path is {self._path!r} in {by}, so that each would replace the file of the "
            "others.",
            advice=advice,
        )
