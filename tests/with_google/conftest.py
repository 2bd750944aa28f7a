"""What the tests that need Airflow's Google provider share."""

from __future__ import annotations

import importlib.metadata

import pytest


@pytest.fixture(autouse=True)
def _no_lineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenLineage, whose provider is installed here, speak up only where a test asks it to."""
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLED", "True")


@pytest.fixture(autouse=True)
def _google_provider() -> None:
    """Fail, and not skip, where the provider is missing: nothing would have been tested."""
    try:
        importlib.metadata.version("apache-airflow-providers-google")
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("The Google provider is not installed here: run `make test-google`")
