"""The one place that knows which Airflow this is.

All else that differs between versions, ``airflow.providers.common.compat`` evens out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow import __version__
from packaging.version import Version

from airflow_provider_engagement.api.errors import InvalidArgumentError

__all__ = ["HAS_RETRY_POLICIES", "DefaultsWhenMapped", "retry_policy_kwargs"]

_AIRFLOW: Final = Version(__version__)

# 3.3.0 and 3.3.1 know retry policies too, and lose them on mapped tasks.
HAS_RETRY_POLICIES: Final = Version("3.3.2") <= _AIRFLOW


def retry_policy_kwargs(retry_policy: Any) -> dict[str, Any]:
    """Give what an operator hands to Airflow's own, which before 3.3 has no such parameter.

    :param retry_policy: the operator's policy, None for none.
    :raises InvalidArgumentError: if there is one, and this Airflow has no use for it.
    """
    if HAS_RETRY_POLICIES:
        return {"retry_policy": retry_policy}
    if retry_policy is not None:
        raise InvalidArgumentError(
            f"retry_policy needs Airflow 3.3.2; this is {__version__}.", advice="Leave it out."
        )
    return {}


class DefaultsWhenMapped:
    """Gives mapped tasks the ``retries`` that the operator's signature states.

    Airflow 3.3 does so by itself; 2.11 gives them its own default, which is none.
    """

    default_retries: Final = 3

    if _AIRFLOW.major == 2 and not TYPE_CHECKING:  # noqa: PLR2004 - Airflow 2

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Take the default where neither the task nor what surrounds it says otherwise."""
            from airflow.models.baseoperator import get_merged_defaults
            from airflow.models.dag import DagContext
            from airflow.utils.task_group import TaskGroupContext

            dag = kwargs.get("dag") or DagContext.get_current_dag()
            group = kwargs.get("task_group")
            if dag and not group:
                group = TaskGroupContext.get_current_task_group(dag)
            said, _ = get_merged_defaults(dag, group, None, kwargs.get("default_args"))
            if "retries" not in said:
                kwargs.setdefault("retries", cls.default_retries)
            return super().partial(**kwargs)
