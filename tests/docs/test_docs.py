"""The README and docs/ are correct: every block of code is executed or checked."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from run_operator import CONN_ID, NOW, connect
from run_operator import run as execute
from test_structure import LAYERS, module_name

from airflow_provider_engagement import simulator, testing
from airflow_provider_engagement.api import errors
from airflow_provider_engagement.api.spec import ENGAGEMENT_TYPES
from airflow_provider_engagement.collections.schema import ATTRIBUTES, LABELS
from airflow_provider_engagement.compat import HAS_RETRY_POLICIES
from airflow_provider_engagement.get_provider_info import get_provider_info
from airflow_provider_engagement.hooks.engagement import EngagementHook
from airflow_provider_engagement.rows.coverage import Status
from airflow_provider_engagement.rows.schema import COVERAGE, LONG, WIDE
from airflow_provider_engagement.simulator import Simulator, World
from airflow_provider_engagement.transfers.engagement_to_bigquery import (
    EngagementToBigQueryOperator,
)
from airflow_provider_engagement.triggers import engagement as triggers
from tools import demo
from tools.class_tables import faces, parameters
from tools.docs import main, pages, renewed
from tools.env import ROOT
from tools.tables import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tools.clients import BigQuery, Gcs

BIN = Path(sys.executable).parent
PACKAGE = ROOT / "airflow_provider_engagement"
ARCHITECTURE = ROOT / "docs" / "explanation" / "architecture.md"
# Packages and modules of LAYERS that the page describes in words.
NOT_A_LAYER = {"simulator", "testing", "compat", "get_provider_info"}
made_on_3 = pytest.mark.skipif(
    not HAS_RETRY_POLICIES, reason="the tables of docs/ show the defaults on Airflow 3.3"
)
HAS_WATCHERS = hasattr(triggers.BaseEventTrigger, "create_shared_stream_producer")

# Commands of a page that are checked and not executed, and why.
CHECKED = {
    "git clone ": "it needs the network; the address is looked up in pyproject.toml",
    "cd ": "it follows a clone",
    "make": "they would run this test; their names are looked up in the Makefile",
    "pip": "the environment exists; the extras are looked up in pyproject.toml",
    "python -m tools.": "for maintainers; the module is looked up",
}

# The owners of the examples, the files that hold their Tweets' ids, and how many those are.
OWNERS = {"acme": "tweet_ids.txt", "bolt": "bolt.txt"}
TWEETS = 40


# The names that the first column of a table may hold, by the head of the column.
NAMES = {
    "parameter": {
        *(name for face in faces().values() for name in parameters(face)),
        *inspect.signature(EngagementHook.get_historical).parameters,
    },
    "class": {*faces(), *errors.__all__, *simulator.__all__, "EngagementHook"},
    "fixture": {*testing.__all__},
    "column": {column.name for column in (*LONG, *WIDE, *COVERAGE, *ATTRIBUTES, *LABELS)},
    "status": {*map(str, Status)},
    "type": set(ENGAGEMENT_TYPES),
    "field": {
        "host",
        "login",
        "password",
        "port",
        *(f"extra.{name}" for name in get_provider_info()["connection-types"][0]["conn-fields"]),
    },
}


# Words that the documentation does not use, because readers had to guess their meaning. Brackets
# keep this line from being found by a search for the words.
UNPLAIN = re.compile(
    r"\b(st[r]angers?|la[c]king|sp[a]red|t[o]ld|unb[o]rn|f[a]tes?|g[o]ne|t[o]rn|wh[o]m|whoever|"
    r"nob[o]dy|somebody|is n[o]ne|to be h[a]d|comes of it|what came of|an[e]w|str[e]tch|eyes|"
    r"l[a]nd(?:s|ed|ing)?|pieces)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The file name in the first line of a block of Python; None without one."""
        match = re.match(r"# ([\w/]+\.py)\n", self.text)
        return match[1] if match else None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> Iterator[Block]:
    fence = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    for page in pages():
        text = page.read_text()
        for found in fence.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            if not languages or found[1] in languages:
                yield Block(page, line, found[1], found[2])


def prose(page: Path) -> str:
    """Return a page's text without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def python_files(folder: Path, page: Path) -> list[Path]:
    """Write the files that a page shows."""
    written = []
    for block in blocks("python"):
        if block.page == page and block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            written.append(path)
    return written


def named(found: list[Any]) -> dict[str, Any]:
    ids = [str(one.relative_to(ROOT)) if isinstance(one, Path) else str(one) for one in found]
    return {"argvalues": found, "ids": ids}


def run(command: list[str | Path], folder: Path, **settings: str) -> str:
    """Run a command and return its output."""
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603 - commands of our own pages
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_every_block_is_in_a_checked_language() -> None:
    found = {str(block): block.language for block in blocks()}
    assert len(found) > 20
    assert set(found.values()) <= {"bash", "json", "python", "sql", "text"}, found


@pytest.mark.parametrize("block", **named([b for b in blocks("python") if not b.file]))
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "AssetWatcher" in block.text and not HAS_WATCHERS:
        pytest.skip("Airflow 3.3 has asset watchers that can do this")
    monkeypatch.chdir(tmp_path)
    with simulated(monkeypatch):
        code = tmp_path / "block.py"
        code.write_text(block.text)
        runpy.run_path(str(code), run_name="__main__")


@pytest.mark.parametrize(
    "page", **named(sorted({b.page for b in blocks("python") if (b.file or "").startswith("test")}))
)
def test_tests_pass(page: Path, tmp_path: Path, airflow_home: Path) -> None:
    python_files(tmp_path, page)
    settings = {"AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags")}
    assert airflow_home.exists()
    # pytest deletes the folders of earlier runs from its common folder, which can take minutes.
    own = f"--basetemp={tmp_path / 'temporary'}"
    output = run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", own], tmp_path, **settings
    )
    assert " passed" in output


@pytest.fixture
def google_settings(bigquery: BigQuery, gcs: Gcs) -> Iterator[None]:
    """Create the dataset and the files of ids that the pages' DAGs and queries use."""
    bigquery.make_dataset("reporting")
    bucket = gcs.make_bucket("my-bucket")
    world = World(seed=7, accounts=tuple(OWNERS))
    now = world.now()
    for owner, name in OWNERS.items():
        ids = world.tweets(owner, TWEETS, since=now - timedelta(days=30), until=now)
        bucket.blob(name).upload_from_string("\n".join(ids))
    yield
    bucket.delete(force=True)
    bigquery.client.delete_dataset("reporting", delete_contents=True)


@pytest.mark.usefixtures("google_settings")
def test_dags_run_and_queries_read_what_they_wrote(
    tmp_path: Path, airflow_home: Path, bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    dags = {}
    for page in pages():
        for path in python_files(tmp_path, page):
            if path.parent.name == "dags":
                (name,) = re.findall(r'dag_id="(\w+)"', path.read_text())
                dags[name] = path
    assert dags
    assert airflow_home.exists()
    with simulated(monkeypatch):
        output = run(
            [sys.executable, Path(__file__).with_name("run_dags.py"), *dags],
            tmp_path,
            AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"),
            AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY="1",
            AIRFLOW_VAR_ENGAGEMENT_OUTPUT=f"file://{tmp_path}/counts.jsonl",
            AIRFLOW_VAR_ENGAGEMENT_TWEET_IDS="gs://my-bucket/tweet_ids.txt",
        )
    for name in dags:
        assert re.search(rf"DagRun Finished: dag_id={name},.* state=success", output), output[
            -6000:
        ]
    counts = bigquery.rows("SELECT COUNT(DISTINCT account) n FROM reporting.engagement_totals")
    assert counts == [{"n": len(OWNERS)}]
    for block in blocks("sql"):
        # Not query_and_wait, for which the emulator turns an error into no rows.
        rows = list(bigquery.client.query(block.text).result())
        assert rows or block.text.startswith("CREATE"), f"{block} finds nothing"


@contextmanager
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    """Run a simulator and set the connections that the pages name."""
    with Simulator(World(seed=7, accounts=tuple(OWNERS))) as service:
        for owner in OWNERS:
            connect(monkeypatch, service.connection(owner), f"engagement_{owner}")
        connect(monkeypatch, service.connection(next(iter(OWNERS))), "engagement_default")
        yield service


@pytest.mark.parametrize("block", **named(list(blocks("bash"))))
def test_commands_work(
    block: Block,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commands = [line for line in block.text.replace("\\\n", " ").splitlines() if line]
    checked = [line for line in commands if line.startswith(tuple(CHECKED))]
    assert checked in ([], commands), (
        f"{block} mixes commands that are executed with commands that are only checked"
    )
    for command in checked:
        check_command(command)
    if checked:
        return
    home: Path = request.getfixturevalue("airflow_home")
    # Each block has its own database, because two pages may add the same connection.
    shutil.copy(home / "unused.db", tmp_path / "airflow.db")
    python_files(tmp_path, block.page)
    settings = {
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "dags"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
    }
    with simulated(monkeypatch):
        run(["bash", "-euo", "pipefail", "-c", block.text], tmp_path, **settings)
    for connection in connections_in(block.text):
        check_connection(connection, monkeypatch)


def connections_in(script: str) -> Iterator[dict[str, Any]]:
    """Yield the connections of type ``engagement`` that a script adds or exports."""
    for command in script.replace("\\\n", " ").split("\nairflow "):
        words = shlex.split(command)
        options = dict(pairwise(words))
        if options.get("--conn-type") == "engagement":
            yield {
                "conn_type": options["--conn-type"],
                "login": options["--conn-login"],
                "password": options["--conn-password"],
                "extra": json.loads(options["--conn-extra"]),
            }
        for word in words:
            name, _, value = word.partition("=")
            if name.startswith("AIRFLOW_CONN_") and value.startswith("{"):
                yield json.loads(value)


def check_connection(connection: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that the hook reads a connection and knows all of its extras."""
    assert {f"extra.{name}" for name in connection["extra"]} <= NAMES["field"]
    connect(monkeypatch, connection)
    assert EngagementHook(CONN_ID).get_settings().account == connection["extra"]["account"]


def check_command(command: str) -> None:
    words = command.split("#", maxsplit=1)[0].split()
    if words[0] == "git":
        urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
        assert words[2:] == [urls["Source"]], command
    elif words[0] == "cd":
        assert words[1:] == ["airflow-provider-engagement"], command
    elif words[0] == "make":
        targets = re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert words[1] in targets, command
    elif words[0] == "pip":
        assert words[:2] == ["pip", "install"], command
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        (extras,) = re.findall(r"\.\[(.+)\]", command)
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), command
    else:
        assert (ROOT / f"{words[2].replace('.', '/')}.py").exists(), command


@pytest.mark.parametrize("block", **named(list(blocks("json"))))
def test_json_is_json(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    value = json.loads(block.text)
    if "conn_type" in value:
        check_connection(value, monkeypatch)


def test_results_have_the_shape_that_is_shown(
    bigquery: BigQuery, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs" / "reference" / "operators.md"
    returned, summary = (json.loads(b.text) for b in blocks("json") if b.page == page)
    world = World(seed=7, accounts=("acme",), foreign_share=0.2, deleted_share=0.2)
    ids = world.tweets("acme", 30, since=NOW - timedelta(days=30), until=NOW)
    with Simulator(world) as service:
        connect(monkeypatch, service.connection("acme"))
        ran = execute(
            EngagementToBigQueryOperator(
                task_id="shown",
                tweet_ids=ids,
                destination_table=f"{bigquery.client.project}.{dataset}.shown",
                engagement_conn_id=CONN_ID,
            )
        )
    assert shape(returned) == shape(ran.value)
    assert shape(summary) == shape(ran.summary)


def shape(value: Any) -> Any:
    """Return the keys of an object and of the objects in it; a time as "T" and its zone."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items()}
    if isinstance(value, str) and re.match(r"\d{4}-\d{2}-\d{2}T", value):
        return "T" + re.sub(r"[\d:.-]*\dT[\d:.]+", "", value)
    return [shape(value[0])] if isinstance(value, list) and value else None


@pytest.mark.parametrize("page", **named(pages()))
def test_link_targets_exist(page: Path) -> None:
    for text, target in re.findall(r"\[([^\]]+)\]\(([^)]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"[{text}]({target})"
        assert there.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(there), f"[{text}]({target})"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text).lower().replace(" ", "-") for text in headings}


def test_readme_shows_the_output_of_the_demo() -> None:
    (shown,) = (block.text for block in blocks("text") if block.page == ROOT / "README.md")
    for fact in (
        f"The example DAG {demo.DAG_ID}, on stand-ins",
        f"Put an export of {demo.TWEETS} Tweets into {demo.TWEET_IDS}",
        f"{demo.TABLE}: ",
        f"{demo.TABLE}_coverage: ",
        f"Next: copy {demo.DAG_FILE}",
        "/build/demo/report.html",
    ):
        assert fact in shown


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        if page.name != "index.md":
            assert f"({page.relative_to(ROOT / 'docs')})" in index, page.name


@made_on_3
@pytest.mark.parametrize("page", **named(pages()))
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert renewed(text) == text, "run: python -m tools.docs"


def test_every_parameter_is_documented() -> None:
    for name, face in faces().items():
        docs = "".join(base.__doc__ or "" for base in face.__mro__)
        assert set(parameters(face)) <= set(re.findall(r":param (\w+):", docs)), name


@made_on_3
def test_every_generated_part_is_on_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    texts = "".join(page.read_text() for page in pages())
    assert {name for name in PARTS if f"<!-- from code: {name} -->" not in texts} == set()
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("page", **named(pages()))
def test_tables_name_what_exists(page: Path) -> None:
    for head, names in tables(page):
        assert names <= NAMES.get(head, names), head


def tables(page: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield the head of each table's first column, and the names in that column."""
    table = re.compile(r"^\| ([\w`]+) \|.*\n\| ---.*\n((?:\|.*\n?)*)", re.MULTILINE)
    for head, body in table.findall(prose(page)):
        cells = (row.split("|")[1] for row in body.splitlines())
        yield head, {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_connection_tables_list_every_field() -> None:
    # The README leaves out the port, which only Airflow's test button needs.
    for page, fields in (
        (ROOT / "README.md", NAMES["field"] - {"port"}),
        (ROOT / "docs" / "how-to" / "connection.md", NAMES["field"]),
    ):
        found = [names for head, names in tables(page) if head == "field"]
        assert found == [fields], page


@pytest.mark.parametrize("page", **named(pages()))
def test_class_names_exist(page: Path) -> None:
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    known = set(re.findall(r"^class (\w+)", code, re.MULTILINE))
    assert set(re.findall(r"\bEngagement[A-Z0-9]\w+", page.read_text())) <= known
    assert not re.search(r"/(work|root|home|usr)/", page.read_text())


def test_readme_names_the_tested_versions() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    for variable, outcome in (("TESTED_ON", "all tests"), ("MATRIX", "a few tests of the wheel")):
        (tested,) = re.findall(rf"^{variable} \?= (.+)$", makefile, re.MULTILINE)
        versions = []
        for name in tested.split():
            pins = (ROOT / "requirements" / f"airflow-{name}.txt").read_text()
            versions += re.findall(r"^apache-airflow==([\d.]+)", pins, re.MULTILINE)
        listed = re.findall(rf"^\| Airflow (.+?) \| {outcome}\b", readme, re.MULTILINE)
        assert sorted(", ".join(listed).split(", ")) == sorted(versions)


@pytest.mark.parametrize("page", **named(pages()))
def test_modules_named_in_prose_exist(page: Path) -> None:
    for name in set(re.findall(r"`((?:\w+/)+\w*(?:\.py)?)`", prose(page))):
        assert (PACKAGE / name).exists() or (ROOT / name).exists(), name


def test_architecture_lists_the_modules_that_exist() -> None:
    text = ARCHITECTURE.read_text()
    (section,) = re.findall(r"^## Modules\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    listed = set()
    for package, body in re.findall(
        r"^### `([^`]+)/`\n(.*?)(?=^###|\Z)", section, re.MULTILINE | re.DOTALL
    ):
        folder = PACKAGE if package == PACKAGE.name else PACKAGE / package
        rows = re.findall(r"^\| `(\w+)` \| (\S.*) \|$", body, re.MULTILINE)
        listed |= {folder / "__init__.py", *(folder / f"{name}.py" for name, _ in rows)}
    assert listed == set(PACKAGE.rglob("*.py"))


def test_architecture_shows_the_layers_that_imports_are_tested_for() -> None:
    (layers,) = (block.text for block in blocks("text") if block.page == ARCHITECTURE)
    shown = [re.findall(r"(\w+)/ ", line) for line in layers.splitlines()]
    assert [set(names) for names in reversed(shown)] == [
        set(layer) - NOT_A_LAYER for layer in LAYERS if set(layer) - NOT_A_LAYER
    ]


def test_architecture_names_the_functions_of_a_pull() -> None:
    steps = re.findall(r"^\d+\. `(\S+\.py)` `([\w.]+)`: ", ARCHITECTURE.read_text(), re.MULTILINE)
    assert len(steps) == 10
    for path, name in steps:
        found: Any = importlib.import_module(module_name(PACKAGE / path))
        for part in name.split("."):
            found = getattr(found, part)
        assert inspect.getmodule(found).__name__ == module_name(PACKAGE / path), name


def test_messages_of_the_connection_test_are_those_of_the_code() -> None:
    page = ROOT / "docs" / "how-to" / "test-the-connection.md"
    quoted = re.findall(r'^\| "(.+?)"', page.read_text(), re.MULTILINE)
    assert len(quoted) > 5
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    texts = re.sub(r'"\s*\n\s*f?"', "", code)
    assert [text for text in quoted if text not in texts] == []


@pytest.mark.parametrize("folder", ["airflow_provider_engagement", "example_dags", "tools"])
def test_files_named_in_code_exist(folder: str) -> None:
    files = [str(path) for path in ROOT.glob("[!.]*/**/*") if ".venv" not in path.parts]
    for path in (ROOT / folder).rglob("*.py"):
        for name in re.findall(r"\w[\w./-]*/[\w.-]+\.(?:py|md)\b", path.read_text()):
            assert any(file.endswith(f"/{name}") for file in files), f"{path.name}: {name}"


@pytest.mark.parametrize("page", **named(pages()))
def test_prose_is_plain(page: Path) -> None:
    text = re.sub(r"<!-- from code.*?<!-- end -->", "", prose(page), flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\"[^\"]*\"", "", text)
    assert UNPLAIN.findall(text) == []


def test_the_table_of_metrics_lists_what_is_counted() -> None:
    page = ROOT / "docs" / "reference" / "operators.md"
    (listed,) = (names for head, names in tables(page) if head == "metric")
    code = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert listed == set(re.findall(r'Stats\.\w+\(\s*"([\w.]+)"', code))
