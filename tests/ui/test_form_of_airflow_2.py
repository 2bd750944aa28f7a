"""The connection form of Airflow 2, as its web server makes it and saves it."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_engagement.get_provider_info import get_provider_info

FIELDS: dict[str, Any] = get_provider_info()["connection-types"][0]["conn-fields"]
PREFIX = "extra__engagement__"

# Nobody logs in.
CONFIG = 'AUTH_ROLE_PUBLIC = "Admin"\n'

STANDARD = {
    "conn_type": "engagement",
    "host": "https://data-api.x.com",
    "port": "443",
    "login": "a-key",
    "password": "a-secret",
    **dict.fromkeys(("schema", "description", "extra"), ""),
}
# As a browser sends it: a box that is not ticked is not there.
UNTOUCHED = {PREFIX + name: "" for name in FIELDS if name != "strict_range"}
FILLED = {
    "account": "acme",
    "access_token": "a-token",
    "access_token_secret": "its-secret",
    "requests_per_minute": '{"totals": 300}',
    "max_concurrency": "4",
    "timeout": "12.5",
    "strict_range": "y",
}


@pytest.fixture(scope="module")
def served(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Show the form and save connections: untouched, filled in, and one that makes no sense."""
    assert airflow_home
    config = tmp_path_factory.mktemp("www") / "webserver_config.py"
    config.write_text(CONFIG)
    filled = {**STANDARD, **UNTOUCHED, **{PREFIX + name: text for name, text in FILLED.items()}}
    encoded_variants = [
        {**STANDARD, **UNTOUCHED, "conn_id": "untouched"},
        {**filled, "conn_id": "filled"},
        {**filled, "conn_id": "senseless", PREFIX + "max_concurrency": "65"},
    ]
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-W", "ignore", Path(__file__).with_name("serve_form.py")],
        env={**os.environ, "AIRFLOW__WEBSERVER__CONFIG_FILE": str(config)},
        input=json.dumps(encoded_variants),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert lines, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(lines[0].removeprefix("ANSWER "))
    return answer


def test_every_field_is_labelled_and_explained(served: dict[str, Any]) -> None:
    page = html.unescape(served["page"])
    for name, field in FIELDS.items():
        assert f'name="{PREFIX}{name}"' in page
        assert field["label"] in page
        assert field["description"] in page


def test_secret_fields_hide_what_is_typed(served: dict[str, Any]) -> None:
    inputs = re.findall(rf'<input[^>]*name="{PREFIX}(\w+)"[^>]*type="(\w+)"', served["page"])
    hidden = {name for name, kind in inputs if kind == "password"}
    assert hidden == {"access_token", "access_token_secret", "bearer_token"}
    assert len(inputs) == len(FIELDS)


def test_form_saves_the_fields(served: dict[str, Any]) -> None:
    saved = {conn_id: answer["saved"] for conn_id, answer in served["answers"].items()}
    assert saved["untouched"] == {"max_concurrency": None, "strict_range": False}
    assert saved["filled"] == {**FILLED, "max_concurrency": 4, "strict_range": True}


def test_number_out_of_bounds_is_refused(served: dict[str, Any]) -> None:
    refused = served["answers"]["senseless"]
    assert refused["saved"] is None
    assert "must be between 1 and 64" in refused["page"]
