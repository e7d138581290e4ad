"""The use case of `tree`: the dependency tree of a lock."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minglibc.app.lock_file import read_lock_file
from minglibc.app.options import CommonOptions
from minglibc.errors import SettingsError
from minglibc.lock.selection import find_targets
from minglibc.lock.tree import Graph, Node, Row, graph, rows
from minglibc.model.requirements import normalize_name

if TYPE_CHECKING:
    from packaging.pylock import Package


def tree(
    common: CommonOptions,
    *,
    lock: str | None = None,
    target: str | None = None,
    invert: Sequence[str] = (),
    depth: int | None = None,
) -> list[Row]:
    """The rows of the tree, of one *target* if it is named; with *invert*, of what requires these packages."""
    dependencies = graph(_packages(common, lock, target))
    if not invert:
        return list(rows(dependencies, dependencies.roots(), depth=depth))
    dependents = dependencies.inverted()
    roots = [node for name in invert for node in _nodes(dependents, name)]
    return list(rows(dependents, roots, depth=depth))


def _packages(common: CommonOptions, path: str | None, target: str | None) -> "list[Package]":
    lock = read_lock_file(common, path).lock
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
