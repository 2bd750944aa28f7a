"""Makes Python look for Airflow's providers beside this file first.

Copied into an environment that is laid over another. All providers lie in the one package
``airflow``, which Python finds in the other environment; a provider here would stay hidden.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path


class OwnProviders:
    """A finder for providers that are installed beside this file."""

    @staticmethod
    def find_spec(name: str, *_: object) -> ModuleSpec | None:
        """Return where a provider's module is, or None to ask the next finder."""
        if not name.startswith("airflow.providers."):
            return None
        folder = Path(__file__).parent.joinpath(*name.split(".")[:-1])
        spec = PathFinder.find_spec(name, [str(folder)])
        return spec if spec and spec.loader else None  # a folder without code is no module


sys.meta_path.insert(0, OwnProviders)
