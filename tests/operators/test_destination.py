"""Where rows go: the instances of a mapped task, and what a killed task stops."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, TaskGroup, task_group
from run_operator import CONN_ID, NOW, connect, counts, run

from airflow_provider_engagement.collections.shard import Shard
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.simulator import Simulator, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.operators.conftest import Watched

pytestmark = pytest.mark.usefixtures("airflow_home")


@pytest.fixture
def ids(simulator: Simulator) -> list[str]:
    return simulator.world.tweets("acme", 4, since=NOW - timedelta(days=9), until=NOW)


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(World(seed=3, accounts=("acme",), now=NOW)) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


def partial(**shared: Any) -> Any:
    return EngagementTotalsOperator.partial(task_id="pull", engagement_conn_id=CONN_ID, **shared)


def run_mapped(dag: DAG, items: list[dict[str, Any]]) -> list[Any]:
    task: Any = dag.get_task("pull")
    return [
        run(task.unmap(item), dag_id="mapped", map_index=index, dag=dag).value
        for index, item in enumerate(items)
    ]


def a_dag() -> DAG:
    return DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "name", ["counts.jsonl", "{{ ti.run_id }}.jsonl", "{{ task.task_id }}-{{ ti.task_id }}.jsonl"]
)
def test_one_file_for_all_instances_is_refused(
    ids: list[str], simulator: Simulator, tmp_path: Path, name: str
) -> None:
    items = [{"tweet_ids": ids[:2]}, {"tweet_ids": ids[2:]}]
    with a_dag() as dag:
        partial(output_path=f"file://{tmp_path}/{name}").expand_kwargs(items)
    message = r"output_path is 'file://.*' in every instance.*ti\.map_index.*\.expand"
    with pytest.raises(AirflowFailException, match=message):
        run_mapped(dag, items)
    assert simulator.requests == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "{{ ti.map_index }}.jsonl",
        "{{ task_instance.map_index }}.jsonl",
        "{{ task.engagement_types[0] }}.jsonl",
    ],
)
def test_a_file_for_each_instance_is_written(
    ids: list[str], simulator: Simulator, tmp_path: Path, name: str
) -> None:
    items = [{"engagement_types": ["favorites"]}, {"engagement_types": ["replies"]}]
    with a_dag() as dag:
        partial(output_path=f"file://{tmp_path}/{name}", tweet_ids=ids).expand_kwargs(items)
    values = run_mapped(dag, items)
    assert [value["rows"] for value in values] == [4, 4]
    assert len({uri for value in values for uri in value["uris"]}) == 2
    assert len(list(tmp_path.glob("*.coverage.jsonl"))) == len(simulator.requests) == 2


@pytest.mark.usefixtures("simulator")
def test_a_path_that_is_mapped_over_is_used(ids: list[str], tmp_path: Path) -> None:
    items = [{"output_path": f"file://{tmp_path}/{name}.jsonl"} for name in "ab"]
    with a_dag() as dag:
        partial(tweet_ids=ids).expand_kwargs(items)
    values = run_mapped(dag, items)
    assert [value["uris"] for value in values] == [[item["output_path"]] for item in items]


@pytest.mark.parametrize("empty", [None, "", "None"])
@pytest.mark.usefixtures("simulator")
def test_instances_without_a_file_return_their_rows(ids: list[str], empty: str | None) -> None:
    items = [{"tweet_ids": ids[:2]}, {"tweet_ids": ids[2:]}]
    with a_dag() as dag:
        partial(output_path=empty).expand_kwargs(items)
    assert [len(rows) for rows in run_mapped(dag, items)] == [14, 14]


# ---- Shards and loops ------------------------------------------------------------------------

BY_SHARD = "{{ task.shard | replace('/', '-of-') }}.jsonl"


def filled_shard(ids: list[str]) -> str:
    """Return the first of two shards that holds a Tweet."""
    return next(f"{i}/2" for i in range(2) if Shard(i, 2).select(ids))


def test_the_shards_of_a_mapped_task_return_each_count_once(
    ids: list[str], simulator: Simulator
) -> None:
    items = [{"shard": f"{index}/3"} for index in range(3)]
    with a_dag() as dag:
        partial(tweet_ids=ids).expand_kwargs(items)
    rows = [row for value in run_mapped(dag, items) for row in value]
    assert len(counts(rows)) == 4 * 7
    assert {row["tweet_id"] for row in rows} == set(ids)
    assert len(simulator.requests) <= 3


@pytest.mark.usefixtures("simulator")
def test_shards_write_a_file_each(ids: list[str], tmp_path: Path) -> None:
    values = [f"{index}/2" for index in range(2)]
    with a_dag() as dag:
        partial(tweet_ids=ids, output_path=f"file://{tmp_path}/{BY_SHARD}").expand(shard=values)
    run_mapped(dag, [{"shard": value} for value in values])
    names = sorted(path.name for path in tmp_path.glob("*of-2.jsonl"))
    assert names == [f"{i}-of-2.jsonl" for i in range(2) if Shard(i, 2).select(ids)]


@pytest.mark.parametrize("name", ["counts.jsonl", "{{ task.engagement_conn_id }}.jsonl"])
def test_one_file_for_several_shards_is_refused(
    ids: list[str], simulator: Simulator, tmp_path: Path, name: str
) -> None:
    shared = {"task_id": "pull", "tweet_ids": ids, "output_path": f"file://{tmp_path}/{name}"}
    mapped = {"shard": ["0/2", "1/2"], "engagement_conn_id": [CONN_ID, "another"]}
    with a_dag() as dag:
        EngagementTotalsOperator.partial(**shared).expand(**mapped)
    shard = filled_shard(ids)
    with pytest.raises(AirflowFailException, match=r"every shard of this.*\{\{ task\.shard \}\}"):
        run_mapped(dag, [{"shard": shard, "engagement_conn_id": CONN_ID}])
    assert simulator.requests == []
    assert list(tmp_path.iterdir()) == []


def test_paths_that_are_combined_with_each_shard_are_refused(
    ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    paths = [f"file://{tmp_path}/{name}.jsonl" for name in "ab"]
    with a_dag() as dag:
        partial(tweet_ids=ids).expand(shard=["0/2", "1/2"], output_path=paths)
    shard = filled_shard(ids)
    with pytest.raises(AirflowFailException, match="every shard of this mapped task"):
        run_mapped(dag, [{"shard": shard, "output_path": paths[0]}])
    assert simulator.requests == []


@pytest.mark.usefixtures("simulator")
def test_a_path_that_is_given_with_its_shard_is_used(ids: list[str], tmp_path: Path) -> None:
    shard = filled_shard(ids)
    items = [{"shard": shard, "output_path": f"file://{tmp_path}/a.jsonl"}]
    with a_dag() as dag:
        partial(tweet_ids=ids).expand_kwargs(items)
    assert run_mapped(dag, items)[0]["uris"] == [items[0]["output_path"]]


def test_one_file_for_all_passes_of_a_loop_is_refused(
    ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    def operator(name: str) -> EngagementTotalsOperator:
        return EngagementTotalsOperator(
            task_id="pull",
            tweet_ids=ids,
            engagement_conn_id=CONN_ID,
            output_path=f"file://{tmp_path}/{name}.jsonl",
        )

    with pytest.raises(AirflowFailException, match=r"each pass of this loop.*ti\.region_id"):
        run(operator("{{ ti.map_index }}"), region_id="loop-1")
    assert simulator.requests == []
    assert run(operator("{{ ti.region_id }}"), region_id="loop-1").value["rows"] == 28


# ---- Task groups -----------------------------------------------------------------------------


def in_a_group(path: str, ids: list[str]) -> tuple[DAG, Any]:
    """Return a task that is not mapped itself, in a task group that is."""

    @task_group
    def each(conn_id: str) -> None:
        EngagementTotalsOperator(
            task_id="pull", tweet_ids=ids, engagement_conn_id=conn_id, output_path=path
        )

    with a_dag() as dag:
        each.expand(conn_id=[CONN_ID, "another"])
    operator: Any = dag.get_task("each.pull")
    operator.engagement_conn_id = CONN_ID  # as Airflow resolves it for the first instance
    return dag, operator


def test_one_file_for_all_instances_of_a_task_group_is_refused(
    ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    dag, operator = in_a_group(f"file://{tmp_path}/counts.jsonl", ids)
    with pytest.raises(AirflowFailException, match=r"output_path is .* in every instance"):
        run(operator, dag_id="mapped", map_index=0, dag=dag)
    assert simulator.requests == []


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize("name", ["{{ ti.map_index }}", "{{ task.engagement_conn_id }}"])
def test_a_file_for_each_instance_of_a_task_group_is_written(
    ids: list[str], tmp_path: Path, name: str
) -> None:
    dag, operator = in_a_group(f"file://{tmp_path}/{name}.jsonl", ids)
    assert run(operator, dag_id="mapped", map_index=0, dag=dag).value["rows"] == 28


@pytest.mark.usefixtures("simulator")
def test_a_task_in_a_plain_task_group_writes_its_file(ids: list[str], tmp_path: Path) -> None:
    with a_dag() as dag, TaskGroup("group"):
        operator = EngagementTotalsOperator(
            task_id="pull",
            tweet_ids=ids,
            engagement_conn_id=CONN_ID,
            output_path=f"file://{tmp_path}/counts.jsonl",
        )
    assert run(operator, dag=dag).value["rows"] == 28


def test_a_task_that_is_killed_before_it_pulls_cancels_nothing(ids: list[str]) -> None:
    EngagementTotalsOperator(task_id="pull", tweet_ids=ids).on_kill()


# ---- As Airflow runs them --------------------------------------------------------------------


def test_airflow_fails_the_instances_that_would_write_one_file(watched: Watched) -> None:
    states = {key: task["state"] for key, task in watched.tasks.items() if "one_file" in key}
    assert states == {"one_file[0]": "failed", "one_file[1]": "failed"}
    assert "one.jsonl' in every instance of this mapped task" in watched.said


def test_airflow_runs_the_instances_that_write_files_of_their_own(watched: Watched) -> None:
    states = {key: task["state"] for key, task in watched.tasks.items() if "files[" in key}
    assert states == {"files[0]": "success", "files[1]": "success"}
    paths = {
        task["rendered"]["output_path"] for key, task in watched.tasks.items() if "files[" in key
    }
    assert {path.rpartition("/")[2] for path in paths} == {
        "engagement_acme.jsonl",
        "engagement_bolt.jsonl",
    }
