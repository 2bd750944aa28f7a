"""The one module that knows the versions of Airflow and of its common.compat provider.

The other modules import from ``airflow.providers.common.compat``. What its older versions do not
have is here, because Airflow's own constraints pin them: 1.14.0 for Airflow 2.11.2, 1.13.1 to
1.19.0 for 3.x.
"""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from airflow import __version__
from packaging.version import Version

from airflow_provider_engagement.api.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.triggers.base import (
        BaseEventTrigger as BaseEventTrigger,  # noqa: PLC0414 - mypy takes others for private
    )

__all__ = ["HAS_RETRY_POLICIES", "DefaultsWhenMapped", "mask_secret", "retry_policy_kwargs"]

_AIRFLOW: Final = Version(__version__)

# Of Airflow 3, of 3.0, and of Airflow 2.
_MASKERS: Final = (
    "airflow.sdk.log",
    "airflow.sdk.execution_time.secrets_masker",
    "airflow.utils.log.secrets_masker",
)

# 3.3.0 and 3.3.1 know retry policies too, and lose them on mapped tasks.
HAS_RETRY_POLICIES: Final = Version("3.3.2") <= _AIRFLOW


def __getattr__(name: str) -> Any:
    """Import ``BaseEventTrigger`` when it is needed; common.compat has it from 1.19.0 on.

    Airflow 2 has no event triggers; ``BaseTrigger`` stands in there.
    """
    if name != "BaseEventTrigger":
        raise AttributeError(name)
    from airflow.triggers import base

    return getattr(base, name, base.BaseTrigger)


def mask_secret(text: str) -> None:
    """Mask a secret in the logs of this task; common.compat has this from 1.22.0 on.

    :param text: the secret as it might occur in a log.
    """
    _find_masker()(text)


def _find_masker() -> Callable[[str], None]:
    for module in _MASKERS:
        with contextlib.suppress(ImportError):
            if found := getattr(import_module(module), "mask_secret", None):
                return found  # type: ignore[no-any-return]  # getattr knows no types
    raise ImportError(f"Airflow {__version__} has no mask_secret in {', '.join(_MASKERS)}.")


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
