"""Writes the SBOM of a wheel, in the CycloneDX format.

It lists what the wheel's metadata asks for, with all extras, and what that asks for in turn, in the
versions that the tests ran with. A package that is not installed there has no version.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["write_sbom"]

# The property that holds a Requires-Dist line of the wheel's metadata.
_REQUIREMENT: Final = "python:requires-dist"

# Longer texts are whole licences, not their names.
_LONGEST_NAME: Final = 60


@dataclass(slots=True)
class _Packages:
    """Finds what a requirement installs.

    :param installed: the packages of an environment, by name.
    """

    installed: Mapping[str, Distribution]
    components: dict[str, Component] = field(default_factory=dict)
    needs: dict[str, set[str]] = field(default_factory=dict)
    _added: set[tuple[str, str]] = field(default_factory=set)

    def add(self, requirement: Requirement) -> str:
        """Add a package and all that it needs; return its name."""
        name = canonicalize_name(requirement.name)
        distribution = self.installed.get(name)
        if name not in self.components:
            self.components[name] = _component(name, distribution)
            self.needs[name] = set()
        for extra in {"", *requirement.extras}:
            if distribution and (name, extra) not in self._added:
                self._added.add((name, extra))
                self._add_needs(name, distribution, extra)
        return name

    def _add_needs(self, name: str, distribution: Distribution, extra: str) -> None:
        for needed in map(Requirement, distribution.requires or ()):
            if _applies(needed, extra) and canonicalize_name(needed.name) != name:
                self.needs[name].add(self.add(needed))


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _component(name: str, distribution: Distribution | None) -> Component:
    version = distribution.version if distribution else None
    url = PackageURL("pypi", name=name, version=version)
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        licenses=_licenses(distribution) if distribution else (),
    )


def _licenses(distribution: Distribution) -> Iterator[object]:
    names = ("License-Expression", "License")
    text = next((t for name in names for t in distribution.metadata.get_all(name) or ()), "")
    if text and "\n" not in text and len(text) <= _LONGEST_NAME:
        yield LicenseFactory().make_from_string(text)


def write_sbom(target: Path, *, wheel: Path, environment: Path, epoch: int) -> None:
    """Write the SBOM of a wheel.

    :param target: the file to write.
    :param wheel: the wheel.
    :param environment: the ``site-packages`` folder that the versions are taken from.
    :param epoch: the time that the SBOM states; seconds.
    :raises ValueError: if what would be written is not valid.
    """
    found = distributions(path=[str(environment)])
    installed: dict[str, Distribution] = {canonicalize_name(one.name): one for one in found}
    metadata, digest = _metadata(wheel), hashlib.sha256(wheel.read_bytes()).hexdigest()
    packages = _Packages(installed)
    direct: dict[str, list[str]] = {}
    always = set()
    for requirement in metadata.requires_dist or ():
        name = packages.add(requirement)
        direct.setdefault(name, []).append(str(requirement))
        always |= {name} if _applies(requirement, "") else set()
    required = _reachable(always, packages.needs)
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, digest))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    bom.metadata.component = root = _root(metadata, digest)
    for name, component in packages.components.items():
        component.scope = ComponentScope.REQUIRED if name in required else ComponentScope.OPTIONAL
        for line in direct.get(name, ()):
            component.properties.add(Property(name=_REQUIREMENT, value=line))
        bom.components.add(component)
    bom.register_dependency(root, [packages.components[name] for name in direct])
    for name, needs in packages.needs.items():
        needed = [packages.components[need] for need in needs]
        bom.register_dependency(packages.components[name], needed)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"{target.name} is not a valid SBOM: {fault}")
    target.write_text(f"{text}\n")


def _metadata(wheel: Path) -> Metadata:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Metadata.from_email(archive.read(name))


def _root(metadata: Metadata, digest: str) -> Component:
    url = PackageURL("pypi", name=metadata.name, version=str(metadata.version))
    return Component(
        name=metadata.name,
        version=str(metadata.version),
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=str(url),
        description=metadata.summary,
        licenses=[LicenseFactory().make_from_string(str(metadata.license_expression))],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
    )


def _reachable(names: set[str], needs: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    while names:
        found |= names
        names = set().union(*(needs[name] for name in names)) - found
    return found
