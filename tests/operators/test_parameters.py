from __future__ import annotations

import inspect

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_engagement.operators.parameters import TaskParameters


def test_task_parameters_hold_all_that_this_airflow_has() -> None:
    parameters = inspect.signature(BaseOperator.__init__).parameters
    named = {name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD}
    assert named - {"self"} <= set(TaskParameters.__annotations__)
