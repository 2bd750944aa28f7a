"""Resolves ``requirements/*.in`` to lock files: ``make pins``.

A lock names every package with its version, and no index, path or hash. Markers distinguish
versions of Python, so that one file serves all of them. Runs in ``.venv/pins``, which has uv.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tools.env import ENVIRONMENTS, OLDEST_PYTHON, ROOT

__all__ = ["main"]

# The package's own requirements are in pyproject.toml only.
_EXTRAS: Final = ("bigquery", "postgres", "redis", "report")
_OF_THE_PROJECT: Final = ("pyproject.toml", *(f"--extra={name}" for name in _EXTRAS))


def main() -> int:
    """Write the lock file of every ``.in`` file; return 1 if one cannot be resolved."""
    folder = ROOT / "requirements"
    for environment in ENVIRONMENTS.values():
        wanted = folder / f"{environment.name}.in"
        if not wanted.exists():
            continue
        command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        command += ["--python-version", "{}.{}".format(*OLDEST_PYTHON)]
        command += _OF_THE_PROJECT if environment.project else ()
        # An overlay lists all its packages, because resolving would add those of its base.
        command += ["--no-deps"] if environment.base else []
        resolved = subprocess.run(  # noqa: S603 - our own command
            [*command, wanted], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if resolved.returncode:
            return 1
        header = f"# Every package of .venv/{environment.name}. Written by `make pins`.\n"
        wanted.with_suffix(".txt").write_text(header + resolved.stdout)
        print(f"{wanted.stem}.txt: {len(resolved.stdout.splitlines())} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
