"""What a mapped task's instances share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["shared_arguments"]


def shared_arguments(context: Mapping[str, Any]) -> Mapping[str, object]:
    """Return the arguments that a mapped task was given in ``.partial``, before rendering.

    :param context: the task's context.
    :returns: nothing for a task in a mapped task group, where any argument may differ.
    """
    dag, instance = context.get("dag"), context["ti"]
    task = dag.get_task(instance.task_id) if dag is not None else None
    found: Mapping[str, object] = getattr(task, "partial_kwargs", {})
    return found
