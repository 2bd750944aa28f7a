"""Environments are made when they must be, and only then."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tools import env
from tools.env import ENVIRONMENTS, ROOT, Environment, EnvironmentFailure, Workshop

# It has no packages, so that it is made without an index.
BARE = Environment("bare", project=False, finish="open('finished', 'a').write('x')")


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "bare.txt").write_text("# no packages\n")
    monkeypatch.chdir(tmp_path)
    return Workshop(tmp_path)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note what would be run, and make what a venv would."""
    ran: list[list[str]] = []

    def run(command: list[object], *_: object) -> None:
        ran.append([str(word) for word in command])
        if "venv" in ran[-1]:
            Path(ran[-1][-1]).mkdir()

    monkeypatch.setattr(env, "_run", run)
    return ran


def test_environment_is_made_once(workshop: Workshop, commands: list[list[str]]) -> None:
    assert workshop.make(BARE)
    assert [command[1] for command in commands] == ["-m", "-m", "-c"]
    assert not workshop.make(BARE)
    assert len(commands) == 3


@pytest.mark.parametrize("lock", ["six==1.17.0\n", "# no packages\nsix==1.17.0\n"])
def test_environment_is_remade_when_its_lock_changes(
    workshop: Workshop, commands: list[list[str]], lock: str
) -> None:
    workshop.make(BARE)
    commands.clear()
    (workshop.root / "requirements" / "bare.txt").write_text(lock)
    assert workshop.make(BARE)
    assert commands


def test_comment_in_a_lock_does_not_remake_the_environment(
    workshop: Workshop, commands: list[list[str]]
) -> None:
    workshop.make(BARE)
    commands.clear()
    (workshop.root / "requirements" / "bare.txt").write_text("# nothing at all\n")
    assert not workshop.make(BARE)
    assert not commands


def test_environment_is_remade_when_its_interpreter_changes(
    workshop: Workshop, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.make(BARE)
    commands.clear()
    monkeypatch.setattr(env, "find_interpreter", lambda _: "/another/python")
    assert workshop.make(BARE)
    assert commands[0][0] == "/another/python"


def test_interrupted_environment_is_remade(
    workshop: Workshop, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Workshop, "_pip", interrupted)
        with pytest.raises(KeyboardInterrupt):
            workshop.make(BARE)
    assert workshop.make(BARE)
    assert not workshop.make(BARE)
    assert commands


def test_project_is_reinstalled_when_its_packaging_changes(
    workshop: Workshop, commands: list[list[str]]
) -> None:
    settings = workshop.root / "pyproject.toml"
    packaging = '[build-system]\nrequires = []\n[project]\nname = "{}"\n'
    (workshop.root / "requirements" / "whole.txt").write_text("")
    whole = Environment("whole")
    settings.write_text(packaging.format("a"))
    workshop.make(whole)
    commands.clear()

    settings.write_text(packaging.format("a") + "[tool.ruff]\nline-length = 90\n")
    assert not workshop.make(whole)
    settings.write_text(packaging.format("b"))
    assert workshop.make(whole)
    assert [command[-2] for command in commands] == ["--editable"]


def test_environment_runs_its_finishing_code(workshop: Workshop, tmp_path: Path) -> None:
    proof = tmp_path / "finished"
    finish = f"import os, pathlib; pathlib.Path({str(proof)!r}).write_text(os.environ['HOME'])"
    finished = Environment("bare", project=False, finish=finish)
    workshop.make(finished)
    assert proof.read_text() == str(workshop.home(finished))
    assert workshop.python(finished).exists()


def test_overlay_sees_its_own_packages_before_those_of_its_base(workshop: Workshop) -> None:
    finish = """
import pathlib, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
(own / "shared.py").write_text("name = 'base'")
(own / "overlaid.py").write_text("name = 'base'")
(own / "elsewhere").mkdir()
(own / "elsewhere" / "project.py").write_text("name = 'project'")
(own / "project.pth").write_text("elsewhere")
"""
    base = Environment("bare", project=False, finish=finish)
    (workshop.root / "requirements" / "over.txt").write_text("# no packages\n")
    finish = """
import pathlib, sysconfig
own = pathlib.Path(sysconfig.get_path("purelib"))
(own / "overlaid.py").write_text("name = 'over'")
"""
    over = Environment("over", project=False, base=base, finish=finish)
    assert workshop.make(over)
    assert workshop.python(base).exists()
    assert not workshop.make(over)
    code = "import shared, overlaid, project; print(shared.name, overlaid.name, project.name)"
    command = [workshop.python(over), "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert ran.stdout.split() == ["base", "over", "project"]


def test_failed_command_shows_its_output(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no room left; exit 9\n")
    broken.chmod(0o755)
    monkeypatch.setattr(env, "find_interpreter", lambda _: str(broken))
    with pytest.raises(EnvironmentFailure, match=r"ended with 9:\n  no room left"):
        workshop.make(BARE)


def test_missing_python_is_reported_with_the_versions_needed() -> None:
    with pytest.raises(EnvironmentFailure, match=r"needs Python 3\.11 to 3\.0.*PYTHON="):
        env.find_interpreter(Environment("old", newest_python=(3, 0)))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_lock_names_only_packages_and_versions(name: str) -> None:
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    packages = [line for line in lines if not line.startswith("#")]
    pin = re.compile(r"[a-z0-9-]+==[0-9][0-9a-z.+]*( ; [^@/]+)?")
    assert packages == sorted(packages, key=lambda line: line.split("==")[0])
    assert [line for line in packages if not pin.fullmatch(line)] == []


def test_lock_of_an_overlay_repeats_no_pin_of_its_base() -> None:
    def locked(environment: Environment) -> dict[str, str]:
        lines = (ROOT / "requirements" / f"{environment.name}.txt").read_text().splitlines()
        return dict(line.split("==", 1) for line in lines if not line.startswith("#"))

    for overlay in ENVIRONMENTS.values():
        if overlay.base:
            own, base = locked(overlay), locked(overlay.base)
            assert not own.items() & base.items(), overlay.name
            constrained = overlay.name.endswith("-constrained")
            assert (own.keys() <= base.keys()) if constrained else not own.keys() & base.keys()


@pytest.mark.parametrize("name", sorted(ENVIRONMENTS.keys() - {"pins"}))
def test_exact_requirements_are_in_the_lock(name: str) -> None:
    folder = ROOT / "requirements"
    wishes = folder / f"{name}.in"
    locked = (folder / f"{name}.txt").read_text()
    exact = [line for line in wishes.read_text().splitlines() if "==" in line]
    assert [line for line in exact if f"\n{line}\n" not in locked] == []
