"""A service that says back every secret it was sent, and more: none of them is seen again.

The secrets are planted with what has to be escaped, and looked for as they are, percent-encoded
and in base64: in all that Airflow says and keeps, and in all that is written.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import pickle
import re
import sqlite3
import subprocess
import sys
import traceback
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from hostile.wire import Good, Wire
from object_checks import without_try
from run_operator import CONN_ID, connect, run

from airflow_provider_engagement.api import client as client_module
from airflow_provider_engagement.api.client import RetryPolicy
from airflow_provider_engagement.api.errors import EngagementError
from airflow_provider_engagement.api.window import DAY
from airflow_provider_engagement.operators.engagement import EngagementTotalsOperator
from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor
from airflow_provider_engagement.simulator import World
from tools.clients import BigQuery, Gcs
from tools.hostile.made import HTML, http
from tools.services import google_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from google.cloud.storage import Bucket

    from airflow_provider_engagement.simulator.service import Request

pytestmark = pytest.mark.usefixtures("airflow_home")

NOW = datetime.now(UTC).replace(microsecond=0)
WORLD = World(seed=31, accounts=("acme",), now=NOW)
IDS = WORLD.tweets("acme", 30, since=NOW - 20 * DAY, until=NOW - 5 * DAY)
KEYS = {str(name): str(text) for name, text in WORLD.credentials("acme").items()}
DAG = Path(__file__).with_name("secret_dags.py")
IS_3 = version("apache-airflow").startswith("3.")


def forms_of(secret: str) -> set[str]:
    """Give a secret in each form that it is looked for in, made apart from the code's own way."""
    encoded_variants = {secret, quote(secret), quote_plus(secret), quote(secret, safe="")}
    encoded_variants |= {
        re.sub("%..", lambda escape: escape[0].lower(), form) for form in encoded_variants
    }
    padded = base64.b64encode(secret.encode()).decode()
    return encoded_variants | {padded, padded.rstrip("=")}


PAIR = ":".join(quote(KEYS[name], safe="") for name in ("consumer_key", "consumer_secret"))
PLANTED = {
    **{f"{name}: {form}": form for name, text in KEYS.items() for form in forms_of(text)},
    "Basic": base64.b64encode(PAIR.encode()).decode(),
}


def found_in(text: str) -> list[str]:
    return [name for name, form in PLANTED.items() if form in text]


def shown(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def test_search_finds_planted_secrets() -> None:
    for name in ("consumer_secret", "access_token_secret"):
        assert {"+", "/", "="} <= set(KEYS[name])
        assert len(forms_of(KEYS[name])) >= 5
    assert len(found_in(json.dumps(KEYS))) >= len(KEYS)


# ---- The service that says it all ------------------------------------------------------------


class EchoServer:
    """Answers now and then with all the secrets there are, in all places that an answer has.

    Below ``/refused`` it always refuses; ``/garbled`` is never to be understood.

    :param observe: is called at each request, to observe files and objects during the run.
    """

    def __init__(self, observe: Any = lambda: None) -> None:
        self._good = Good(WORLD)
        self._numbers = itertools.count()
        self._observe = observe
        self.echoed_back = 0

    def say(self, request: Request) -> Iterable[bytes]:
        self._observe()
        number = next(self._numbers)
        echoed = [*PLANTED.values(), *request.headers.values()]
        words = json.dumps({"errors": [f"No: {one}" for one in echoed]}).encode()
        self.echoed_back += 1
        if request.path.startswith("/refused"):
            return [http(words, status=403)]
        if request.path.startswith("/garbled"):
            return [self._garbled(request, number, echoed)]
        if request.path == "/oauth2/token" and number % 2:
            return [http(words)]
        if number % 4 == 1:
            return [http(words, f"X-Said: {echoed[0]}", status=(500, 200)[number // 4 % 2])]
        if number % 4 == 3:
            return [http(HTML + words)]
        self.echoed_back -= 1
        if request.path == "/oauth2/token":
            return self._good.say(request)
        return [self._embellished(request, echoed)]

    def _embellished(self, request: Request, echoed: list[str]) -> bytes:
        """Return a good response with secrets in fields that were not requested."""
        document = self._good.document(request)
        (counts,) = (value for value in document.values() if isinstance(value, dict))
        counts |= {one: {"favorites": "1"} for one in echoed if "tot" in request.path}
        document |= {one: one for one in echoed}
        document["unsupported_for_x_tweet_ids"] = echoed
        document["unavailable_tweet_ids"] = echoed
        document["errors"] = echoed
        headers = [f"X-Said-{number}: {one}" for number, one in enumerate(echoed[:20])]
        return http(json.dumps(document).encode(), *headers)

    @staticmethod
    def _garbled(request: Request, number: int, echoed: list[str]) -> bytes:
        """Put a secret in the place of a count, of a date, or of what an answer is."""
        names = list(json.loads(request.body)["groupings"])
        secret = echoed[number % len(echoed)]
        nested: list[Any] = [{IDS[0]: {"favorites": secret}}, {secret: secret}, secret]
        return http(json.dumps(dict.fromkeys(names, nested[number % 3])).encode())


def connection(url: str, below: str = "", *, bearer: bool = True) -> dict[str, Any]:
    """Return a connection with one request in flight, so that checkpoints exist for a while."""
    names = ("access_token", "access_token_secret", "bearer_token") if bearer else ()
    extra: dict[str, Any] = {name: KEYS[name] for name in names} | {"max_concurrency": 1}
    return {
        "conn_type": "engagement",
        "host": f"{url}{below}",
        "login": KEYS["consumer_key"],
        "password": KEYS["consumer_secret"],
        "extra": {**extra, "account": "acme", "oauth2_endpoint": f"{url}/oauth2/token"},
    }


# ---- Through Airflow -------------------------------------------------------------------------


@dataclass
class Scene:
    """Where the DAG runs, and what was seen of it.

    :param folder: for what it writes here, its pace files included.
    :param home: its Airflow's home.
    :param bucket: where its objects and checkpoints are.
    :param bigquery: where its table is.
    :param dataset: the dataset of the table.
    :param settings: its environment.
    :param staged: every piece that was ever seen to wait.
    :param echoed: the output of Airflow.
    """

    folder: Path
    home: Path
    bucket: Bucket
    bigquery: BigQuery
    dataset: str
    settings: dict[str, str]
    staged: dict[str, bytes] = field(default_factory=dict)
    echoed: str = ""
    echoed_back: int = 0

    def observe(self) -> None:
        """Copy the current checkpoints, because the pull deletes them at the end."""
        for blob in self.bucket.list_blobs():
            if blob.name.endswith(".arrow") and blob.name not in self.staged:
                self.staged[blob.name] = self.bucket.blob(blob.name).download_as_bytes()


@pytest.fixture(scope="module")
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_home: Path
) -> Scene:
    """Run the DAG once, at DEBUG."""
    emulated: Path = request.getfixturevalue("emulated")
    gcs_url = request.getfixturevalue("_gcs_emulator").url
    bigquery_url = request.getfixturevalue("_bigquery_emulator").url
    bigquery, bucket = BigQuery(bigquery_url), Gcs(gcs_url, emulated / "store").make_bucket()
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "pace").mkdir()
    dataset = bigquery.make_dataset()
    made = Scene(folder, airflow_home, bucket, bigquery, dataset, {})
    echo_server = EchoServer(made.observe)
    with Wire(echo_server.say) as wire:
        made.settings = {
            **google_environment(bigquery=bigquery_url, gcs=gcs_url),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW_CONN_ENGAGEMENT_DEFAULT": json.dumps(connection(wire.url)),
            "AIRFLOW_CONN_ENGAGEMENT_REFUSED": json.dumps(connection(wire.url, "/refused")),
            "AIRFLOW_CONN_ENGAGEMENT_PUBLIC": json.dumps(connection(wire.url, bearer=False)),
            "SECRET_DAG_IDS": ",".join(IDS),
            "SECRET_DAG_BUCKET": bucket.name,
            "SECRET_DAG_TABLE": f"{dataset}.counts",
            "SECRET_DAG_FILE": str(folder / "counts.jsonl"),
            "TMPDIR": str(folder / "pace"),
        }
        ran = subprocess.run(
            [sys.executable, "-m", "airflow", "dags", "test", "secrets"],
            env={**os.environ, **made.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
    made.echoed, made.echoed_back = ran.stdout, echo_server.echoed_back
    return made


# At DEBUG `airflow dags test` of 3.3.2 itself prints each text that it must mask: it is its
# own supervisor (InProcessSupervisorComms.send). A worker does not.
MASKED = re.compile(r".*\[debug +\] Sending request .* msg=MaskSecret\(.*")


def states(scene: Scene) -> dict[str, str]:
    with closing(sqlite3.connect(scene.home / "airflow.db")) as database:
        query = "SELECT task_id, state FROM task_instance WHERE dag_id = 'secrets'"
        return dict(database.execute(query).fetchall())


def test_dag_has_run_as_expected(scene: Scene) -> None:
    failing = {"refused", "refused_on_the_way", "wait_refused"}
    good = {"to_gcs", "to_bigquery", "to_file", "rows", "exchanged", "wait"}
    expected = dict.fromkeys(good, "success") | dict.fromkeys(failing, "failed")
    assert states(scene) == expected, scene.echoed[-5000:]
    assert scene.echoed_back > 5
    assert "The service said: No: ***" in scene.echoed
    assert "Attempt 1 failed and is repeated" in scene.echoed
    rows = scene.bigquery.rows(f"SELECT * FROM {scene.dataset}.counts")  # noqa: S608 - ours
    assert len(rows) == len(IDS) * 2 * 3


def test_no_secret_is_in_the_output_of_airflow(scene: Scene) -> None:
    lines = scene.echoed.splitlines()
    masked = [line for line in lines if MASKED.fullmatch(line)]
    assert bool(masked) is IS_3
    assert found_in("\n".join(line for line in lines if not MASKED.fullmatch(line))) == []


def test_no_secret_is_in_the_logs_and_database_of_airflow(scene: Scene) -> None:
    """Look at logs, XComs, rendered fields, trigger arguments and all else in its database."""
    for path in scene.home.rglob("*"):
        if path.is_file() and path.suffix in {".log", ".db", ".json", ".cfg"}:
            assert found_in(shown(path.read_bytes())) == [], path
    with closing(sqlite3.connect(scene.home / "airflow.db")) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = {
            table: database.execute(f'SELECT * FROM "{table}"').fetchall()  # noqa: S608 - its own
            for (table,) in tables
        }
    for table, stored in rows.items():
        assert found_in("\n".join(shown(value) for row in stored for value in row)) == [], table
    assert rows["rendered_task_instance_fields"]
    assert rows["xcom"] or not IS_3, "`dags test` of 2.11 keeps none"


def test_no_secret_is_in_objects_and_checkpoints(scene: Scene) -> None:
    objects = {
        blob.name: scene.bucket.blob(blob.name).download_as_bytes()
        for blob in scene.bucket.list_blobs()
    }
    endings = {without_try(name.rpartition("/")[2]) for name in objects}
    assert {"part-00000.jsonl", "coverage.jsonl", "manifest.json"} <= endings
    assert scene.staged
    for name, data in (objects | scene.staged).items():
        assert found_in(f"{name} {shown(data)} {unpacked(name, data)}") == [], name


def unpacked(name: str, data: bytes) -> str:
    """Give what is compressed in an object."""
    if name.endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        return f"{table.to_pylist()} {table.schema}"
    if name.endswith(".arrow"):
        stream = io.BytesIO(data)
        tables = [pa.ipc.open_stream(stream).read_all() for _ in range(2)]
        return "".join(f"{table.to_pylist()} {table.schema.metadata}" for table in tables)
    return ""


def test_no_secret_is_in_tables(scene: Scene) -> None:
    tables = [table.table_id for table in scene.bigquery.client.list_tables(scene.dataset)]
    assert {"counts", "counts_coverage"} <= set(tables)
    for table in tables:
        rows = scene.bigquery.rows(f"SELECT * FROM {scene.dataset}.{table}")  # noqa: S608 - ours
        assert found_in(str(rows)) == [], table
    for job in scene.bigquery.client.list_jobs():
        assert found_in(f"{job.labels} {getattr(job, 'query', '')} {job.job_id}") == []


def test_no_secret_is_in_files(scene: Scene) -> None:
    paths = [path for path in scene.folder.rglob("*") if path.is_file()]
    names = {path.name for path in paths}
    assert {"counts.jsonl", "counts.coverage.jsonl"} <= names
    assert [path for path in paths if path.parent.name.startswith("airflow-engagement-")]
    for path in paths:
        assert found_in(f"{path} {shown(path.read_bytes())}") == [], path


# ---- Errors and triggers, looked into --------------------------------------------------------


@pytest.fixture
def echo_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Wire]:
    """Serve responses that echo every secret, and try each request once."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(client_module, "RetryPolicy", lambda: RetryPolicy(0.0, 0.001, 0.001))
    with Wire(EchoServer().say) as wire:
        yield wire


def check_error(error: BaseException) -> None:
    """See that nothing of an error, or of what led to it, shows a secret."""
    chain: list[BaseException] = [error]
    for one in chain:
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
        texts = [str(one), repr(one), repr(one.args), repr(vars(one)), shown(pickle.dumps(one))]
        assert found_in("\n".join(texts)) == [], type(one)
    # Neither Airflow 2.11 nor 3.3 shows the locals of a frame.
    assert found_in("".join(traceback.format_exception(error))) == []


@pytest.mark.parametrize("below", ["/refused", "/garbled"])
def test_no_secret_is_in_an_error_or_its_causes(
    below: str, echo_server: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, connection(echo_server.url, below))
    operator = EngagementTotalsOperator(
        task_id="texts", tweet_ids=IDS, engagement_conn_id=CONN_ID, engagement_types=["favorites"]
    )
    for _ in range(2 * len(KEYS)):
        with pytest.raises((AirflowFailException, EngagementError)) as caught:
            run(operator)
        check_error(caught.value)


FAULTS = {
    "a refusal": [http(b'{"errors": ["no"]}', status=403)],
    "no answer": [],
    "HTML": [http(HTML)],
    "half an answer": [http(b"{}")[:-1]],
    "a count that is not a number": [http(b'{"total": {"20": {"favorites": "x"}}}')],
}


@pytest.mark.parametrize("answer", FAULTS.values(), ids=FAULTS)
def test_no_secret_is_in_the_locals_of_a_traceback(
    answer: list[bytes], echo_server: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    echo_server.say = lambda _: answer
    connect(monkeypatch, connection(echo_server.url))
    operator = EngagementTotalsOperator(task_id="t", tweet_ids=IDS, engagement_conn_id=CONN_ID)
    # Its frames would hold the connection's text, and it is no frame of the package.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    with pytest.raises((AirflowFailException, EngagementError)) as caught:
        run(operator)
    chain: list[BaseException] = [caught.value]
    for one in chain:
        chain += [other for other in (one.__cause__, one.__context__) if other is not None]
        texts = traceback.TracebackException.from_exception(one, capture_locals=True)
        assert found_in("".join(texts.format())) == []


def test_no_secret_is_in_a_trigger_or_its_events(
    echo_server: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    connect(monkeypatch, connection(echo_server.url, "/refused"))
    sensor = EngagementThresholdSensor(
        task_id="wait",
        tweet_ids=IDS,
        thresholds={"favorites": 0},
        engagement_conn_id=CONN_ID,
        deferrable=True,
    )
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})  # type: ignore[typeddict-item]  # a deferral needs nothing of it
    trigger: Any = deferred.value.trigger
    assert found_in(f"{trigger.serialize()} {trigger!r} {vars(trigger)}") == []

    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    (event,) = asyncio.run(events())
    assert event["status"] == "failed"
    assert "***" in event["message"]
    assert found_in(str(event)) == []
