"""Runs DAGs as ``airflow dags test`` does, then prints as JSON what Airflow keeps of them.

In a process of its own: Airflow reads its settings once. The arguments are the DAGs; each is run
once, and its tasks' metrics are sent where the settings say.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

from airflow.cli.cli_parser import get_parser

IS_3 = version("apache-airflow").startswith("3.")


def run(*command: str) -> None:
    """Run a command of Airflow's; a run that fails is reported like any other."""
    arguments = get_parser().parse_args(command)
    try:
        arguments.func(arguments)
    except SystemExit as ended:
        print("ended with", ended.code)  # noqa: T201 - a script


def start_metrics() -> None:
    """Do what a worker of Airflow 3 does first; in 2.11 nothing is to be done."""
    if IS_3:
        from airflow.sdk.execution_time.task_runner import stats_utils
        from airflow.sdk.observability import stats

        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


def send_metrics() -> None:
    """Send what waits: a worker ends before its interval does."""
    from opentelemetry import metrics

    metrics.get_meter_provider().force_flush()  # type: ignore[attr-defined]  # of the SDK


def report_of_airflow_3() -> dict[str, Any]:
    """Ask the REST API, as the user interface does; what it does not give, the database."""
    from airflow.api_fastapi.app import create_app
    from airflow.models.asset import AssetDagRunQueue, AssetPartitionDagRun
    from airflow.utils.session import create_session
    from fastapi.testclient import TestClient
    from sqlalchemy import select

    with TestClient(create_app()) as client:

        def get(path: str) -> Any:
            answer = client.get(f"/api/v2/{path}")
            assert answer.status_code == 200, answer.text
            return answer.json()

        tasks = {}
        for task in get("dags/~/dagRuns/~/taskInstances")["task_instances"]:
            path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/pull"
            index = task["map_index"]
            tasks[f"{task['dag_id']}[{index}]"] = {
                "state": task["state"],
                "tries": task["max_tries"] + 1,
                "rendered": task["rendered_fields"],
                "links": get(f"{path}/links?map_index={index}")["extra_links"],
            }
        events = [
            {
                "dag": event["source_dag_id"],
                "extra": event["extra"],
                "partition": event["partition_key"],
            }
            for event in get("assets/events")["asset_events"]
        ]
    with create_session() as session:
        whole = session.scalars(select(AssetDagRunQueue.target_dag_id))
        by_day = session.scalars(select(AssetPartitionDagRun))
        queued = [
            *([dag, None] for dag in whole),
            *([one.target_dag_id, one.partition_key] for one in by_day),
        ]
    return {"tasks": tasks, "events": events, "queued": queued}


def report_of_airflow_2() -> dict[str, Any]:
    """Ask the models that the web server asks."""
    from airflow.models import RenderedTaskInstanceFields, TaskInstance
    from airflow.models.dataset import DatasetDagRunQueue, DatasetEvent
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session

    with create_session() as session:
        tasks = {}
        for instance in session.query(TaskInstance):
            # The extra links that no provider lists are lost when a DAG is stored.
            dag = SerializedDagModel.get_dag(instance.dag_id, session=session)
            assert dag is not None
            task = dag.get_task(instance.task_id)
            tasks[f"{instance.dag_id}[{instance.map_index}]"] = {
                "state": instance.state,
                "tries": instance.max_tries + 1,
                "rendered": RenderedTaskInstanceFields.get_templated_fields(instance) or {},
                "links": {
                    name: task.get_extra_links(instance, name) or None for name in task.extra_links
                },
            }
        events = [
            {"dag": event.source_dag_id, "extra": event.extra, "partition": None}
            for event in session.query(DatasetEvent)
        ]
        queued = [[one.target_dag_id, None] for one in session.query(DatasetDagRunQueue)]
    return {"tasks": tasks, "events": events, "queued": queued}


def main(dags: list[str]) -> None:
    """Store the DAGs, run them, and tell."""
    start_metrics()
    run("dags", "reserialize")
    for dag in dags:
        run("dags", "test", dag)
    send_metrics()
    report = report_of_airflow_3() if IS_3 else report_of_airflow_2()
    print("REPORT", json.dumps(report))  # noqa: T201 - a script


main(sys.argv[1:])
