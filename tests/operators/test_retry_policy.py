"""When Airflow tries again: on 3.3 as the operators' policy says, on 2.11 by ``retries`` alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskGroup

from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.errors import (
    DeadlineExceededError,
    EngagementError,
    InvalidArgumentError,
    RateLimitError,
    ServiceError,
)
from airflow_provider_engagement.compat import HAS_RETRY_POLICIES
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.operators.retry_policy import (
    DEFAULT_RETRY_POLICY,
    EngagementRetryPolicy,
)
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)

with_policies = pytest.mark.skipif(
    not HAS_RETRY_POLICIES, reason="Airflow knows retry policies from 3.3.2 on"
)
without_policies = pytest.mark.skipif(
    HAS_RETRY_POLICIES, reason="Airflow knows retry policies from 3.3.2 on"
)


def decided(error: BaseException) -> tuple[str, float | None]:
    decision: Any = EngagementRetryPolicy().evaluate(error, 1, 3)
    delay = decision.retry_delay
    return decision.action.value, None if delay is None else delay.total_seconds()


@with_policies
@pytest.mark.parametrize("kind", [RateLimitError, ServiceError])
def test_the_next_try_starts_at_the_time_that_the_service_names(
    kind: type[EngagementError],
) -> None:
    before = time.time()
    action, delay = decided(kind("Wait.", retry_at=before + 400))
    assert action == "retry"
    assert delay is not None
    assert 400 - (time.time() - before) <= delay <= 400


@with_policies
def test_a_time_in_the_past_is_no_wait_and_a_wrong_clock_is_at_most_an_hour() -> None:
    assert decided(RateLimitError("Wait.", retry_at=time.time() - 5)) == ("retry", 0.0)
    assert decided(RateLimitError("Wait.", retry_at=time.time() + 1e9)) == ("retry", 3600.0)


@with_policies
def test_a_try_that_ran_out_of_time_is_continued_at_once() -> None:
    assert decided(DeadlineExceededError("Soon over.")) == ("retry", 0.0)


@with_policies
def test_an_error_that_no_retry_can_mend_is_not_retried() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(kinds) > 9
    for kind in kinds:
        error = kind("It went wrong.")
        action, _ = decided(error)
        assert (action == "fail") is not error.retryable, kind


@with_policies
def test_other_errors_are_left_to_the_tasks_own_retry_delay() -> None:
    assert decided(ServiceError("No word of when.")) == ("default", None)
    assert decided(ConnectionResetError()) == ("default", None)


def in_a_dag(default_args: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """Make a plain task and a mapped one, with what the DAG's author says."""
    with DAG(
        dag_id="a_dag",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args=default_args or {},
    ):
        plain = EngagementTotalsOperator(task_id="plain", tweet_ids=["1"], **given)
        mapped = EngagementTotalsOperator.partial(task_id="mapped", **given).expand(
            tweet_ids=[["1"], ["2"]]
        )
        to_table = EngagementToBigQueryOperator.partial(
            task_id="to_table", destination_table="a.b", tweet_ids=["1"], **given
        ).expand(engagement_conn_id=["a", "b"])
    return {"plain": plain, "mapped": mapped, "to_table": to_table}


def test_tasks_and_mapped_tasks_are_retried_by_default() -> None:
    assert {name: task.retries for name, task in in_a_dag().items()} == {
        "plain": 3,
        "mapped": 3,
        "to_table": 3,
    }


@pytest.mark.parametrize("retries", [0, 1])
def test_retries_of_the_dag_and_the_task_come_first(retries: int) -> None:
    for tasks in (in_a_dag({"retries": retries}), in_a_dag(retries=retries)):
        assert {task.retries for task in tasks.values()} == {retries}


def test_retries_of_a_task_group_come_first() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with (
        DAG(dag_id="a_dag", schedule=None, start_date=start),
        TaskGroup("group", default_args={"retries": 7}),
    ):
        mapped = EngagementTotalsOperator.partial(task_id="mapped").expand(tweet_ids=[["1"]])
    assert mapped.retries == 7


@with_policies
def test_tasks_and_mapped_tasks_have_the_policy_by_default() -> None:
    for tasks in (in_a_dag(), in_a_dag({"retry_delay": timedelta(minutes=30)})):
        assert {task.retry_policy for task in tasks.values()} == {DEFAULT_RETRY_POLICY}
    assert {task.retry_policy for task in in_a_dag(retry_policy=None).values()} == {None}
    other: Any = EngagementRetryPolicy()
    assert {task.retry_policy for task in in_a_dag({"retry_policy": other}).values()} == {other}


@without_policies
def test_a_retry_policy_is_refused_on_an_airflow_without_them() -> None:
    assert DEFAULT_RETRY_POLICY is None
    with pytest.raises(InvalidArgumentError, match=r"retry_policy needs Airflow 3\.3\.2"):
        EngagementTotalsOperator(task_id="plain", tweet_ids=["1"], retry_policy=object())
