"""The dependency graph of a lock, and its display as a tree."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.lock.locked_files import version_of

if TYPE_CHECKING:
    from packaging.pylock import Package

SHOWN = "*"
CYCLE = "cycle"


class Node(NamedTuple):
    """One locked release."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}=={self.version}" if self.version else self.name


class Graph(NamedTuple):
    """Each release with its dependencies."""

    edges: Mapping[Node, tuple[Node, ...]]

    def inverted(self) -> "Graph":
        """The graph in the other direction: each release with those that depend on it."""
        edges: dict[Node, list[Node]] = {node: [] for node in self.edges}
        for node, needed in self.edges.items():
            for dependency in needed:
                edges[dependency].append(node)
        return Graph({node: tuple(sorted(dependents)) for node, dependents in edges.items()})

    def roots(self, direct: Container[str] = ()) -> list[Node]:
        """The releases that nothing depends on, and one of each cycle that is not reached from them.

        In a cycle, that is a release of one of the projects *direct*, if there is one.
        """
        required = {dependency for needed in self.edges.values() for dependency in needed}
        roots = [node for node in self.edges if node not in required]
        reached = self._reached(roots)
        for node in sorted(self.edges, key=lambda node: node.name not in direct):
            if node not in reached:
                roots.append(node)
                reached |= self._reached([node])
        return sorted(roots)

    def reached(self, names: Container[str]) -> set[str]:
        """The names of all releases of *names*, and of those that they depend on."""
        return {node.name for node in self._reached(node for node in self.edges if node.name in names)}

    def _reached(self, nodes: Iterable[Node]) -> set[Node]:
        waiting = list(nodes)
        reached = set(waiting)
        while waiting:
            fresh = set(self.edges[waiting.pop()]) - reached
            reached |= fresh
            waiting.extend(fresh)
        return reached


class Row(NamedTuple):
    """One line of a tree; *mark* if its dependencies are shown elsewhere, *last* if no siblings follow."""

    node: Node
    depth: int
    last: bool
    mark: str = ""


def graph(packages: "Iterable[Package]") -> Graph:
    """The dependency graph of the locked *packages*."""
    packages_by_node = {Node(package.name, version_of(package)): package for package in packages}
    by_name: dict[str, list[Node]] = {}
    for node in packages_by_node:
        by_name.setdefault(node.name, []).append(node)
    edges = {}
    for node, package in packages_by_node.items():
        needed = {other for needs in package.dependencies or () for other in _matching(needs, by_name)}
        edges[node] = tuple(sorted(needed - {node}))
    return Graph(dict(sorted(edges.items())))


def _matching(needs: Mapping[str, Any], by_name: Mapping[str, Sequence[Node]]) -> list[Node]:
    # A lock has the version of a dependency only if it has several packages of that name.
    version = needs.get("version")
    return [node for node in by_name.get(needs["name"], ()) if version in (None, node.version)]


def rows(dependencies: Graph, roots: Iterable[Node], *, depth: int | None = None) -> Iterator[Row]:
    """The lines of the trees from *roots*; the dependencies of a release are shown once."""
    shown: set[Node] = set()
    path: list[Node] = []
    waiting = [Row(root, 0, last=True) for root in reversed(list(roots))]
    while waiting:
        row = waiting.pop()
        del path[row.depth :]
        below = dependencies.edges[row.node]
        if row.node in path:
            yield row._replace(mark=CYCLE)
            continue
        if row.node in shown and below:
            yield row._replace(mark=SHOWN)
            continue
        yield row
        if depth is not None and row.depth >= depth:
            continue
        shown.add(row.node)
        path.append(row.node)
        waiting += [Row(node, row.depth + 1, last=node == below[-1]) for node in reversed(below)]


def drawn(lines: Iterable[Row]) -> Iterator[str]:
    """*lines* as text for a terminal."""
    open_ends: list[bool] = []
    for row in lines:
        del open_ends[max(row.depth - 1, 0) :]
        mark = f" ({row.mark})" if row.mark else ""
        if not row.depth:
            yield f"{row.node}{mark}"
            continue
        indent = "".join("    " if last else "│   " for last in open_ends)
        yield f"{indent}{'└── ' if row.last else '├── '}{row.node}{mark}"
        open_ends.append(row.last)


def nested(lines: Iterable[Row], key: str) -> list[dict[str, Any]]:
    """*lines* as JSON; the releases below one are in its *key*."""
    top: list[dict[str, Any]] = []
    levels = [top]
    for row in lines:
        entry: dict[str, Any] = {"name": row.node.name, "version": row.node.version}
        if row.mark:
            entry["seen"] = row.mark
        del levels[row.depth + 1 :]
        levels[row.depth].append(entry)
        entry[key] = []
        levels.append(entry[key])
    return top
