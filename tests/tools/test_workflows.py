"""The workflows in .github/ run commands that exist, with pinned actions and few permissions."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from run_command import run

from tools.env import ENVIRONMENTS, ROOT, Workshop

if TYPE_CHECKING:
    from pathlib import Path

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
URL = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]

each = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> Any:
    # YAML 1.1 reads the key `on` as a truth value.
    return yaml.safe_load(re.sub(r"^on:", '"on":', path.read_text(), flags=re.MULTILINE))


def steps(workflow: Any) -> list[Any]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def targets(command: str) -> set[str]:
    """Return the targets that a command names; a variable stands for those of a matrix."""
    words = re.sub(r'\w+="[^"]*"', "", command.partition("make ")[2]).split()
    return {word.strip('"') for word in words if word[0] != "-" and "=" not in word}


@each
def test_commands_are_targets_of_make(path: Path) -> None:
    for job in read(path)["jobs"].values():
        rows = job.get("strategy", {}).get("matrix", {}).get("include", ())
        tested = {row["target"] for row in rows}
        assert tested <= TARGETS
        for step in job.get("steps", ()):
            command = step.get("run", "make help")
            assert command.startswith(("make ", "gh release create ")), command
            named = targets(command) if command.startswith("make ") else set()
            assert named <= (TARGETS | {"$TARGET"} if tested else TARGETS)


def test_every_tested_airflow_runs_on_every_python() -> None:
    makefile = (ROOT / "Makefile").read_text()
    jobs = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    (all_tests,) = re.findall(r"^TESTED_ON \?= (.+)$", makefile, re.MULTILINE)
    (few_tests,) = re.findall(r"^MATRIX \?= (.+)$", makefile, re.MULTILINE)
    ran = {row["target"]: set() for row in jobs["tests"]["strategy"]["matrix"]["include"]}
    for row in jobs["tests"]["strategy"]["matrix"]["include"]:
        ran[row["target"]].add(row["python"])
    pythons = {"3.11", "3.12", "3.13"}
    assert set(ran) == {*(f"test-{name}" for name in all_tests.split()), "test-google"}
    assert (ran["test-3.3"], ran["test-2.11"]) == (pythons, pythons - {"3.13"})
    matrix = jobs["matrix"]["strategy"]["matrix"]
    assert (matrix["airflow"], set(matrix["python"])) == (few_tests.split(), pythons)
    assert matrix["exclude"] == [{"airflow": "3.0", "python": "3.13"}]


@each
def test_actions_are_pinned_by_commit_and_named_by_version(path: Path) -> None:
    found = re.findall(r"uses: (?!\./)(.*)", path.read_text())
    assert found
    for action in found:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_an_action_has_the_same_commit_everywhere() -> None:
    texts = "".join(path.read_text() for path in WORKFLOWS)
    pins = set(re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40}) # (.+)", texts))
    assert len({name for name, _, _ in pins}) == len(pins)


@each
def test_permissions_are_given_by_job_only(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        writes = {scope for scope, access in job["permissions"].items() if access == "write"}
        allowed = {"publish": {"id-token"}, "announce": {"contents"}}.get(name, set())
        assert writes == allowed, name
    for step in steps(workflow):
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_no_secret_is_stored() -> None:
    assert not re.findall(r"secrets\.", "".join(path.read_text() for path in WORKFLOWS))


def test_zizmor_finds_nothing() -> None:
    zizmor = Workshop().folder(ENVIRONMENTS["release"]) / "bin" / "zizmor"
    assert zizmor.exists(), "run `make workflows`, once"
    run(zizmor, "--offline", "--quiet", "--persona", "pedantic", ".github", cwd=ROOT)


def test_hooks_before_a_commit_are_targets_of_make() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    entries = [
        hook["entry"].removeprefix("make --no-print-directory ") for hook in repository["hooks"]
    ]
    assert set(entries) == {"lint", "types", "workflows"} <= TARGETS


@pytest.mark.parametrize("name", ["bug.yml", "config.yml", "feature.yml"])
def test_issue_forms_are_complete(name: str) -> None:
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / name).read_text())
    if name == "config.yml":
        assert [link["url"] for link in form["contact_links"]] == [f"{URL}/security/advisories/new"]
        return
    assert {"name", "description", "body"} <= set(form)
    kinds = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert {part["type"] for part in form["body"]} <= kinds
    for part in form["body"]:
        assert part["attributes"].get("label") or part["attributes"].get("value")


def test_addresses_are_those_of_the_project() -> None:
    pages = ["CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"]
    for name in pages:
        text = (ROOT / name).read_text()
        assert set(re.findall(r"https://github\.com/[\w-]+/[\w-]+", text)) == {URL}
