"""The operators' parameters: their types, shared defaults, and what every Airflow task has."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Required, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
    from datetime import date, datetime

    from airflow.providers.common.compat.sdk import DAG, Context, TaskGroup, XComArg
    from airflow.sdk.definitions.retry_policy import RetryPolicy

    TaskCallback = Callable[[Context], Any]

__all__ = [
    "ENGAGEMENT_CONN_ID",
    "MAX_SNAPSHOT_AGE",
    "DateTimeLike",
    "Duration",
    "Endpoint",
    "EngagementTypes",
    "FileFormat",
    "Flag",
    "Granularity",
    "Groupings",
    "Incomplete",
    "Labels",
    "Layout",
    "Number",
    "Reposts",
    "Share",
    "TaskParameters",
    "Text",
    "TextList",
    "TweetIds",
    "Uris",
    "WriteMode",
]

ENGAGEMENT_CONN_ID: Final = "engagement_default"
MAX_SNAPSHOT_AGE: Final = timedelta(hours=24)

Endpoint: TypeAlias = Literal["totals", "28hr", "historical"]
FileFormat: TypeAlias = Literal["parquet", "jsonl", "jsonl.gz"]
Granularity: TypeAlias = Literal["total", "day", "hour"]
Incomplete: TypeAlias = Literal["keep", "drop"]
Reposts: TypeAlias = Literal["drop", "keep"]
Layout: TypeAlias = Literal["long", "wide"]
WriteMode: TypeAlias = Literal["upsert", "append", "truncate"]

# Templated parameters also take text with a template, and the output of another task.
TweetIds: TypeAlias = (
    "Collection[str | int | Sequence[str | int] | Mapping[str, str | int]] | str | int | XComArg"
)
TextList: TypeAlias = "Sequence[str] | str | XComArg | None"
EngagementTypes: TypeAlias = TextList
Groupings: TypeAlias = "Mapping[str, Mapping[str, Sequence[str]]] | str | XComArg | None"
DateTimeLike: TypeAlias = "datetime | date | str | XComArg | None"
Duration: TypeAlias = "timedelta | str | XComArg | None"
Labels: TypeAlias = "Mapping[str, str] | str | XComArg | None"
Number: TypeAlias = "int | str | XComArg | None"
Share: TypeAlias = "float | str | XComArg"
Flag: TypeAlias = "bool | str | XComArg"
Text: TypeAlias = "str | XComArg"
Uris: TypeAlias = "Mapping[str, object] | Sequence[str | Mapping[str, object]] | str | XComArg"


class TaskParameters(TypedDict, total=False):
    """The parameters of Airflow's ``BaseOperator``, 2.11 and 3.x together.

    An operator takes them as ``**kwargs: Unpack[TaskParameters]``, so that editors complete them
    and type checkers refuse misspelt names.
    """

    task_id: Required[str]
    allow_nested_operators: bool
    dag: DAG | None
    default_args: dict[str, Any] | None
    depends_on_past: bool
    do_xcom_push: bool
    doc: str | None
    doc_json: str | None
    doc_md: str | None
    doc_rst: str | None
    doc_yaml: str | None
    email: str | Sequence[str] | None
    email_on_failure: bool
    email_on_retry: bool
    end_date: datetime | None
    execution_timeout: timedelta | None
    executor: str | None
    executor_config: dict[str, Any] | None
    ignore_first_depends_on_past: bool
    inlets: Any
    logger_name: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    max_retry_delay: timedelta | float | None
    multiple_outputs: bool
    on_execute_callback: TaskCallback | Collection[TaskCallback] | None
    on_failure_callback: TaskCallback | Collection[TaskCallback] | None
    on_retry_callback: TaskCallback | Collection[TaskCallback] | None
    on_skipped_callback: TaskCallback | Collection[TaskCallback] | None
    on_success_callback: TaskCallback | Collection[TaskCallback] | None
    outlets: Any
    owner: str
    params: MutableMapping[str, Any] | None
    pool: str | None
    pool_slots: int
    post_execute: Callable[[Context, Any], None] | None
    pre_execute: Callable[[Context], None] | None
    priority_weight: int
    queue: str
    render_template_as_native_obj: bool | None
    resources: dict[str, Any] | None
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    retry_policy: RetryPolicy | None
    run_as_user: str | None
    sla: timedelta | None
    start_date: datetime | None
    task_concurrency: int | None
    task_display_name: str | None
    task_group: TaskGroup | None
    trigger_rule: str
    wait_for_downstream: bool
    wait_for_past_depends_before_skipping: bool
    weight_rule: Any
