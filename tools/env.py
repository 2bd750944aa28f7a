"""Makes the environments below ``.venv/`` from the lock files in ``requirements/``.

``python -m tools.env airflow-3.3 emulators`` makes both, side by side, or does nothing where they
are up to date. An environment is made anew when its lock file or its interpreter changes, and the
project is installed into it anew when its packaging does. Standard library only: this runs before
anything is installed.
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

# Prints what a venv is made of, or fails where the interpreter cannot make one: Debian ships
# ensurepip apart, and a version manager's shim may stand for a version that is not installed.
# It names what a venv is based on, so that an active one is never taken for another Python.
_PROBE: Final = """
import ensurepip, os, sys, venv
base = getattr(sys, "_base_executable", sys.executable)
print(*sys.version_info[:2], os.path.realpath(base))
"""


# Lets an environment see the packages of the one that is named, behind its own. Its .pth files
# count too: one of them names the project.
_OWN_PROVIDERS: Final = Path(__file__).with_name("own_providers.py")
_LAY_OVER: Final = """
import pathlib, shutil, sys, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
base = pathlib.Path(sys.argv[1], own.relative_to(sys.prefix))
shutil.copy(sys.argv[2], own)
(own / "base.pth").write_text(f"import site, own_providers; site.addsitedir({str(base)!r})\\n")
"""


class EnvironmentFailure(Exception):  # noqa: N818 - its text is shown as it is, not its name
    """An environment could not be made. The text says what to do, or what pip said."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What one environment holds.

    :param name: its folder below ``.venv``, and its lock file below ``requirements``.
    :param project: how the project itself is installed into it: ``editable``, as a ``wheel`` that
        is built of it and anew after each change, or not at all.
    :param base: the environment that it is laid over, whose packages and project it sees behind
        its own: its lock file names only what that one lacks.
    :param newest_python: the newest Python that its packages run on; None where all do.
    :param finish: code to run in it once, when the packages are in place.
    """

    name: str
    project: str = "editable"
    base: Environment | None = None
    newest_python: tuple[int, int] | None = None
    finish: str = ""


# The BigQuery emulator loads DuckDB's spatial extension when it starts, and would download it.
_IMPORT_SPATIAL: Final = "from duckdb_extensions import import_extension as i; i('spatial')"

_AIRFLOW: Final = Environment("airflow-3.3")

# What users install, not what lies here, is tested there.
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
        Environment("emulators", project="", finish=_IMPORT_SPATIAL),
        Environment("pins", project=""),
    )
}


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes environments for one checkout.

    :param root: the checkout: its ``requirements`` are read, its ``.venv`` is written.
    """

    root: Path = ROOT

    def folder(self, environment: Environment) -> Path:
        """Return where an environment lies."""
        return self.root / ".venv" / environment.name

    def python(self, environment: Environment) -> Path:
        """Return the environment's interpreter."""
        return self.folder(environment) / "bin" / "python"

    def home(self, environment: Environment) -> Path:
        """Return a home folder inside the environment: DuckDB keeps extensions below ``$HOME``."""
        return self.folder(environment) / "home"

    def make(self, environment: Environment) -> bool:
        """Make the environment, or what has changed of it; True if there was anything to do."""
        base = self.make(environment.base) if environment.base else False
        with self._locked(environment) as lock:
            packages = self._make_packages(environment, lock)
            return self._install_project(environment, lock) or packages or base

    @contextmanager
    def _locked(self, environment: Environment) -> Iterator[int]:
        """Hold off others who make the same one: also while an orphaned pip still works on it."""
        folder = self.folder(environment)
        folder.parent.mkdir(exist_ok=True)
        with (folder.parent / f".{folder.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock.fileno()

    def _make_packages(self, environment: Environment, lock: int) -> bool:
        """Install what the lock file names; False where that has been done."""
        wanted = self.root / "requirements" / f"{environment.name}.txt"
        interpreter = find_interpreter(environment.base or environment)
        stamp = _Stamp(self.folder(environment) / ".made")
        fingerprint = _fingerprint(self.root, _packages(wanted), interpreter, environment.finish)
        if stamp.says(fingerprint):
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
        """Install the project; False where that has been done, or is not wanted."""
        if not environment.project:
            return False
        settings = tomllib.loads((self.root / "pyproject.toml").read_text())
        packaging = json.dumps([settings["build-system"], settings["project"]], sort_keys=True)
        wheel = environment.project == "wheel"
        sources = [path.read_bytes() for path in self._sources()] if wheel else []
        stamp = _Stamp(self.folder(environment) / ".installed")
        fingerprint = _fingerprint(environment.project, packaging, *sources)
        if stamp.says(fingerprint):
            return False
        how = ("--force-reinstall",) if wheel else ("--editable",)
        self._pip(environment, lock, "--no-build-isolation", *how, self.root)
        stamp.write(fingerprint)
        return True

    def _sources(self) -> list[Path]:
        files = (self.root / "airflow_provider_engagement").rglob("*")
        return sorted(path for path in files if path.is_file() and path.suffix != ".pyc")

    def _pip(self, environment: Environment, lock: int, *arguments: str | Path) -> None:
        """Install without a look at dependencies: a lock file names them all."""
        pip = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
        _run([self.python(environment), *pip, "--no-deps", *arguments], lock)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """A file written last, so that what was interrupted is done again."""

    path: Path

    def says(self, fingerprint: str) -> bool:
        return self.path.exists() and self.path.read_text() == fingerprint

    def write(self, fingerprint: str) -> None:
        self.path.write_text(fingerprint)


def find_interpreter(environment: Environment) -> str:
    """Return the first Python in the environment's range that can make one; this one if it can."""
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
    """Run in silence; where it fails, raise with the last of what it said.

    The child shares the lock, so that nobody starts over while an orphan is still writing.
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
        said = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-20:])
        message = f"{' '.join(map(str, command))}\nended with {done.returncode}:\n{said}"
        raise EnvironmentFailure(message)


def _say(text: str) -> None:
    """Print a line of progress at once, whole: two environments may be made side by side."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(names: Sequence[str]) -> int:
    """Make the named environments side by side; 1 if one failed, with what pip said."""
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
