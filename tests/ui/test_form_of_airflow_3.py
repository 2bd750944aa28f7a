"""The connection form of Airflow 3 in a real browser, and the daily example run with it.

The form is filled in once, for all tests; the tests then check what it saved. With
``PICTURES`` set to a folder (``make pictures``) the pictures of the docs are written into it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_engagement.api.settings import Secret
from airflow_provider_engagement.get_provider_info import get_provider_info
from airflow_provider_engagement.simulator import Simulator, World
from tools.process import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from ui.conftest import Stage

    from tools.ui import Ui

CONN_ID, BARE = "engagement_default", "engagement_bare"
ACCOUNT = "acme_corp"
DAG_ID, TASK_ID = "engagement_daily", "totals_to_bigquery"
FORM = get_provider_info()["connection-types"][0]
FIELDS: dict[str, Any] = FORM["conn-fields"]
SECRETS = ("access_token", "access_token_secret", "bearer_token")

SERVER = {"_AIRFLOW_PROCESS_CONTEXT": "server"}

# Reads connections with the hook, and prints what it read.
READ = """
import dataclasses, json, sys
from airflow_provider_engagement.hooks.engagement import EngagementHook

def shown(value):
    return value.reveal() if value else value

for conn_id in sys.argv[1:]:
    settings = EngagementHook(conn_id).get_settings()
    names = [field.name for field in dataclasses.fields(settings)]
    read = {name: getattr(settings, name) for name in names}
    held = read.pop("credentials")
    names = [field.name for field in dataclasses.fields(held)]
    read |= {name: shown(getattr(held, name)) for name in names}
    print("READ", json.dumps(read))
"""


@dataclass(frozen=True, slots=True)
class PollResult:
    """What the form showed before it was saved."""

    standard: str
    own: str
    kinds: dict[str, str | None]
    placeholders: dict[str, str | None]


def one_line(text: str) -> str:
    return " ".join(text.split())


def standard_fields(stage: Stage, conn_id: str) -> dict[str, str]:
    """Give what Airflow's own fields hold. "Test" of Airflow 3.3.2 needs a port of its own."""
    url = urlsplit(stage.connection["host"])
    return {
        "connection_id": conn_id,
        "host": f"{url.scheme}://{url.hostname}",
        "port": str(url.port),
        "login": stage.connection["login"],
        "password": stage.connection["password"],
    }


@pytest.fixture(scope="module")
def seen(stage: Stage, ui: Ui, pictures: Path) -> PollResult:
    """Fill in every field of the form, take pictures, and save it."""
    form = ui.new_connection(FORM["hook-name"])
    standard = form.dialog.text
    names = ("host", "port", "login", "password")
    placeholders = {name: form.field(name).get_attribute("placeholder") for name in names}
    form.fill(standard_fields(stage, CONN_ID) | {"description": "Tweets of Acme"})
    form.unfold("Extra Fields", "element_account")
    form.fill({f"element_{name}": text for name, text in stage.connection["extra"].items()})
    numbers = {
        "requests_per_minute": json.dumps(stage.limits),
        "max_concurrency": "4",
        "timeout": "12.5",
    }
    form.fill({f"element_{name}": text for name, text in numbers.items()})
    form.switch("element_strict_range")
    kinds = {name: form.kind(f"element_{name}") for name in FIELDS}
    own = form.dialog.text
    ui.picture(pictures / "connection-form.png", form.dialog)
    form.save()
    return PollResult(one_line(standard), one_line(own), kinds, placeholders)


@pytest.fixture(scope="module")
def bare(stage: Stage, ui: Ui) -> str:
    """Save a connection with the form's own fields left untouched."""
    form = ui.new_connection(FORM["hook-name"])
    form.fill(standard_fields(stage, BARE))
    form.save()
    return BARE


@pytest.fixture(scope="module")
def pressed(ui: Ui, seen: PollResult, pictures: Path) -> tuple[bool, str]:
    """Press Test beside the connection."""
    assert seen
    answer = ui.test_connection(CONN_ID)
    ui.picture(pictures / "connection-test.png")
    return answer


@pytest.fixture(scope="module")
def faults(stage: Stage) -> dict[str, str]:
    """Press Test for connections with one fault each; return the messages."""
    good = stage.connection
    with Simulator(World(accounts=("acme",)), app_enabled=False) as not_enabled:
        faulty: dict[str, dict[str, Any]] = {
            "key": {**good, "password": "canary-secret-1+/="},
            "token": {**good, "extra": {**good["extra"], "access_token": "canary-token-2+/="}},
            "app": not_enabled.connection("acme"),
            "network": {**good, "host": "http://127.0.0.1:9"},
        }
        return {name: told_of(stage, connection) for name, connection in faulty.items()}


def told_of(stage: Stage, connection: dict[str, Any]) -> str:
    body = {**connection, "connection_id": "another", "extra": json.dumps(connection["extra"])}
    answer = stage.airflow.call("POST", "connections/test", body)
    assert answer["status"] is False
    return str(answer["message"])


@pytest.fixture(scope="module")
def ran(stage: Stage, seen: PollResult) -> str:
    """Run the daily example with the connection from the form; return the run's id."""
    assert seen
    airflow = stage.airflow
    airflow.call("PATCH", f"dags/{DAG_ID}", {"is_paused": False})
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for run in airflow.call("GET", f"dags/{DAG_ID}/dagRuns")["dag_runs"]:
            if run["state"] in {"success", "failed"}:
                assert run["state"] == "success", airflow.tail(60)
                return str(run["dag_run_id"])
        time.sleep(0.5)
    pytest.fail(f"The run of {DAG_ID} did not end. {airflow.tail(60)}")


def read_back(stage: Stage, *conn_ids: str) -> list[dict[str, Any]]:
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", READ, *conn_ids],
        # Outside of a task, a server's process alone may read the database.
        env={**clean_environment(), **stage.airflow.environment, **SERVER},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("READ ")]
    return [json.loads(line.removeprefix("READ ")) for line in lines]


def test_every_field_is_labelled_and_explained(seen: PollResult) -> None:
    for label in FORM["ui-field-behaviour"]["relabeling"].values():
        assert label in seen.standard
    assert "Schema" not in seen.standard
    for field in FIELDS.values():
        assert one_line(field["label"]) in seen.own
        assert one_line(field["description"]) in seen.own
    hints = FORM["ui-field-behaviour"]["placeholders"]
    assert seen.placeholders == {name: hints[name] for name in seen.placeholders}


def test_secret_fields_hide_what_is_typed(seen: PollResult) -> None:
    hidden = {name for name, kind in seen.kinds.items() if kind == "password"}
    assert hidden == set(SECRETS)


def test_rest_api_returns_the_fields_without_secrets(stage: Stage, seen: PollResult) -> None:
    assert seen
    saved = stage.airflow.call("GET", f"connections/{CONN_ID}")
    assert saved["conn_type"] == "engagement"
    assert saved["description"] == "Tweets of Acme"
    assert saved["password"] == "***"
    extra = json.loads(saved["extra"])
    assert extra == {
        **dict.fromkeys(SECRETS, "***"),
        "account": ACCOUNT,
        "oauth2_endpoint": stage.connection["extra"]["oauth2_endpoint"],
        "requests_per_minute": stage.limits,
        "max_concurrency": 4,
        "timeout": 12.5,
        "rate_limit_conn_id": None,
        "strict_range": True,
    }


def test_untouched_fields_are_not_saved(stage: Stage, bare: str) -> None:
    saved = stage.airflow.call("GET", f"connections/{bare}")
    assert json.loads(saved["extra"]) == dict.fromkeys(FIELDS)


def test_hook_reads_what_the_form_saved(stage: Stage, seen: PollResult, bare: str) -> None:
    assert seen
    full, empty = read_back(stage, CONN_ID, bare)
    keys = {
        "host": stage.connection["host"],
        "consumer_key": stage.connection["login"],
        "consumer_secret": stage.connection["password"],
    }
    assert full == {
        **keys,
        **stage.connection["extra"],
        "requests_per_minute": stage.limits,
        "max_concurrency": 4,
        "timeout": 12.5,
        "rate_store": None,
        "strict_range": True,
    }
    assert empty == {
        **keys,
        **dict.fromkeys(SECRETS),
        "account": bare,
        "oauth2_endpoint": "https://api.x.com/oauth2/token",
        "requests_per_minute": {},
        "max_concurrency": 8,
        "timeout": 60,
        "rate_store": None,
        "strict_range": False,
    }


def test_button_shows_account_access_and_limits(stage: Stage, pressed: tuple[bool, str]) -> None:
    well, message = pressed
    assert well, message
    assert message.startswith(f"Account {ACCOUNT}, at {stage.connection['host']}.")
    assert "totals, 28hr, historical" in message
    assert "totals 300, 28hr 60, historical 300" in message


def test_each_fault_has_its_own_message(faults: dict[str, str]) -> None:
    begins = {
        "key": "The API key or the API secret is wrong.",
        "token": "The API key and secret are right, the owner's tokens are not.",
        "app": "The app is not enabled for the Engagement API.",
        "network": "The Engagement API was not found at http://127.0.0.1:9.",
    }
    assert {name: text[: len(begins[name])] for name, text in faults.items()} == begins


def test_run_looks_as_in_the_pictures_of_the_docs(ui: Ui, ran: str, pictures: Path) -> None:
    ui.open_graph(DAG_ID, ran)
    ui.picture(pictures / "dag-graph.png")
    ui.open_log(DAG_ID, ran, TASK_ID, last_line="Done:")
    ui.picture(pictures / "task-log.png")


def test_pictures_are_small_files(
    pictures: Path, pressed: tuple[bool, str], ui: Ui, ran: str
) -> None:
    assert pressed
    assert ran
    assert ui
    for picture in pictures.glob("*.png"):
        assert 5_000 < picture.stat().st_size < 200_000, picture.name


def test_no_secret_is_in_any_log(
    stage: Stage, pressed: tuple[bool, str], faults: dict[str, str], ran: str
) -> None:
    assert pressed
    assert ran
    held = [stage.connection["password"], "canary-secret-1+/=", "canary-token-2+/="]
    held += [stage.connection["extra"][name] for name in SECRETS]
    encoded_variants = {form for secret in held for form in Secret(secret).encoded_variants()}
    logs = [stage.airflow.log, *(stage.airflow.home / "logs").rglob("*.log")]
    texts = {log: log.read_text(errors="replace") for log in logs}
    assert any(f"task_id={TASK_ID}" in str(log) for log in texts)
    assert "path=/api/v2/connections/test" in texts[stage.airflow.log]
    messages = "\n".join(faults.values())
    for form in encoded_variants:
        assert form not in messages
        assert not [log for log, text in texts.items() if form in text]
