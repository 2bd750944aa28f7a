"""The connection form: described once, taken by both Airflows, and read by the hook."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.resources
import inspect
import json
import re
from typing import Any

import jsonschema
import pytest
from airflow.providers.common.compat.sdk import redact
from airflow.providers_manager import ProvidersManager
from run_operator import CONN_ID, connect

from airflow_provider_engagement import get_provider_info as module
from airflow_provider_engagement.api.settings import (
    DEFAULT_HOST,
    DEFAULT_OAUTH2_ENDPOINT,
    Credentials,
    Secret,
    Settings,
)
from airflow_provider_engagement.api.spec import EndpointName
from airflow_provider_engagement.get_provider_info import get_provider_info
from airflow_provider_engagement.hooks import form
from airflow_provider_engagement.hooks.connection import PLAIN_EXTRAS, SECRET_EXTRAS
from airflow_provider_engagement.hooks.engagement import EngagementHook

AIRFLOW = int(importlib.metadata.version("apache-airflow").partition(".")[0])
ONLY_3 = pytest.mark.skipif(AIRFLOW < 3, reason="Airflow 3 reads the metadata")
ONLY_2 = pytest.mark.skipif(AIRFLOW > 2, reason="Airflow 2 asks the hook")

# What Airflow's own modules bring up when it looks for hooks is not ours to mend.
NOT_OURS = pytest.mark.filterwarnings("ignore")

TYPE = get_provider_info()["connection-types"][0]
FIELDS: dict[str, Any] = TYPE["conn-fields"]
SECRETS = {"access_token", "access_token_secret", "bearer_token"}


def schema(name: str) -> Any:
    return json.loads(importlib.resources.files("airflow").joinpath(name).read_text())


def test_metadata_is_a_literal() -> None:
    # It runs in every process of Airflow: what computes nothing cannot fail.
    (function,) = ast.parse(inspect.getsource(module.get_provider_info)).body
    assert isinstance(function, ast.FunctionDef)
    docstring, returned = function.body
    assert isinstance(docstring, ast.Expr)
    assert isinstance(returned, ast.Return)
    assert returned.value is not None
    assert ast.literal_eval(returned.value) == get_provider_info()


def test_metadata_fits_the_schema_that_airflow_checks() -> None:
    info = get_provider_info()
    jsonschema.validate(info, schema("provider_info.schema.json"))
    installed = importlib.metadata.metadata(info["package-name"])
    assert installed["Name"] == info["package-name"]


@ONLY_3
def test_form_fits_the_schema_that_airflow_does_not_check() -> None:
    properties = schema("provider.yaml.schema.json")["properties"]
    jsonschema.validate(get_provider_info()["connection-types"], properties["connection-types"])


def test_field_behaviour_fits_the_schema_of_airflow_2() -> None:
    behaviour = EngagementHook.get_ui_field_behaviour()
    if AIRFLOW == 2:
        jsonschema.validate(behaviour, schema("customized_form_field_behaviours.schema.json"))
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert behaviour == form.field_behaviour()


def test_hook_and_form_have_the_same_fields() -> None:
    assert TYPE["connection-type"] == EngagementHook.conn_type
    assert TYPE["hook-name"] == EngagementHook.hook_name
    assert TYPE["hook-class-name"] == f"{EngagementHook.__module__}.{EngagementHook.__name__}"
    assert set(FIELDS) == {*SECRET_EXTRAS, *PLAIN_EXTRAS}
    assert set(TYPE["ui-field-behaviour"]["placeholders"]) <= {
        *FIELDS,
        *("host", "port", "login", "password"),
    }


def test_the_form_and_the_hook_treat_the_same_fields_as_secrets() -> None:
    formats = {name: field["schema"].get("format") for name, field in FIELDS.items()}
    assert {name for name, kind in formats.items() if kind == "password"} == SECRETS
    assert set(SECRET_EXTRAS) == SECRETS
    # It goes by the names.
    shown = redact(dict.fromkeys(FIELDS, "something"))
    assert {name for name, text in shown.items() if text == "***"} == SECRETS


def test_every_field_is_explained_and_none_is_filled_in() -> None:
    for name, field in FIELDS.items():
        assert field["label"], name
        assert field["description"].endswith("."), name
        assert "null" in field["schema"]["type"], name
        assert "default" not in field["schema"], name


def test_the_help_texts_name_the_right_defaults() -> None:
    plain = Settings(Credentials(bearer_token=Secret("x")), account="a")
    matches = {
        name: re.search(r"Empty: (.+)\.", field["description"]) for name, field in FIELDS.items()
    }
    found = {name: match[1] for name, match in matches.items() if match}
    assert found["max_concurrency"] == str(plain.max_concurrency)
    assert float(found["timeout"]) == plain.timeout
    assert found["oauth2_endpoint"] == DEFAULT_OAUTH2_ENDPOINT
    assert TYPE["ui-field-behaviour"]["placeholders"]["host"] == DEFAULT_HOST
    sample = re.search(r"\{.*\}", FIELDS["requests_per_minute"]["description"])
    assert sample
    assert set(json.loads(sample[0])) == set(EndpointName)


@ONLY_3
@NOT_OURS
def test_airflow_3_takes_every_field() -> None:
    manager = ProvidersManager()
    hook = manager.hooks["engagement"]
    assert hook is not None
    assert hook.connection_testable
    taken = {
        widget.field_name: widget.field["schema"]
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith("extra__engagement__")
    }
    assert {name: schema["title"] for name, schema in taken.items()} == {
        name: field["label"] for name, field in FIELDS.items()
    }


@ONLY_2
@NOT_OURS
def test_airflow_2_takes_every_field() -> None:
    manager = ProvidersManager()
    hook = manager.hooks["engagement"]
    assert hook is not None
    assert hook.connection_testable
    taken = {
        widget.field_name: widget
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith("extra__engagement__")
    }
    assert {name: widget.field.kwargs["label"] for name, widget in taken.items()} == {
        name: field["label"] for name, field in FIELDS.items()
    }
    assert {name for name, widget in taken.items() if widget.is_sensitive} == SECRETS
    assert manager.field_behaviours["engagement"]["relabeling"]["login"] == "API key"
    placeholders = manager.field_behaviours["engagement"]["placeholders"]
    assert placeholders["extra__engagement__account"] == "acme"


# Seen in the forms: Airflow 3 saves every field that was left alone as null, Airflow 2 a number as
# null, a switch as false, and an object that it was given as Python writes it.
UNTOUCHED_BY_3: dict[str, Any] = dict.fromkeys(FIELDS)
UNTOUCHED_BY_2 = {"max_concurrency": None, "strict_range": False}
FILLED_BY_3 = {"requests_per_minute": {"totals": 300}, "max_concurrency": 4, "timeout": 12.5}
FILLED_BY_2 = {
    "requests_per_minute": "{'totals': 300}",
    "max_concurrency": 4,
    "timeout": "12.5",
    "strict_range": False,
}


def read(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], **fields: Any) -> Settings:
    keys = {"conn_type": "engagement", "login": "a-key", "password": "a-secret"}
    connect(monkeypatch, {**keys, **fields, "extra": extra})
    return EngagementHook(CONN_ID).get_settings()


@pytest.mark.parametrize("extra", [UNTOUCHED_BY_3, UNTOUCHED_BY_2], ids=["3", "2"])
def test_fields_left_alone_have_the_defaults(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
) -> None:
    settings = read(monkeypatch, extra)
    assert settings == Settings(settings.credentials, account=CONN_ID)
    assert not settings.credentials.has_owner


@pytest.mark.parametrize("extra", [FILLED_BY_3, FILLED_BY_2], ids=["3", "2"])
def test_both_forms_are_read_alike(monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]) -> None:
    settings = read(monkeypatch, extra)
    assert settings.requests_per_minute == {EndpointName.TOTALS: 300}
    assert (settings.max_concurrency, settings.timeout) == (4, 12.5)


def test_the_default_port_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read(monkeypatch, {}, host=DEFAULT_HOST, port=443)
    assert settings.host == DEFAULT_HOST
