from __future__ import annotations

import gzip
import io
import json
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSkipException,
)
from export_formats import Post, content
from run_operator import CONN_ID, NOW, connect, counts, expected_counts, run, snapshot_window

from airflow_provider_engagement.api.client import EngagementClient, RetryPolicy
from airflow_provider_engagement.api.errors import (
    AuthenticationError,
    IncompleteDataError,
    InvalidArgumentError,
    PermissionDeniedError,
    ServiceError,
)
from airflow_provider_engagement.api.spec import ENDPOINTS, PUBLIC_TYPES
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, arrow_schema
from airflow_provider_engagement.simulator import Faults, Simulator, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tools.clients import Gcs

pytestmark = pytest.mark.usefixtures("airflow_home", "temporary")

TYPES = ENDPOINTS["totals"].engagement_types
SINCE = NOW - timedelta(days=80)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder for temporary files, which has to be empty in the end."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = [path.name for path in folder.iterdir() if path.name.startswith("engagement-")]
    assert left == [], "temporary files are left behind"


@pytest.fixture
def world() -> World:
    return World(seed=5, accounts=("acme",), now=NOW)


@pytest.fixture
def ids(world: World) -> list[str]:
    return world.tweets("acme", 12, since=SINCE, until=NOW - timedelta(hours=1))


@pytest.fixture
def simulator(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with Simulator(world) as simulator:
        connect(monkeypatch, simulator.connection("acme"))
        yield simulator


def totals(tweet_ids: Any, **more: Any) -> EngagementTotalsOperator:
    return EngagementTotalsOperator(
        task_id="totals", tweet_ids=tweet_ids, engagement_conn_id=CONN_ID, **more
    )


# ---- Rows that are returned ------------------------------------------------------------------


@pytest.mark.usefixtures("simulator")
def test_the_rows_are_returned(world: World, ids: list[str]) -> None:
    snapshot = NOW - timedelta(hours=2)
    ran = run(totals(ids), at=snapshot)
    assert counts(ran.value) == expected_counts(world, ids, TYPES)
    row = next(row for row in ran.value if row["engagement_type"] == "impressions")
    assert [*row] == [column.name for column in LONG]
    moment = snapshot.isoformat().replace("+00:00", "Z")
    assert row | {"tweet_created_at": None, "collected_at": None} == {
        "account": "acme",
        "access": "owner",
        "endpoint": "totals",
        "grouping": "tweet.id/engagement.type",
        "tweet_id": row["tweet_id"],
        "engagement_type": "impressions",
        "granularity": "lifetime",
        "date": snapshot.date().isoformat(),
        "period_start": None,
        "period_end": None,
        "hour_of_day": None,
        "snapshot_at": moment,
        "value": row["value"],
        "complete": True,
        "tweet_created_at": None,
        "collected_at": None,
    }
    collected = datetime.fromisoformat(row["collected_at"])
    assert NOW <= collected <= datetime.now(UTC)
    assert ran.summary["rows"] == len(ids) * 7
    assert ran.summary["window"] == snapshot_window(snapshot)
    assert ran.summary["requests"] == 1


RENDERED: dict[str, Callable[[list[str]], Any]] = {
    "text": list,
    "numbers": lambda ids: [int(item) for item in ids],
    "tuple": tuple,
    "JSON": json.dumps,
    "JSON numbers": lambda ids: json.dumps([int(item) for item in ids]),
    "Python list": str,
    "Python tuple": lambda ids: str(tuple(ids)),
    "commas": ", ".join,
    "lines": "\n".join,
    "repeated": lambda ids: [*ids, *ids, *map(int, ids)],
}


@pytest.mark.parametrize("render", RENDERED.values(), ids=RENDERED)
def test_ids_in_every_accepted_form(
    world: World, ids: list[str], simulator: Simulator, render: Callable[[list[str]], Any]
) -> None:
    ran = run(totals(render(ids)))
    assert counts(ran.value) == expected_counts(world, ids, TYPES)
    (request,) = simulator.requests
    assert request.tweet_ids == ids


@pytest.mark.usefixtures("simulator")
def test_one_number_is_a_collection(world: World, ids: list[str]) -> None:
    assert counts(run(totals(int(ids[0]))).value) == expected_counts(world, ids[:1], TYPES)
    assert counts(run(totals(ids[0])).value) == expected_counts(world, ids[:1], TYPES)


@pytest.mark.usefixtures("simulator")
def test_ids_and_types_from_templates(world: World, ids: list[str]) -> None:
    operator = totals("{{ ids }}", engagement_types="{{ types }}", plan_only="{{ dry }}")
    variables = {"ids": ids, "types": ["favorites", "replies"], "dry": False}
    ran = run(operator, variables=variables)
    assert counts(ran.value) == expected_counts(world, ids, ("favorites", "replies"))


FILES: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "plain": ("ids.txt", str.encode),
    "gzip": ("ids.txt.gz", lambda text: gzip.compress(text.encode())),
    "with a header": ("ids.csv", lambda text: f"tweet_id\r\n{text}".encode()),
    "gzip by content, not by name": ("ids", lambda text: gzip.compress(text.encode())),
    "with odd signs in its name": ("a b#1?c=%20.txt", str.encode),
}


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)
def test_ids_from_a_file(
    world: World, ids: list[str], tmp_path: Path, name: str, content: Callable[[str], bytes]
) -> None:
    (tmp_path / name).write_bytes(content("\n".join(ids)))
    ran = run(totals(f"file://{tmp_path}/{name}"))
    assert counts(ran.value) == expected_counts(world, ids, TYPES)


@pytest.mark.usefixtures("simulator")
def test_the_tweets_of_a_folder_of_exports_are_pulled(
    world: World, ids: list[str], tmp_path: Path
) -> None:
    for name in ("power_track.json.gz", "v2.json", "table.csv"):
        posts = [Post(tweet_id) for tweet_id in ids]
        (tmp_path / name).write_bytes(content(name, posts))
    ran = run(totals(f"file://{tmp_path}/"))
    assert counts(ran.value) == expected_counts(world, ids, TYPES)


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize("column", ["original", "{{ column }}"])
def test_the_column_of_the_ids_can_be_chosen(
    world: World, ids: list[str], tmp_path: Path, column: str
) -> None:
    rows = "".join(f"{place + 1},{tweet_id}\n" for place, tweet_id in enumerate(ids))
    (tmp_path / "ids.csv").write_text(f"tweet_id,original\n{rows}")
    operator = totals(f"file://{tmp_path}/ids.csv", id_column=column)
    ran = run(operator, variables={"column": "original"})
    assert counts(ran.value) == expected_counts(world, ids, TYPES)


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)
def test_ids_from_a_bucket(
    world: World, ids: list[str], gcs: Gcs, name: str, content: Callable[[str], bytes]
) -> None:
    if "?" in name:
        name = "a b#1=%20.txt"  # the emulator takes no question mark
    bucket = gcs.make_bucket()
    bucket.blob(f"below/{name}").upload_from_string(content("\n".join(ids)))
    operator = totals(f"gs://google_cloud_default@{bucket.name}/below/{name}")
    assert counts(run(operator).value) == expected_counts(world, ids, TYPES)


def test_app_only_asks_for_the_public_types(
    world: World, ids: list[str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, simulator.connection("acme", user_tokens=False, bearer=False))
    ran = run(totals(ids))
    assert counts(ran.value) == expected_counts(world, ids, PUBLIC_TYPES)
    assert {row["access"] for row in ran.value} == {"public"}


def test_the_other_tweets_are_counted_when_one_is_foreign_and_the_bearer_token_is_stale(
    world: World, ids: list[str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.foreign = {ids[3]}
    connection = simulator.connection("acme")
    connection["extra"]["bearer_token"] = "AAAA%2Frevoked"
    connect(monkeypatch, connection)
    ran = run(totals(ids))
    assert counts(ran.value) == expected_counts(world, [*ids[:3], *ids[4:]], TYPES)
    tweets = ran.summary["tweets"]
    assert (tweets["answered"], tweets["forbidden"]) == (11, 1)
    (note,) = tweets["reasons"]
    assert note == {"reason": "belongs to another account", "tweets": 1, "examples": [ids[3]]}


def test_ten_thousand_rows_are_returned_and_more_are_refused_before_any_request(
    world: World, simulator: Simulator
) -> None:
    many = world.tweets("acme", 2001, since=SINCE, until=NOW - timedelta(hours=1))
    with pytest.raises(AirflowFailException, match=r"up to 10005 rows.*10000 can.*output_path"):
        run(totals(many, engagement_types=PUBLIC_TYPES))
    assert simulator.requests == []
    ran = run(totals(many[1:], engagement_types=PUBLIC_TYPES))
    assert len(ran.value) == 10_000
    assert len(simulator.requests) == 8
    assert len(json.dumps(ran.summary)) < 10_000


def test_plan_only_returns_the_plan_and_sends_nothing(ids: list[str], simulator: Simulator) -> None:
    ran = run(totals(ids, plan_only=True))
    assert ran.value["requests"] == 1
    assert ran.value["tweets"] == 12
    assert ran.value["rows_at_most"] == 84
    assert simulator.requests == []


# ---- One file --------------------------------------------------------------------------------


def read(name: str, data: bytes) -> list[dict[str, Any]]:
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        schema = COVERAGE if ".coverage." in name else LONG
        assert table.schema.equals(arrow_schema(schema))
        return list(table.to_pylist())
    text = gzip.decompress(data) if name.endswith(".gz") else data
    return [json.loads(line) for line in text.decode().splitlines()]


@pytest.fixture(params=["file", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Callable[..., Any]]:
    """Give a folder to write to, and what reads all files that are in it."""
    if request.param == "file":
        folder = tmp_path / "out"
        return f"file://{folder}", lambda: {p.name: p.read_bytes() for p in folder.iterdir()}
    bucket = request.getfixturevalue("gcs").make_bucket()
    return f"gs://{bucket.name}/out", lambda: {
        # Asked for by name, since the emulator's own links do not escape it.
        blob.name.removeprefix("out/"): bucket.blob(blob.name).download_as_bytes()
        for blob in bucket.list_blobs()
    }


@pytest.mark.usefixtures("simulator")
@pytest.mark.parametrize("ending", ["parquet", "jsonl", "jsonl.gz"])
def test_the_rows_are_written_to_one_file_and_their_coverage_beside_it(
    world: World, ids: list[str], place: tuple[str, Callable[..., Any]], ending: str
) -> None:
    folder, files = place
    world.deleted, world.foreign = {ids[0]}, {ids[1]}
    path = f"{folder}/counts#1 2026.{ending}"
    for _ in range(2):  # a second run replaces the first one's
        ran = run(totals(ids, output_path=path))
    assert ran.value == {
        "uris": [path],
        "rows": 75,
        "window": snapshot_window(NOW - timedelta(minutes=5)),
    }
    held = files()
    assert set(held) == {f"counts#1 2026.{ending}", f"counts#1 2026.coverage.{ending}"}
    rows, coverage = (read(name, held[name]) for name in sorted(held, key=len))
    owned = expected_counts(world, ids[2:], TYPES)
    assert counts(rows) == owned | expected_counts(world, ids[1:2], PUBLIC_TYPES)
    assert {row["tweet_id"]: row["status"] for row in coverage} == {
        item: "unavailable" if item == ids[0] else "answered" for item in ids
    }
    assert next(row for row in coverage if row["tweet_id"] == ids[1])["access"] == "public"


def test_a_file_of_an_unknown_ending_is_refused_before_any_request(
    ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    path = f"file://{tmp_path}/out.csv"
    message = r"output_path.*out\.csv.*\.parquet, \.jsonl, \.jsonl\.gz"
    with pytest.raises(AirflowFailException, match=message):
        run(totals(ids, output_path=path))
    assert simulator.requests == []


def test_a_path_without_a_scheme_is_refused_before_any_request(
    ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    path = f"{tmp_path}/out.jsonl"
    message = rf"output_path: {path} has no scheme.*file://{path}"
    with pytest.raises(AirflowFailException, match=message):
        run(totals(ids, output_path=path))
    assert simulator.requests == []


def test_a_failed_pull_leaves_the_file_of_the_last_one(
    world: World, ids: list[str], simulator: Simulator, tmp_path: Path
) -> None:
    path = tmp_path / "out" / "counts.jsonl"
    run(totals(ids[:2], output_path=f"file://{path}"))
    before = path.read_bytes()
    world.deleted = set(ids)
    with pytest.raises(AirflowFailException, match="0 of 12 Tweets were counted"):
        run(totals(ids, output_path=f"file://{path}"))
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "counts.coverage.jsonl",
        "counts.jsonl",
    ]
    assert simulator.requests


# ---- Nothing to ask for ----------------------------------------------------------------------


@pytest.mark.parametrize("empty", ["", "[]", "()", " \n"])
def test_an_empty_collection_warns_and_gives_no_rows(
    simulator: Simulator, empty: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(totals("{{ ids }}"), variables={"ids": empty}).value == []
    assert "tweet_ids holds no ids" in caplog.text
    assert simulator.requests == []


def test_an_empty_collection_writes_no_file(simulator: Simulator, tmp_path: Path) -> None:
    (tmp_path / "ids.txt").touch()
    path = tmp_path / "out.jsonl"
    ran = run(totals(f"file://{tmp_path}/ids.txt", output_path=f"file://{path}"))
    assert (ran.value["uris"], ran.value["rows"]) == ([], 0)
    assert not path.exists()
    assert simulator.requests == []


@pytest.mark.parametrize("empty", [[], ()])
def test_an_empty_literal_list_fails_when_the_dag_is_parsed(empty: object) -> None:
    with pytest.raises(InvalidArgumentError, match="tweet_ids is an empty list"):
        totals(empty)


def test_a_mapped_task_accepts_an_empty_collection(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    with DAG("mapped", schedule=None):
        mapped = EngagementTotalsOperator.partial(
            task_id="totals", engagement_conn_id=CONN_ID
        ).expand(tweet_ids=[["20"], []])
    operator: Any = mapped.unmap({"tweet_ids": []})
    assert run(operator).value == []
    assert "tweet_ids holds no ids" in caplog.text
    assert simulator.requests == []


# ---- When ------------------------------------------------------------------------------------


def test_a_run_of_long_ago_is_skipped_with_the_reason(ids: list[str], simulator: Simulator) -> None:
    message = (
        r"returns such counts only as they are now.*raise max_snapshot_age, which is 24\.0 hours"
    )
    with pytest.raises(AirflowSkipException, match=message):
        run(totals(ids), at=NOW - timedelta(hours=24, minutes=1))
    assert simulator.requests == []


@pytest.mark.parametrize("age", [timedelta(days=3), "P3D"])
def test_max_snapshot_age_sets_how_late_a_run_may_be(
    ids: list[str], simulator: Simulator, age: object
) -> None:
    operator = totals(ids, max_snapshot_age=age)
    assert len(run(operator, at=NOW - timedelta(days=2)).value) == 84
    with pytest.raises(AirflowSkipException):
        run(operator, at=NOW - timedelta(days=3, minutes=1))
    assert len(simulator.requests) == 1


WEEK = timedelta(days=7)


@pytest.mark.parametrize("run_type", ["manual", "operator_triggered"])
def test_a_run_by_hand_has_the_counts_of_now_whatever_its_interval(
    world: World, ids: list[str], run_type: str, simulator: Simulator
) -> None:
    ran = run(totals(ids), at=NOW - WEEK, run_type=run_type)
    assert counts(ran.value) == expected_counts(world, ids, TYPES)
    # The run started now.
    assert ran.summary["window"] == snapshot_window(NOW)
    assert {row["snapshot_at"] for row in ran.value} == {snapshot_window(NOW)["snapshot_at"]}
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("run_type", ["scheduled", "backfill", "asset_triggered"])
def test_another_run_of_long_ago_is_skipped(
    ids: list[str], run_type: str, simulator: Simulator
) -> None:
    with pytest.raises(AirflowSkipException, match="max_snapshot_age"):
        run(totals(ids), at=NOW - WEEK, run_type=run_type)
    assert simulator.requests == []


# ---- Templates without a value ---------------------------------------------------------------


@pytest.mark.parametrize("empty", ["None", ""])
def test_a_template_without_a_value_means_the_default(
    world: World,
    ids: list[str],
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    *,
    empty: str,
) -> None:
    connect(monkeypatch, simulator.connection("acme"), "engagement_default")
    fields = set(EngagementTotalsOperator.template_fields) - {"tweet_ids"}
    given: dict[str, Any] = dict.fromkeys(fields, "{{ nothing }}")
    operator = EngagementTotalsOperator(task_id="totals", tweet_ids=ids, **given)
    ran = run(operator, variables={"nothing": empty})
    assert counts(ran.value) == expected_counts(world, ids, TYPES)
    with pytest.raises(AirflowSkipException, match=r"max_snapshot_age, which is 24\.0 hours"):
        run(operator, at=NOW - WEEK, variables={"nothing": empty})


@pytest.mark.parametrize("render", [json.dumps, str])
def test_groupings_are_read_from_json_and_from_python(
    ids: list[str], simulator: Simulator, render: Callable[[object], str]
) -> None:
    groupings = {"mine": {"group_by": ["engagement.type", "tweet.id"]}}
    ran = run(totals(ids, groupings="{{ groupings }}"), variables={"groupings": render(groupings)})
    assert {row["grouping"] for row in ran.value} == {"tweet.id/engagement.type"}
    (request,) = simulator.requests
    assert request.body["groupings"] == {"mine": groupings["mine"]}


# ---- Failures --------------------------------------------------------------------------------


def test_a_permanent_fault_fails_the_task_at_once(
    ids: list[str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = simulator.connection("acme")
    connection["extra"]["access_token_secret"] = "wrong"
    connect(monkeypatch, connection)
    with pytest.raises(AirflowFailException, match="did not accept the credentials") as caught:
        run(totals(ids))
    assert isinstance(caught.value.__cause__, AuthenticationError)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"engagement_types": ["likes"]}, InvalidArgumentError),
        ({"tweet_ids": "not ids"}, InvalidArgumentError),
        ({"max_missing_share": "2"}, InvalidArgumentError),
        ({"plan_only": "perhaps"}, InvalidArgumentError),
        ({"max_snapshot_age": "soon"}, InvalidArgumentError),
        ({"groupings": {"a": {"group_by": ["engagement.day"]}}}, InvalidArgumentError),
    ],
)
def test_bad_input_fails_the_task_at_once(
    ids: list[str], simulator: Simulator, changes: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(AirflowFailException) as caught:
        run(totals(**({"tweet_ids": ids} | changes)))
    assert isinstance(caught.value.__cause__, kind)
    assert simulator.requests == []


def test_too_few_counted_fails_the_task(world: World, ids: list[str], simulator: Simulator) -> None:
    world.deleted = set(ids[:6])
    with pytest.raises(AirflowFailException, match="6 of 12 Tweets were counted") as caught:
        run(totals(ids, max_missing_share=0.49))
    assert isinstance(caught.value.__cause__, IncompleteDataError)
    assert len(run(totals(ids, max_missing_share="0.5")).value) == 42
    assert len(simulator.requests) == 2


def test_a_passing_fault_is_left_to_airflows_retries(
    ids: list[str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = RetryPolicy(budget=0.02, first_wait=0.001, max_wait=0.001)
    monkeypatch.setattr(
        EngagementClient.__init__,
        "__kwdefaults__",
        {
            "on_secret": None,
            "retry": quick,
            "rate_state_directory": None,
        },
    )
    simulator.faults = Faults(share=1.0, kinds=("503",))
    with pytest.raises(ServiceError, match="HTTP 503"):
        run(totals(ids))
    assert len(simulator.requests) > 1
    simulator.faults = Faults()
    assert len(run(totals(ids)).value) == 84


def test_private_counts_need_the_owners_tokens(
    ids: list[str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, simulator.connection("acme", user_tokens=False))
    with pytest.raises(
        AirflowFailException, match=r"impressions needs the tokens of the Tweets' owner"
    ) as caught:
        run(totals(ids, engagement_types=["favorites", "impressions"]))
    assert not isinstance(caught.value.__cause__, PermissionDeniedError)
    assert simulator.requests == []


def test_a_task_is_retried_unless_the_dag_says_otherwise() -> None:
    assert totals(["20"]).retries == 3
    assert totals(["20"], retries=1).retries == 1
    with DAG("plain", schedule=None, default_args={"retries": 5}):
        assert totals(["20"]).retries == 5
