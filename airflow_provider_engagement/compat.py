"""The one module that knows the versions of Airflow and of its common.compat provider.

The other modules import from ``airflow.providers.common.compat``. What its older versions do not
have is here, because Airflow's own constraints pin them: 1.14.0 for Airflow 2.11.2, 1.13.1 to
1.19.0 for 3.x.
"""

from __future__ import annotations

import contextlib
import os
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

__all__ = [
    "HAS_RETRY_POLICIES",
    "DefaultsWhenMapped",
    "ask_secrets_backends",
    "mask_secret",
    "read_connections_as_server",
    "region_of",
    "retry_policy_kwargs",
]

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


def region_of(instance: Any) -> str | None:
    """Return which pass of a loop a task instance belongs to; None outside loops.

    In the loops of Airflow 3.4 several instances of a task have the same map index.

    :param instance: the task instance.
    """
    region = getattr(instance, "region_id", None)
    return None if region in {None, "", -1} else str(region)


def retry_policy_kwargs(retry_policy: Any) -> dict[str, Any]:
    """Return the arguments for ``BaseOperator``, which has no retry policy before 3.3.

    :param retry_policy: the operator's policy; None for none.
    :raises InvalidArgumentError: if there is one and this Airflow cannot use it.
    """
    if HAS_RETRY_POLICIES:
        return {"retry_policy": retry_policy}
    if retry_policy is not None:
        raise InvalidArgumentError(
            f"retry_policy needs Airflow 3.3.2; this is {__version__}.", advice="Leave it out."
        )
    return {}


def ask_secrets_backends(conn_id: str) -> Any:
    """Ask each secrets backend for a connection that Airflow could not find.

    Airflow passes over a backend that fails, and then reports that the connection does not exist.

    :param conn_id: the connection's id.
    :returns: the connection, if a backend has it now; None if none has it.
    :raises Exception: what a backend raises, if none has the connection and one fails.
    """
    failure: Exception | None = None
    for backend in _secrets_backends():
        try:
            connection = backend.get_connection(conn_id=conn_id)
        except Exception as error:  # noqa: BLE001 - raised below, if no other backend answers
            failure = error
        else:
            if connection is not None:
                return connection
    if failure is not None:
        raise failure
    return None


def read_connections_as_server() -> None:
    """Let this process read connections from Airflow's database, as `airflow connections get` does.

    Airflow 3 lets only servers and its own commands read the database. Others ask its API server.
    """
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def _secrets_backends() -> list[Any]:
    if _AIRFLOW.major == 2:  # noqa: PLR2004 - Airflow 2
        from airflow.configuration import ensure_secrets_loaded

        return list(ensure_secrets_loaded())
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    return list(ensure_secrets_backend_loaded())


class DefaultsWhenMapped:
    """Give mapped tasks the default ``retries`` of the operator's signature.

    Airflow 3.3 does this itself; 2.11 gives them its own default, which is 0.
    """

    default_retries: Final = 3

    if _AIRFLOW.major == 2 and not TYPE_CHECKING:  # noqa: PLR2004 - Airflow 2

        @classmethod
        def partial(cls, **kwargs: Any) -> Any:
            """Set the default, unless the task or the ``default_args`` around it set another."""
            from airflow.models.baseoperator import get_merged_defaults
            from airflow.models.dag import DagContext
            from airflow.utils.task_group import TaskGroupContext

            dag = kwargs.get("dag") or DagContext.get_current_dag()
            group = kwargs.get("task_group")
            if dag and not group:
                group = TaskGroupContext.get_current_task_group(dag)
            merged, _ = get_merged_defaults(dag, group, None, kwargs.get("default_args"))
            if "retries" not in merged:
                kwargs.setdefault("retries", cls.default_retries)
            return super().partial(**kwargs)
