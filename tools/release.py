"""Builds and checks the packages of a release: ``make release``.

The sdist and the wheel are built twice, from copies of the files that git knows, in folders and
with settings that differ, and have to be the same byte for byte. They are then checked, and written
to ``dist/`` with an SBOM. Runs in ``.venv/release``, beside ``.venv/airflow-3.3``, whose versions
the SBOM names.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tools.env import ENVIRONMENTS, ROOT, Workshop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["ReleaseFailure", "check_contents", "check_page", "compare", "main"]

_PACKAGE: Final = "airflow_provider_engagement"

# What an sdist may hold, beside its metadata.
_IN_SDIST: Final = frozenset(
    {
        ".gitignore",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "PKG-INFO",
        "README.md",
        "SECURITY.md",
        "docs",
        "example_dags",
        "pyproject.toml",
        _PACKAGE,
    }
)

# Two machines that have little in common.
_SETTINGS: Final = (
    {"TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"},
    {"TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "4711", "PYTHONUTF8": "1"},
)
_UMASKS: Final = (0o022, 0o077)


class ReleaseFailure(Exception):  # noqa: N818 - its text is shown as it is, not its name
    """The packages cannot be released. The text says why."""


@dataclass(frozen=True, slots=True)
class _Source:
    """The files to release.

    :param files: their paths from the root.
    :param epoch: the time of the commit, which every file in the packages gets; seconds.
    """

    files: tuple[Path, ...]
    epoch: int


def _source(*, working_tree: bool) -> _Source:
    if not working_tree and (changed := _git("status", "--porcelain")):
        raise ReleaseFailure(f"Commit these changes first, or undo them:\n{changed}")
    listed = _git("ls-files", "--cached", "--others", "--exclude-standard")
    files = [Path(name) for name in listed.splitlines() if (ROOT / name).is_file()]
    return _Source(tuple(sorted(files)), int(_git("log", "-1", "--format=%ct")))


def _git(*arguments: str) -> str:
    return _run(["git", "-C", str(ROOT), *arguments]).strip()


def _run(command: Sequence[str | Path], **settings: str) -> str:
    done = subprocess.run(  # noqa: S603 - a fixed program, without a shell
        command,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseFailure(f"{' '.join(map(str, command))} failed:\n{done.stdout[-3000:]}")
    return done.stdout


def _build(source: _Source, folder: Path, settings: Mapping[str, str], umask: int) -> list[Path]:
    """Build the sdist from a copy of the source, and the wheel from the sdist."""
    before = os.umask(umask)
    try:
        for file in source.files:
            copy = folder / "source" / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, copy)
        build = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
        epoch = {"SOURCE_DATE_EPOCH": str(source.epoch)}
        _run([*build, folder / "dist", folder / "source"], **settings, **epoch)
    finally:
        os.umask(before)
    return sorted((folder / "dist").iterdir())


def compare(first: Sequence[Path], second: Sequence[Path]) -> dict[str, str]:
    """Return the SHA-256 of each file, by its name.

    :param first: the files of one build.
    :param second: those of another.
    :raises ReleaseFailure: if a file is in one only, or differs.
    """
    hashes, others = ({path.name: _sha256(path) for path in build} for build in (first, second))
    if hashes != others:
        differing = sorted({name for name, _ in hashes.items() ^ others.items()})
        raise ReleaseFailure(f"Two builds differ: {', '.join(differing)}")
    return hashes


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_contents(package: Path, foreign: Sequence[str]) -> None:
    """Check what an sdist or a wheel holds.

    :param package: the sdist or the wheel.
    :param foreign: paths of this machine, which no file may name.
    :raises ReleaseFailure: if it holds a file that is not for users, or names such a path.
    """
    wheel = package.suffix == ".whl"
    for name, data in (_in_wheel if wheel else _in_sdist)(package):
        top = name.partition("/")[0]
        allowed = top == _PACKAGE or top.endswith(".dist-info") if wheel else top in _IN_SDIST
        if not allowed:
            raise ReleaseFailure(f"{package.name} holds {name}, which is not for users.")
        for path in foreign:
            if path.encode() in data:
                raise ReleaseFailure(f"{package.name}: {name} names {path}, of this machine.")


def _in_wheel(package: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)


def _in_sdist(package: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(package) as archive:
        for member in archive:
            if member.uname or member.gname or member.uid or member.gid:
                raise ReleaseFailure(f"{package.name}: {member.name} names a user.")
            held = archive.extractfile(member)
            yield member.name.partition("/")[2], held.read() if held else b""


def check_page(html: str) -> None:
    """Check the page that an index makes of the README.

    :param html: the page.
    :raises ReleaseFailure: if a link or a picture leads nowhere from there.
    """
    anchors = {f"#{name}" for name in re.findall(r'\bid="([^"]+)"', html)}
    for target in re.findall(r'\b(?:href|src)="([^"]*)"', html):
        if not target.startswith("https://") and target not in anchors:
            raise ReleaseFailure(f"README.md: {target} leads nowhere from an index page.")


def _render(wheel: Path) -> str:
    from readme_renderer import markdown

    (text,) = (data for name, data in _in_wheel(wheel) if name.endswith("/METADATA"))
    html = markdown.render(text.decode().partition("\n\n")[2])
    if html is None:
        raise ReleaseFailure("README.md cannot be rendered.")
    return str(html)


def _release(output: Path, *, working_tree: bool) -> dict[str, str]:
    """Build, compare and check; write the packages and the SBOM; return their hashes."""
    from tools.sbom import write_sbom

    source = _source(working_tree=working_tree)
    with tempfile.TemporaryDirectory(prefix="release-") as temporary:
        folders = [Path(temporary, "one"), Path(temporary, "two", "deeper")]
        settings = zip(folders, _SETTINGS, _UMASKS, strict=True)
        first, second = (_build(source, *each) for each in settings)
        hashes = compare(first, second)
        for package in first:
            check_contents(package, [str(ROOT), temporary, str(Path.home())])
        _run([sys.executable, "-m", "twine", "check", "--strict", *first])
        (wheel,) = (package for package in first if package.suffix == ".whl")
        check_page(_render(wheel))
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        for package in first:
            shutil.copy(package, output)
    name, version, *_ = wheel.stem.split("-")
    sbom = output / f"{name}-{version}.cdx.json"
    write_sbom(sbom, wheel=output / wheel.name, environment=_tested(), epoch=source.epoch)
    return {**hashes, sbom.name: _sha256(sbom)}


def _tested() -> Path:
    (site,) = Workshop().folder(ENVIRONMENTS["airflow-3.3"]).glob("lib/python*/site-packages")
    return site


def main(argv: Sequence[str] | None = None) -> int:
    """Build the packages; return 1 if they cannot be released."""
    parser = argparse.ArgumentParser(prog="python -m tools.release", description=__doc__)
    parser.add_argument("--tag", help="fail unless this is the version's tag, such as v0.1.0")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="where to write")
    parser.add_argument("--working-tree", action="store_true", help="with uncommitted changes")
    options = parser.parse_args(argv)
    version = re.findall(r'__version__ = "(.+)"', (ROOT / _PACKAGE / "__init__.py").read_text())
    if options.tag not in (None, f"v{version[0]}"):
        print(f"The tag is {options.tag}, and the version {version[0]}.", file=sys.stderr)
        return 1
    try:
        hashes = _release(options.output, working_tree=options.working_tree)
    except ReleaseFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    print(f"Built twice, the same both times, and checked. In {options.output.name}/:")
    for name, digest in hashes.items():
        print(f"{digest}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
