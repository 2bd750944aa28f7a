"""The names that the documentation promises are public, and so are all that it uses."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

from airflow_provider_engagement.hooks.engagement import EngagementHook
from tools.docs import pages
from tools.env import ROOT
from tools.public import commands, public_names

PACKAGE = "airflow_provider_engagement"

# Names that users' DAGs depend on. Never remove one from this list.
PROMISED = {
    "collections": ["read_collection"],
    "hooks.engagement": ["EngagementHook"],
    "operators.engagement": [
        "Engagement28HrOperator",
        "EngagementHistoricalOperator",
        "EngagementTotalsOperator",
    ],
    "operators.report": ["EngagementReportOperator", "EngagementViewsOperator"],
    "sensors.engagement": ["EngagementThresholdSensor"],
    "simulator": ["Simulator", "World"],
    "testing": ["engagement_connection", "engagement_simulator"],
    "transfers.engagement_gcs_to_bigquery": ["EngagementGCSToBigQueryOperator"],
    "transfers.engagement_to_bigquery": ["EngagementToBigQueryOperator"],
    "transfers.engagement_to_gcs": ["EngagementToGCSOperator"],
    "transfers.engagement_tweets_to_bigquery": ["EngagementTweetsToBigQueryOperator"],
    "triggers.engagement": ["EngagementThresholdEventTrigger", "EngagementThresholdTrigger"],
}


@pytest.mark.parametrize("module", PROMISED)
def test_promised_names_are_exported(module: str) -> None:
    path = f"{PACKAGE}.{module}"
    assert set(PROMISED[module]) <= set(public_names()[path])
    for name in PROMISED[module]:
        assert getattr(importlib.import_module(path), name)


def test_promised_methods_and_commands_exist() -> None:
    assert {"get_totals", "get_28hr", "get_historical"} <= set(vars(EngagementHook))
    assert {"engagement", "engagement-simulator"} <= set(commands())


def imports(code: str) -> set[tuple[str, str]]:
    return {
        (str(node.module), alias.name)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == PACKAGE
        for alias in node.names
    }


def test_what_the_documentation_imports_is_public() -> None:
    fence = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    codes = [code for page in pages() for code in fence.findall(page.read_text())]
    codes += [path.read_text() for path in (ROOT / "example_dags").glob("*.py")]
    used = set().union(*map(imports, codes))
    assert (f"{PACKAGE}.hooks.engagement", "EngagementHook") in used
    public = {(module, name) for module, names in public_names().items() for name in names}
    assert used - public == set()


def test_the_page_names_the_oldest_airflow() -> None:
    page = (ROOT / "docs" / "reference" / "stability.md").read_text()
    (oldest,) = re.findall(r'"apache-airflow>=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert f"runs on Airflow {oldest} and on Airflow 3" in page
