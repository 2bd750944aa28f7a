"""A release is built twice to the same bytes, and holds and names what it should."""

from __future__ import annotations

import email
import json
import re
import tarfile
import zipfile
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from run_command import run

from airflow_provider_engagement import __version__
from tools import release
from tools.env import ENVIRONMENTS, ROOT, Workshop
from tools.release import ReleaseFailure, check_contents, check_page, compare

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"airflow_provider_engagement-{__version__}"
WHEEL, SDIST, SBOM = f"{NAME}-py3-none-any.whl", f"{NAME}.tar.gz", f"{NAME}.cdx.json"
URL = "https://github.com/airflow-provider-engagement/airflow-provider-engagement"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the packages as `make release` does, with what is not committed yet."""
    python = Workshop().python(ENVIRONMENTS["release"])
    assert python.exists(), "run `make release`, once"
    folder = tmp_path_factory.mktemp("release") / "dist"
    command = [python, "-m", "tools.release", "--working-tree", "--output", folder]
    said = run(*command, cwd=ROOT, PYTHONSAFEPATH="")
    assert "Built twice, the same both times" in said
    named = re.findall(r"^([0-9a-f]{64})  (\S+)$", said, re.MULTILINE)
    assert {name: digest for digest, name in named} == compare(
        sorted(folder.iterdir()), sorted(folder.iterdir())
    )
    return folder


@pytest.fixture(scope="module")
def metadata(released: Path) -> Any:
    with zipfile.ZipFile(released / WHEEL) as archive:
        return email.message_from_bytes(archive.read(f"{NAME}.dist-info/METADATA"))


@pytest.fixture(scope="module")
def sbom(released: Path) -> Any:
    return json.loads((released / SBOM).read_text())


def test_packages_hold_no_tests_and_no_tools(released: Path) -> None:
    assert {path.name for path in released.iterdir()} == {WHEEL, SDIST, SBOM}
    with tarfile.open(released / SDIST) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        times = {member.mtime for member in archive if member.isfile()}
    assert {"README.md", "LICENSE", "docs/index.md", "pyproject.toml"} <= names
    tops = {name.partition("/")[0] for name in names}
    assert tops.isdisjoint({"tests", "tools", "requirements", ".github", ".venv", "dist"})
    assert len(times) == 1


def test_page_on_the_index_leads_to_the_released_version(metadata: Any) -> None:
    text = metadata.get_payload()
    readme = (ROOT / "README.md").read_text()
    # A link's text may be a picture, so only the end of a link is looked for.
    links = re.findall(r"(?<!!)\[(?:!\[[^\]]*\]\([^)]*\)|[^\][!]+)\]\(([^)#]+)[^)]*\)", readme)
    assert "docs/how-to/report.md" in links
    assert "docs/index.md" in links
    for link in links:
        expected = link if link.startswith("https://") else f"{URL}/blob/v{__version__}/{link}"
        assert f"]({expected}" in text, link
    pictures = re.findall(r"!\[[^\]]*\]\((?!https://)([^)]+)\)", readme)
    assert all(f"]({URL}/raw/v{__version__}/{picture})" in text for picture in pictures)
    fence = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    assert fence.findall(text) == fence.findall(readme)


def test_metadata_says_what_an_index_shows(metadata: Any) -> None:
    urls = dict(text.split(", ", 1) for text in metadata.get_all("Project-URL"))
    assert set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(URL) for url in urls.values())
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    classifiers = set(metadata.get_all("Classifier"))
    assert {
        "Framework :: Apache Airflow",
        "Framework :: Apache Airflow :: Provider",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.13",
        "Typing :: Typed",
    } <= classifiers


def test_sbom_names_the_wheel(released: Path, sbom: Any) -> None:
    root = sbom["metadata"]["component"]
    (digest,) = root["hashes"]
    assert (root["name"], root["version"]) == ("airflow-provider-engagement", __version__)
    hashes = compare([released / WHEEL], [released / WHEEL])
    assert digest == {"alg": "SHA-256", "content": hashes[WHEEL]}
    assert root["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_sbom_lists_what_the_wheel_requires(metadata: Any, sbom: Any) -> None:
    required = {str(Requirement(line)) for line in metadata.get_all("Requires-Dist")}
    stated = {
        line["value"]: component
        for component in sbom["components"]
        for line in component.get("properties", ())
    }
    assert set(stated) == required
    for line, component in stated.items():
        requirement = Requirement(line)
        assert component["name"] == canonicalize_name(requirement.name)
        if "version" in component:
            assert component["version"] in requirement.specifier
        in_extra = "extra ==" in line
        assert component["scope"] == "required" or in_extra, "only an extra is optional"
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in sbom["dependencies"]}
    root = sbom["metadata"]["component"]["bom-ref"]
    assert set(edges[root]) == {component["bom-ref"] for component in stated.values()}


def test_sbom_follows_what_packages_require_in_turn(sbom: Any) -> None:
    (site,) = Workshop().folder(ENVIRONMENTS["airflow-3.3"]).glob("lib/python*/site-packages")
    tested = {canonicalize_name(one.name): one for one in distributions(path=[str(site)])}
    by_name = {component["name"]: component for component in sbom["components"]}
    assert {"apache-airflow-core", "numpy", "google-cloud-bigquery"} <= set(by_name)
    assert by_name["google-cloud-bigquery"]["scope"] == "optional"
    for name, component in by_name.items():
        if "version" not in component:
            continue
        installed = tested[name]
        assert component["version"] == installed.version
        assert component["purl"] == f"pkg:pypi/{name}@{installed.version.replace('+', '%2B')}"
        for needed in map(Requirement, installed.requires or ()):
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) in by_name, f"{name} needs {needed}"
    edges = {edge["ref"]: edge.get("dependsOn", []) for edge in sbom["dependencies"]}
    reached, ahead = set(), {sbom["metadata"]["component"]["bom-ref"]}
    while ahead:
        reached |= ahead
        ahead = {ref for one in ahead for ref in edges[one]} - reached
    assert {component["bom-ref"] for component in by_name.values()} <= reached


def test_sbom_names_no_tool_of_the_tests(sbom: Any) -> None:
    names = {component["name"] for component in sbom["components"]}
    assert names.isdisjoint({"hypothesis", "mypy", "pytest-xdist", "ruff", "hatchling", "twine"})


def test_builds_that_differ_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "a.whl", tmp_path / "two" / "a.whl"
    for path, text in ((one, "same"), (two, "same")):
        path.parent.mkdir()
        path.write_text(text)
    assert set(compare([one], [two])) == {"a.whl"}
    two.write_text("other")
    with pytest.raises(ReleaseFailure, match=r"Two builds differ: a\.whl"):
        compare([one], [two])
    with pytest.raises(ReleaseFailure, match="differ"):
        compare([one], [])


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("tests/test_all.py", "", "holds tests/test_all.py, which is not for users"),
        ("airflow_provider_engagement/a.py", "# in /build/here", "names /build/here"),
    ],
)
def test_what_is_not_for_users_is_refused(
    tmp_path: Path, name: str, data: str, message: str
) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(name, data)
    with pytest.raises(ReleaseFailure, match=message):
        check_contents(wheel, ["/build/here"])


def test_archive_that_names_a_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("text")
    sdist = tmp_path / "a.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        member = archive.gettarinfo(tmp_path / "README.md", "a/README.md")
        member.uname = "someone"
        archive.addfile(member)
    with pytest.raises(ReleaseFailure, match=r"a/README\.md names a user"):
        check_contents(sdist, [])


@pytest.mark.parametrize("html", ['<a href="docs/index.md">', '<img src="a.png">', '<a href="#x">'])
def test_link_that_leads_nowhere_is_refused(html: str) -> None:
    with pytest.raises(ReleaseFailure, match="leads nowhere"):
        check_page(html)
    check_page('<h2 id="x">x</h2><a href="#x"></a><a href="https://example.com/"></a>')


def test_another_tag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["--tag", "v0.0.0"]) == 1
    assert f"The tag is v0.0.0, and the version {__version__}." in capsys.readouterr().err
