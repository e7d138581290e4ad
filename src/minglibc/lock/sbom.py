"""The lock as a software bill of materials (CycloneDX), the same bytes for the same lock."""

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from minglibc import __version__
from minglibc.config.poetry_project import standard
from minglibc.config.toml_file import load
from minglibc.lock.built_from import BuiltFrom, built_from
from minglibc.lock.locked_files import version_of
from minglibc.lock.selection import target_name
from minglibc.lock.tree import Node, graph

if TYPE_CHECKING:
    from packaging.pylock import Package

    from minglibc.lock.locked_files import LockedFile
    from minglibc.lock.requirements_txt import Selections

_ALGORITHMS = {"sha256": HashAlgorithm.SHA_256, "sha384": HashAlgorithm.SHA_384, "sha512": HashAlgorithm.SHA_512}


def dumps(selections: "Selections", *, pyproject: str | None, lock: str) -> str:
    """The SBOM of what *selections* install for the project of *pyproject*; its serial number depends on the text of the *lock*."""
    packages, wheels = _merged(selections)
    components = {node: _component(node, wheels[node], built_from(packages[node])) for node in packages}
    project = _project(pyproject)
    bom = Bom(
        components=components.values(),
        metadata=BomMetaData(component=project, tools=ToolRepository(components=[_tool()])),
    )
    bom.metadata.properties.update(Property(name="minglibc:target", value=target_name(target)) for target in selections)
    dependencies = graph(packages.values())
    for node, needed in dependencies.edges.items():
        bom.register_dependency(components[node], [components[dependency] for dependency in needed])
    if project:
        bom.register_dependency(project, [components[root] for root in dependencies.roots()])
    bom.serial_number = uuid5(NAMESPACE_OID, "\n".join([lock, *map(str, components)]))
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Optional, and omitted so that equal locks have equal SBOMs.
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _merged(selections: "Selections") -> "tuple[dict[Node, Package], dict[Node, dict[str, LockedFile]]]":
    packages: dict[Node, Package] = {}
    wheels: dict[Node, dict[str, LockedFile]] = {}
    for selected in selections.values():
        for package, wheel in selected:
            node = Node(package.name, version_of(package))
            packages[node] = package
            wheels.setdefault(node, {})[wheel.filename] = wheel
    return dict(sorted(packages.items())), wheels


def _component(node: Node, wheels: "dict[str, LockedFile]", built: Mapping[str, BuiltFrom]) -> Component:
    purl = PackageURL("pypi", None, node.name, node.version or None)
    files = [wheel for _, wheel in sorted(wheels.items())]
    return Component(
        type=ComponentType.LIBRARY,
        name=node.name,
        version=node.version or None,
        purl=purl,
        bom_ref=purl.to_string(),
        # A component has the hashes of one file; several wheels have them at their own references.
        hashes=_hashes(files[0]) if len(files) == 1 else (),
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(wheel.url or wheel.path or ""),
                comment=wheel.filename,
                hashes=_hashes(wheel),
            )
            for wheel in files
        ],
        components=_grafted(purl.to_string(), [built[wheel.filename] for wheel in files if wheel.filename in built]),
        properties=[
            Property(name="minglibc:built-from", value=f"{built[wheel.filename].source} {built[wheel.filename].hash}")
            for wheel in files
            if wheel.filename in built
        ],
    )


def _grafted(parent: str, built: Iterable[BuiltFrom]) -> list[Component]:
    """The libraries of the build machine in the wheels of a package."""
    names = sorted({library for wheel in built for library in wheel.grafted})
    return [
        Component(
            type=ComponentType.LIBRARY,
            name=name.partition(" ")[0],
            version=name.partition(" ")[2] or None,
            bom_ref=f"{parent}#{name}",
        )
        for name in names
    ]


def _hashes(wheel: "LockedFile") -> Iterable[HashType]:
    known = {name: digest for name, digest in wheel.hashes.items() if name in _ALGORITHMS}
    return [HashType(alg=_ALGORITHMS[name], content=digest) for name, digest in known.items()]


def _project(pyproject: str | None) -> Component | None:
    table = standard(load(pyproject.removeprefix("\ufeff"))).get("project", {}) if pyproject else {}
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        return None
    version = table.get("version")
    return Component(
        type=ComponentType.APPLICATION,
        name=table["name"],
        version=version if isinstance(version, str) else None,
        bom_ref=f"project:{table['name']}",
    )


def _tool() -> Component:
    return Component(type=ComponentType.APPLICATION, name="minglibc", version=__version__, bom_ref="tool:minglibc")
