"""Makes the environments below ``.venv/`` from the lock files in ``requirements/``.

``python -m tools.env airflow-3.3 emulators`` makes both in parallel, or does nothing if they are up
to date. An environment is remade when its lock file or its interpreter changes, and the project is
reinstalled when its packaging changes. Uses the standard library only, because it runs before any
package is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["ENVIRONMENTS", "ROOT", "Environment", "EnvironmentFailure", "Workshop", "main"]

ROOT: Final = Path(__file__).resolve().parent.parent

OLDEST_PYTHON: Final = (3, 11)

# Prints the interpreter that a venv is based on, or fails if it cannot make one: Debian ships
# ensurepip separately, and the shim of a version manager may name a version that is not installed.
# The base interpreter is printed, so that an active venv is not mistaken for another Python.
_PROBE: Final = """
import ensurepip, os, sys, venv
base = getattr(sys, "_base_executable", sys.executable)
print(*sys.version_info[:2], os.path.realpath(base))
"""


# Makes an overlay see the packages of its base after its own, and follow the base's .pth files,
# because one of them names the project.
_OWN_PROVIDERS: Final = Path(__file__).with_name("own_providers.py")
_LAY_OVER: Final = """
import pathlib, shutil, sys, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
base = pathlib.Path(sys.argv[1], own.relative_to(sys.prefix))
shutil.copy(sys.argv[2], own)
(own / "base.pth").write_text(f"import site, own_providers; site.addsitedir({str(base)!r})\\n")
"""


class EnvironmentFailure(Exception):  # noqa: N818 - its text is shown as it is, not its name
    """An environment could not be made. The text says what to do, or has the output of pip."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The contents of an environment.

    :param name: the name of its folder below ``.venv`` and of its lock file in ``requirements``.
    :param project: how the project is installed: ``"editable"``; ``"wheel"``, which is rebuilt
        after each change; or ``""``, not at all.
    :param base: an environment whose packages and project it sees after its own. Its lock file
        then names only the packages that the base does not have in that version.
    :param newest_python: the newest Python that its packages run on; None for any.
    :param finish: code to run in it once, after the packages are installed.
    """

    name: str
    project: str = "editable"
    base: Environment | None = None
    newest_python: tuple[int, int] | None = None
    finish: str = ""


# The BigQuery emulator loads DuckDB's spatial extension when it starts, and would download it.
_IMPORT_SPATIAL: Final = "from duckdb_extensions import import_extension as i; i('spatial')"

_AIRFLOW: Final = Environment("airflow-3.3")

# Tests the wheel, as users install it, and not the source tree.
_AIRFLOW_2: Final = Environment("airflow-2.11", project="wheel", newest_python=(3, 12))

ENVIRONMENTS: Final = {
    environment.name: environment
    for environment in (
        _AIRFLOW,
        Environment("airflow-3.3-google", project="", base=_AIRFLOW),
        _AIRFLOW_2,
        # With the common.compat that Airflow's own constraints name.
        Environment("airflow-3.3-constrained", project="", base=_AIRFLOW),
        Environment("airflow-2.11-constrained", project="", base=_AIRFLOW_2),
        # For `make test-matrix`.
        Environment("airflow-3.0", project="wheel", newest_python=(3, 12)),
        Environment("airflow-3.1", project="wheel", newest_python=(3, 13)),
        Environment("airflow-3.2", project="wheel"),
        # Sphinx imports the package for the API reference.
        Environment("docs", project="", base=_AIRFLOW),
        # With Celery and the driver of PostgreSQL, for `make scale`.
        Environment("airflow-3.3-celery", project="", base=_AIRFLOW),
        Environment("airflow-2.11-celery", project="", base=_AIRFLOW_2),
        Environment("emulators", project="", finish=_IMPORT_SPATIAL),
        # The wheel of Redis exists for Python 3.11 and 3.12 only.
        Environment("servers", project="", newest_python=(3, 12)),
        Environment("pins", project=""),
        Environment("release", project=""),
    )
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes the environments of one checkout.

    :param root: the checkout: ``requirements`` is read, ``.venv`` is written.
    """

    root: Path = ROOT

    def folder(self, environment: Environment) -> Path:
        """Return the folder of an environment."""
        return self.root / ".venv" / environment.name

    def python(self, environment: Environment) -> Path:
        """Return the environment's interpreter."""
        return self.folder(environment) / "bin" / "python"

    def home(self, environment: Environment) -> Path:
        """Return a home folder inside the environment; DuckDB stores extensions in ``$HOME``."""
        return self.folder(environment) / "home"

    def make(self, environment: Environment) -> bool:
        """Make or update the environment; return whether anything was done."""
        base = self.make(environment.base) if environment.base else False
        with self._locked(environment) as lock:
            packages = self._make_packages(environment, lock)
            return self._install_project(environment, lock) or packages or base

    @contextmanager
    def _locked(self, environment: Environment) -> Iterator[int]:
        """Lock the environment against other processes, also while an orphaned pip still runs."""
        folder = self.folder(environment)
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock.fileno()

    def _make_packages(self, environment: Environment, lock: int) -> bool:
        """Install the packages of the lock file; return False if they are installed."""
        wanted = self.root / "requirements" / f"{environment.name}.txt"
        interpreter = find_interpreter(environment.base or environment)
        stamp = _Stamp(self.folder(environment) / ".made")
        fingerprint = _fingerprint(self.root, _packages(wanted), interpreter, environment.finish)
        if stamp.matches(fingerprint):
            return False
        folder = self.folder(environment)
        began = time.monotonic()
        _say(f"Making {folder.relative_to(self.root)} (about a minute, once) ...")
        shutil.rmtree(folder, ignore_errors=True)
        _run([interpreter, "-m", "venv", folder], lock)
        self._pip(environment, lock, "--requirement", wanted)
        if environment.base:
            base = self.folder(environment.base)
            _run([self.python(environment), "-c", _LAY_OVER, base, _OWN_PROVIDERS], lock)
        self.home(environment).mkdir()
        if environment.finish:
            home = {"HOME": str(self.home(environment))}
            _run([self.python(environment), "-c", environment.finish], lock, home)
        stamp.write(fingerprint)
        took = time.monotonic() - began
        _say(f"Made {folder.relative_to(self.root)} in {took:.0f} s")
        return True

    def _install_project(self, environment: Environment, lock: int) -> bool:
        """Install the project; return False if it is installed, or not wanted."""
        if not environment.project:
            return False
        settings = tomllib.loads((self.root / "pyproject.toml").read_text())
        packaging = json.dumps([settings["build-system"], settings["project"]], sort_keys=True)
        wheel = environment.project == "wheel"
        sources = [path.read_bytes() for path in self._sources()] if wheel else []
        stamp = _Stamp(self.folder(environment) / ".installed")
        fingerprint = _fingerprint(environment.project, packaging, *sources)
        if stamp.matches(fingerprint):
            return False
        how = ("--force-reinstall",) if wheel else ("--editable",)
        self._pip(environment, lock, "--no-build-isolation", *how, self.root)
        stamp.write(fingerprint)
        return True

    def _sources(self) -> list[Path]:
        files = (self.root / "airflow_provider_engagement").rglob("*")
        return sorted(path for path in files if path.is_file() and path.suffix != ".pyc")

    def _pip(self, environment: Environment, lock: int, *arguments: str | Path) -> None:
        """Install without dependencies, because a lock file names all packages."""
        pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
        _run([self.python(environment), *pip, "--no-deps", *arguments], lock)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A file that is written last, so that interrupted work is repeated."""

    path: Path

    def matches(self, fingerprint: str) -> bool:
        return self.path.exists() and self.path.read_text() == fingerprint

    def write(self, fingerprint: str) -> None:
        self.path.write_text(fingerprint)


def find_interpreter(environment: Environment) -> str:
    """Return the first suitable Python, beginning with this one.

    :raises EnvironmentFailure: if there is none in the environment's range.
    """
    oldest, newest = OLDEST_PYTHON, environment.newest_python
    for candidate in (sys.executable, "python3.12", "python3.11"):
        try:
            probe = subprocess.run(  # noqa: S603 - our own candidates
                [candidate, "-c", _PROBE], capture_output=True, text=True, check=True
            )
        except (OSError, subprocess.CalledProcessError):
            continue
        major, minor, path = probe.stdout.strip().split(" ", 2)
        if oldest <= (int(major), int(minor)) <= (newest or (4, 0)):
            return path
    wanted = f"Python {_dotted(oldest)} or later"
    if newest:
        wanted = f"Python {_dotted(oldest)} to {_dotted(newest)}"
    message = (
        f"{environment.name} needs {wanted}, with its venv module, and none was found."
        " Install it (Debian: python3-venv), or name it: make ... PYTHON=/path/to/python"
    )
    raise EnvironmentFailure(message)


def _packages(lock: Path) -> list[str]:
    """Return a lock file's lines, without its comments."""
    return [line for line in lock.read_text().splitlines() if not line.startswith("#")]


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _fingerprint(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _run(command: Sequence[str | Path], lock: int, extra: dict[str, str] | None = None) -> None:
    """Run a command; raise with the end of its output if it fails.

    The child shares the lock, so that the environment stays locked while an orphan still runs.
    """
    done = subprocess.run(  # noqa: S603 - our own commands
        command,
        cwd=ROOT,
        env={**os.environ, **(extra or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        pass_fds=[lock],
    )
    if done.returncode:
        output = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-20:])
        message = f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{output}"
        raise EnvironmentFailure(message)


def _say(text: str) -> None:
    """Print a line of progress with one write, because environments are made in parallel."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(names: Sequence[str]) -> int:
    """Make the named environments in parallel; return 1 if one failed."""
    unknown = [name for name in names if name not in ENVIRONMENTS]
    if unknown or not names:
        print(f"usage: python -m tools.env NAME...  with {', '.join(ENVIRONMENTS)}")
        return 2
    workshop = Workshop()
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(workshop.make, ENVIRONMENTS[name]) for name in names]
    failures = [failure for failure in (each.exception() for each in made) if failure]
    for failure in failures:
        if not isinstance(failure, EnvironmentFailure):
            raise failure
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
