"""What the tests that need Airflow's Google provider share."""

from __future__ import annotations

import importlib.metadata

import pytest


@pytest.fixture(autouse=True)
def _google_provider() -> None:
    """Fail, and not skip, where the provider is missing: nothing would have been tested."""
    try:
        importlib.metadata.version("apache-airflow-providers-google")
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("The Google provider is not installed here: run `make test-google`")
