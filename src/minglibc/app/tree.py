"""The use case of `tree`: the dependency tree of a lock."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minglibc.app.lock_file import LockFile, read_lock_file
from minglibc.app.options import CommonOptions
from minglibc.errors import SettingsError
from minglibc.lock.selection import find_targets
from minglibc.lock.tree import Graph, Node, Row, graph, rows
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    from packaging.pylock import Package

    from minglibc.lock.reader import Lock


def tree(
    common: CommonOptions,
    *,
    lock: str | None = None,
    target: str | None = None,
    invert: Sequence[str] = (),
    depth: int | None = None,
) -> list[Row]:
    """The rows of the tree, of one *target* if it is named; with *invert*, of what requires these packages."""
    file = read_lock_file(common, lock)
    dependencies = graph(_packages(file.lock, target))
    if not invert:
        return list(rows(dependencies, _roots(dependencies, file), depth=depth))
    dependents = dependencies.inverted()
    roots = [node for name in invert for node in _nodes(dependents, name)]
    return list(rows(dependents, roots, depth=depth))


def _roots(dependencies: Graph, file: LockFile) -> list[Node]:
    roots = dependencies.roots()
    required = {dependency for needed in dependencies.edges.values() for dependency in needed}
    if required.isdisjoint(roots):
        return roots
    # There are cycles, and a lock does not say what the project itself requires.
    from minglibc.app.locked_project import read_lock_source  # noqa: PLC0415  50 ms, and few locks have cycles
    from minglibc.config.parser import parse  # noqa: PLC0415  the same

    source = file.lock.source
    try:
        settings = parse(read_lock_source(file.lock, file.folder, optional=True) or "", written=source.is_project)
    except SettingsError:
        return roots
    tables = [*settings.extras.values(), *settings.groups.values()]
    direct = {requirement.name for requirements in (settings.requirements, *tables) for requirement in requirements}
    return dependencies.roots(direct)


def _packages(lock: "Lock", target: str | None) -> "list[Package]":
    if not target:
        return list(lock.pylock.packages)
    chosen = find_targets(target, lock.targets, lock.names)[0]
    selected = lock.select(chosen, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
    return [package for package, _ in selected]


def _nodes(dependents: Graph, name: str) -> list[Node]:
    nodes = [node for node in dependents.edges if node.name == normalize_name(name)]
    if not nodes:
        raise SettingsError(f"{name} is not in the lock", hint="`minglibc tree` lists the packages")
    return nodes
