"""Fixtures of the tests that need Airflow's Google provider."""

from __future__ import annotations

import importlib.metadata

import pytest


@pytest.fixture(autouse=True)
def _no_lineage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disable OpenLineage, whose provider is installed here, unless a test enables it."""
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__DISABLED", "True")


@pytest.fixture(autouse=True)
def _google_provider() -> None:
    """Fail instead of skipping where the provider is missing."""
    try:
        importlib.metadata.version("apache-airflow-providers-google")
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("The Google provider is not installed here: run `make test-google`")
