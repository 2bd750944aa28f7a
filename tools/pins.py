"""Resolves ``requirements/*.in`` to the lock files beside them: ``make pins``.

A lock names every package with its version and nothing else: no index, no path, no hash. Markers
say where Pythons differ, so one file serves each of them. Runs in ``.venv/pins``, which has uv.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tools.env import ENVIRONMENTS, OLDEST_PYTHON, ROOT

__all__ = ["main"]

# What the package itself asks for stands once, in pyproject.toml.
_OF_THE_PROJECT: Final = ("pyproject.toml", "--extra", "bigquery")


def main() -> int:
    """Write every lock file that has a list of wishes; 1 if one cannot be resolved."""
    folder = ROOT / "requirements"
    for environment in ENVIRONMENTS.values():
        wishes = folder / f"{environment.name}.in"
        if not wishes.exists():
            continue
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--python-version", "{}.{}".format(*OLDEST_PYTHON)]
        command += _OF_THE_PROJECT if environment.project else ()
        # What is laid over another lists what it needs: resolved, it would repeat the other's.
        command += ["--no-deps"] if environment.base else []
        resolved = subprocess.run(  # noqa: S603 - our own command
            [*command, wishes], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if resolved.returncode:
            return 1
        header = f"# Every package of .venv/{environment.name}. Written by `make pins`.\n"
        wishes.with_suffix(".txt").write_text(header + resolved.stdout)
        print(f"{wishes.stem}.txt: {len(resolved.stdout.splitlines())} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
