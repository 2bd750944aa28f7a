from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

import airflow_provider_engagement
from airflow_provider_engagement.get_provider_info import get_provider_info
from tools.env import ROOT
from tools.metrics import MEDIAN_LENGTH, NINTH_DECILE_LENGTH, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "airflow_provider_engagement"
FOLDER = ROOT / PACKAGE


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(FOLDER.rglob("*.py"))}


def area_of(module: str) -> str:
    """Tell the part of the package that a module is in: a folder, or itself."""
    return module.removeprefix(PACKAGE).removeprefix(".").partition(".")[0]


def modules_of(*areas: str) -> list[str]:
    return [name for name in SOURCES if area_of(name) in areas and not name.endswith("__main__")]


FREE_OF_AIRFLOW = (
    "api",
    "simulator",
    "collections",
    "rows",
    "sinks",
    "pull",
    "thresholds",
    "reports",
)


def in_a_clean_process(code: str) -> Any:
    """Run code in a new interpreter, and read the JSON that it prints last."""
    ran = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


# ---- What an import costs --------------------------------------------------------------------

# What users import where a DAG is parsed; sensors and triggers once they are there.
FOR_DAGS = [
    f"{PACKAGE}.{name}"
    for name in (
        "hooks.engagement",
        "operators.engagement",
        "operators.report",
        "sensors.engagement",
        "triggers.engagement",
        "transfers.engagement_gcs_to_bigquery",
        "transfers.engagement_to_bigquery",
        "transfers.engagement_to_gcs",
        "transfers.engagement_tweets_to_bigquery",
    )
    if f"{PACKAGE}.{name}" in SOURCES
]


@pytest.mark.skipif(not importlib.util.find_spec("airflow.sdk"), reason="Airflow 2 has no SDK")
def test_operators_and_transfers_are_light_to_import() -> None:
    added = in_a_clean_process(
        "import sys, json, airflow.sdk\n"
        "before = set(sys.modules)\n"
        f"import {', '.join(FOR_DAGS)}\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    heavy = {"google", "numpy", "pandas", "pyarrow", "requests", "requests_oauthlib"}
    assert not {name.partition(".")[0] for name in added} & heavy
    assert set(FOR_DAGS) <= set(added)
    assert len(added) <= 40, added


def test_provider_info_is_light_to_import() -> None:
    added = in_a_clean_process(
        "import sys, json\n"
        "before = set(sys.modules)\n"
        f"from {PACKAGE}.get_provider_info import get_provider_info\n"
        "get_provider_info()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    own = {name for name in added if name.startswith(PACKAGE)}
    assert own == {PACKAGE, f"{PACKAGE}.get_provider_info"}
    assert len(added) <= 10, added


def test_pytest_plugin_imports_nothing_that_pytest_has_not() -> None:
    added = in_a_clean_process(
        "import sys, json, pytest\n"
        "before = set(sys.modules)\n"
        f"import {PACKAGE}.testing\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert added == [PACKAGE, f"{PACKAGE}.testing"]


def test_packages_below_hooks_run_without_airflow() -> None:
    modules = modules_of(*FREE_OF_AIRFLOW)
    assert f"{PACKAGE}.pull" in modules
    found = in_a_clean_process(
        "import sys, json\n"
        f"import {', '.join([*modules, f'{PACKAGE}.simulator.__main__'])}\n"
        "names = {name.partition('.')[0] for name in sys.modules}\n"
        "print(json.dumps(sorted(name for name in names if name == 'airflow')))"
    )
    assert found == []


# ---- Names -----------------------------------------------------------------------------------

# Names that stand for the module's siblings, or are reached through the module.
NOT_EXPORTED = {
    f"{PACKAGE}.sinks.bigquery.jobs": {"AnyJob", "Job"},
    f"{PACKAGE}.sinks.writers": {"ROW_GROUP", "check_format"},
}


def tree_of(module: str) -> ast.Module:
    return ast.parse(SOURCES[module].read_text())


def bound_in(module: str) -> Iterator[tuple[str, bool]]:
    """Give each name that a module's top level binds, and whether it is imported."""
    body = tree_of(module).body
    for_types = [statement for statement in body if isinstance(statement, ast.If)]
    for statement in [*body, *(inner for block in for_types for inner in block.body)]:
        match statement:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name, True) for alias in names)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                yield name, False
            case ast.Assign(targets=[target]) | ast.AnnAssign(target=target) if statement in body:
                nodes = (node for node in ast.walk(target) if isinstance(node, ast.Name))
                yield from ((node.id, False) for node in nodes if isinstance(node.ctx, ast.Store))


def exported(module: str) -> list[str] | None:
    for statement in tree_of(module).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                return list(ast.literal_eval(statement.value))
    return None


def in_isort_order(name: str) -> tuple[int, str]:
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


@pytest.mark.parametrize("module", SOURCES)
def test_all_lists_the_public_names_in_order(module: str) -> None:
    names = exported(module)
    bound = list(bound_in(module))
    defined = {name for name, imported in bound if not imported}
    public = {name for name in defined if not name.startswith("_")} - {"log"}
    if names is None:
        assert not public
        return
    assert names == sorted(names, key=in_isort_order)
    assert len(set(names)) == len(names)
    if SOURCES[module].name == "__init__.py":
        assert set(names) <= {name for name, _ in bound}
    elif module == f"{PACKAGE}.simulator.error_responses":
        assert set(names) <= public  # its words are read as error_responses.WORDS
    else:
        assert set(names) == public - NOT_EXPORTED.get(module, set())


@pytest.mark.parametrize("module", SOURCES)
def test_no_module_binds_a_name_twice(module: str) -> None:
    names = [name for name, _ in bound_in(module)]
    assert not {name for name in names if names.count(name) > 1}


def test_no_class_has_the_name_of_another_that_users_see() -> None:
    seen: dict[str, str] = {}
    for module in modules_of("hooks", "operators", "sensors", "transfers", "triggers"):
        for name in exported(module) or ():
            assert seen.setdefault(name, module) == module


# ---- Imports point one way -------------------------------------------------------------------

LAYERS = (
    ("api",),
    ("simulator",),
    ("collections",),
    ("rows",),
    ("sinks",),
    ("pull",),
    ("thresholds",),
    ("reports",),
    ("compat", "get_provider_info"),
    ("hooks",),
    ("triggers", "operators"),
    ("sensors", "transfers"),
    ("cli",),
)
BELOW = {
    area: {name for layer in LAYERS[: place + 1] for name in layer if name != "simulator"}
    for place, layer in enumerate(LAYERS)
    for area in layer
} | {"": set(), "get_provider_info": set(), "simulator": {"simulator"}, "testing": {"simulator"}}
FOR_THE_SIMULATOR = {f"{PACKAGE}.api.spec", f"{PACKAGE}.api.tweet_id"}


def imported_by(module: str) -> set[str]:
    """Give what a module imports of the package: anywhere in it, for its types as well."""
    found = set()
    for node in ast.walk(tree_of(module)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(source), names=names, level=level):
                assert level == 0, "relative imports hide where they lead"
                whole = {f"{source}.{alias.name}" for alias in names}
                found |= {name if name in SOURCES else source for name in whole}
    return {name for name in found if name.partition(".")[0] == PACKAGE}


@pytest.mark.parametrize("module", SOURCES)
def test_imports_point_down(module: str) -> None:
    area = area_of(module)
    for name in imported_by(module) - {PACKAGE}:
        if area == "simulator" and name in FOR_THE_SIMULATOR:
            continue
        assert area_of(name) in BELOW[area], f"{module} imports {name}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = {module: imported_by(module) & SOURCES.keys() - {module} for module in SOURCES}
    while free := [module for module, others in imports.items() if not others]:
        for module in free:
            del imports[module]
        for others in imports.values():
            others.difference_update(free)
    assert imports == {}


@pytest.mark.parametrize("module", modules_of(*FREE_OF_AIRFLOW))
def test_no_function_below_hooks_imports_airflow(module: str) -> None:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] != "airflow"
        elif isinstance(node, ast.Import):
            assert not [a for a in node.names if a.name.partition(".")[0] == "airflow"]


# ---- What Airflow reads --------------------------------------------------------------------


def schema(name: str) -> Any:
    return json.loads(importlib.resources.files("airflow").joinpath(name).read_text())


def test_provider_info_is_what_airflow_accepts() -> None:
    jsonschema.validate(get_provider_info(), schema("provider_info.schema.json"))


def test_the_connection_form_is_what_airflow_3_accepts() -> None:
    if not importlib.resources.files("airflow").joinpath("provider.yaml.schema.json").is_file():
        pytest.skip("this Airflow does not know of forms in provider info")
    form = schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], form)


def test_provider_info_is_of_this_distribution() -> None:
    info = get_provider_info()
    distribution = importlib.metadata.distribution(info["package-name"])
    assert distribution.metadata["Name"] == info["package-name"]
    assert info["versions"][0] == distribution.version == airflow_provider_engagement.__version__
    (point,) = distribution.entry_points.select(group="apache_airflow_provider")
    assert point.load() is get_provider_info
    assert not info["package-name"].startswith("apache-airflow")


def paths_in(info: object) -> Iterator[str]:
    if isinstance(info, dict):
        for value in info.values():
            yield from paths_in(value)
    elif isinstance(info, list):
        for value in info:
            yield from paths_in(value)
    elif isinstance(info, str) and info.startswith(f"{PACKAGE}."):
        yield info


def test_all_that_provider_info_names_is_there() -> None:
    paths = list(paths_in(get_provider_info()))
    assert f"{PACKAGE}.hooks.engagement.EngagementHook" in paths
    for path in paths:
        module, _, name = path.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name))


def test_the_form_has_the_fields_that_the_hook_reads() -> None:
    from airflow_provider_engagement.hooks import connection as reader
    from airflow_provider_engagement.hooks import engagement

    (connection,) = get_provider_info()["connection-types"]
    hook = engagement.EngagementHook
    assert connection["connection-type"] == hook.conn_type
    assert connection["hook-name"] == hook.hook_name
    fields = connection["conn-fields"]
    source = inspect.getsource(reader)
    assert all(f'"{name}"' in source for name in fields)
    # Airflow masks an extra by its name, and a form hides what is typed by its format.
    secret = {name for name in fields if re.search("token|secret|password", name)}
    assert {
        name for name, field in fields.items() if field["schema"].get("format") == "password"
    } == secret - {"oauth2_endpoint"}


# ---- Operators -------------------------------------------------------------------------------


def operators() -> dict[str, Any]:
    """Give every operator that users see, by its name."""
    from airflow.providers.common.compat.sdk import BaseOperator

    from airflow_provider_engagement.sensors.engagement import EngagementThresholdSensor

    found = {}
    for module in FOR_DAGS:
        loaded = importlib.import_module(module)
        for name in loaded.__all__:
            kind = getattr(loaded, name)
            is_operator = inspect.isclass(kind) and issubclass(kind, BaseOperator)
            if is_operator and not issubclass(kind, EngagementThresholdSensor):
                found[name] = kind
    return found


def parameters_of(kind: Any) -> set[str]:
    return {
        name
        for base in kind.__mro__
        if base.__module__.startswith(PACKAGE) and "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


# Fixed lists, and what Airflow itself reads: no template is to change them.
NOT_TEMPLATED = {
    "endpoint",
    "file_format",
    "granularity",
    "incomplete",
    "layout",
    "reposts",
    "retries",
    "retry_policy",
    "write_mode",
}


@pytest.mark.parametrize("name", operators())
def test_every_parameter_but_the_fixed_lists_is_templated(name: str) -> None:
    from airflow_provider_engagement.operators.base import EngagementPullOperator

    kind = operators()[name]
    parameters = parameters_of(kind)
    assert parameters - NOT_TEMPLATED == set(kind.template_fields)
    connections = {parameter for parameter in parameters if parameter.endswith("_conn_id")}
    pulls = issubclass(kind, EngagementPullOperator)
    assert ("engagement_conn_id" if pulls else "gcp_conn_id") in connections
    assert connections <= set(kind.template_fields)
    assert set(kind.template_fields_renderers) <= set(kind.template_fields)
    assert len(set(kind.template_fields)) == len(kind.template_fields)


@pytest.mark.parametrize("name", operators())
def test_templated_fields_are_stored_unchanged(name: str) -> None:
    kind = operators()[name]
    given: dict[str, Any] = {field: f"{{{{ {field} }}}}" for field in kind.template_fields}
    if "tweet_ids" in given:
        given["tweet_ids"] = ["{{ tweet_id }}"]
    if "endpoint" in inspect.signature(kind.__init__).parameters:
        given["endpoint"] = "historical"
    operator = kind(task_id="kept", **given)
    for field in kind.template_fields:
        assert getattr(operator, field) is given[field]


@pytest.mark.parametrize("name", operators())
def test_every_parameter_is_documented(name: str) -> None:
    kind = operators()[name]
    documented = {
        parameter
        for base in kind.__mro__
        if base.__module__.startswith(PACKAGE)
        for parameter in re.findall(r":param (\w+):", base.__doc__ or "")
    }
    assert parameters_of(kind) <= documented


def test_what_is_installed_is_what_is_tested() -> None:
    info = importlib.metadata.distribution("airflow-provider-engagement").read_text(
        "direct_url.json"
    )
    editable = json.loads(info or "{}").get("dir_info", {}).get("editable", False)
    lies_here = airflow_provider_engagement.__file__ == str(FOLDER / "__init__.py")
    assert lies_here is editable
    installed = Path(airflow_provider_engagement.__file__).parent
    differing = [
        str(path.relative_to(FOLDER))
        for path in (*SOURCES.values(), FOLDER / "py.typed")
        if not (there := installed / path.relative_to(FOLDER)).exists()
        or there.read_bytes() != path.read_bytes()
    ]
    assert differing == [], "the wheel is older than the tree: run `make test-2.11`"


# ---- Sizes -----------------------------------------------------------------------------------


def test_modules_and_functions_are_short() -> None:
    found = measure()
    assert found.long_modules == {}
    assert found.length_within(0.5) <= MEDIAN_LENGTH
    assert found.length_within(0.9) <= NINTH_DECILE_LENGTH


# ---- Words -----------------------------------------------------------------------------------

# Names that a reader cannot guess, and words that have to be read twice; spelled so that this
# list is no hit of its own.
RETIRED = re.compile(
    r"\b(?:sp[i]ne|set[t]le|s[t]rangers?|l[a]cking|sp[a]red|t[o]ld|unb[o]rn|f[a]tes?|"
    r"hop[e]less|wh[o]m|nob[o]dy|an[e]w|str[e]tch|T[a]lly|Land[e]d|F[e]tched|Fl[a]ttened|P[i]eces|"
    r"Sl[o]tBook|P[a]ce|sn[a]pped|ask[a]ble|st[e]p_of|M[o]ment|UsageE[r]ror|CredentialsE[r]ror|"
    r"AccessE[r]ror|ThrottledE[r]ror|AnswerE[r]ror|OutOfTimeE[r]ror|MissingCountsE[r]ror)\b"
)


def test_retired_names_and_words_are_not_used() -> None:
    folders = ("airflow_provider_engagement", "example_dags", "tests", "tools")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    found = {
        f"{path.relative_to(ROOT)}: {word}"
        for path in paths
        for word in RETIRED.findall(path.read_text())
    }
    assert found == set()
