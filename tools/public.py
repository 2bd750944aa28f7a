"""The names that docs/reference/stability.md promises: modules, what they export, and commands."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from typing import TYPE_CHECKING, Final

from tools.env import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands", "public_names"]

_PACKAGE: Final = "airflow_provider_engagement"

# A module in one of these folders is public if all names that it exports begin with the prefix.
_FOLDERS: Final = ("hooks", "operators", "sensors", "transfers", "triggers")
_PREFIX: Final = "Engagement"

# These modules are public too.
_MODULES: Final = ("api.errors", "collections", "operators.retry_policy", "simulator", "testing")

# These are not: operators share them, and they may change at any time.
_PRIVATE: Final = frozenset({"operators.base", "operators.links", "transfers.base"})


def public_names() -> dict[str, list[str]]:
    """Return what each public module exports: its ``__all__``."""
    found = {}
    for name in sorted({*_MODULES, *_modules_for_dags()}):
        module = importlib.import_module(f"{_PACKAGE}.{name}")
        found[module.__name__] = list(module.__all__)
    return found


def commands() -> list[str]:
    """Return the commands that the package installs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sorted(project["scripts"])


def _modules_for_dags() -> Iterator[str]:
    for folder in _FOLDERS:
        package = importlib.import_module(f"{_PACKAGE}.{folder}")
        for info in pkgutil.iter_modules(package.__path__):
            name = f"{folder}.{info.name}"
            exported = getattr(importlib.import_module(f"{_PACKAGE}.{name}"), "__all__", ())
            if name not in _PRIVATE and exported and all(n.startswith(_PREFIX) for n in exported):
                yield name
