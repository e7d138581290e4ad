"""`minglibc tree`: the dependency tree of a lock."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minglibc.lock.tree import CYCLE, Graph, Node, drawn, nested, rows
from tests.support.commands import Ran, minglibc
from tests.support.index import IndexServer
from tests.support.locked import lock, write_project
from tests.support.wheels import build_wheel


@pytest.fixture
def project(tmp_path: Path, index: IndexServer) -> Path:
    """A locked project with a diamond, a cycle, a group, and a dependency for one Python."""
    for wheel in [
        build_wheel("app", "1.0", requires=["left", "right", "old; python_version < '3.10'"]),
        build_wheel("left", "1.0", requires=["base"]),
        build_wheel("right", "1.0", requires=["base", "round"]),
        build_wheel("base", "2.0", requires=["ground"]),
        build_wheel("ground", "1.0"),
        build_wheel("round", "1.0", requires=["about"]),
        build_wheel("about", "1.0", requires=["round"]),
        build_wheel("old", "1.0"),
        build_wheel("tool", "1.0"),
    ]:
        index.add(wheel)
    folder = write_project(tmp_path / "project", index, ["app"], python=["3.9", "3.11"], groups={"dev": ["tool"]})
    lock(folder)
    index.stop()
    return folder


def tree(folder: Path, *options: str) -> Ran:
    """Run `tree` for the project in *folder*, which must succeed."""
    ran = minglibc("tree", "--project", str(folder), *options)
    assert not ran.code, ran.err
    return ran


def test_tree(project: Path) -> None:
    """Packages are below those that require them; repeated subtrees and cycles are marked."""
    ran = tree(project)
    expected = """\
app==1.0
├── left==1.0
│   └── base==2.0
│       └── ground==1.0
├── old==1.0
└── right==1.0
    ├── base==2.0 (*)
    └── round==1.0
        └── about==1.0
            └── round==1.0 (cycle)
tool==1.0
"""
    assert expected == ran.out
    assert "(*) already shown above" in ran.err


def test_inverted(project: Path) -> None:
    """--invert shows the packages that require a package, up to the roots; names are normalized."""
    expected = """\
ground==1.0
└── base==2.0
    ├── left==1.0
    │   └── app==1.0
    └── right==1.0
        └── app==1.0
"""
    assert expected == tree(project, "--invert", "Ground").out


def test_depth(project: Path) -> None:
    """--depth 0 shows only the roots, --depth 1 also their requirements."""
    assert "app==1.0\ntool==1.0\n" == tree(project, "--depth", "0").out
    assert 5 == len(tree(project, "--depth", "1").out.splitlines())


def test_one_target(project: Path) -> None:
    """--target omits packages of other targets."""
    assert "old==1.0" in tree(project, "--target", "cp39-x86_64-glibc2.17").out
    assert "old==1.0" not in tree(project, "--target", "cp311-x86_64-glibc2.17").out


def test_two_releases_of_one_package(tmp_path: Path, index: IndexServer) -> None:
    """If targets have different releases, each is below the release that requires it."""
    for version, python in [("1.0", "cp39"), ("2.0", "cp311")]:
        index.add(build_wheel("app", version, f"{python}-none-any", requires=[f"base=={version}"]))
        index.add(build_wheel("base", version))
    folder = write_project(tmp_path, index, ["app"], python=["3.9", "3.11"])
    lock(folder)
    expected = """\
app==1.0
└── base==1.0
app==2.0
└── base==2.0
"""
    assert expected == tree(folder).out


def test_json(project: Path) -> None:
    """--json has the same structure."""
    app, tool = json.loads(tree(project, "--json").out)
    assert {"name": "tool", "version": "1.0", "requires": []} == tool
    assert ["left", "old", "right"] == [child["name"] for child in app["requires"]]
    assert "*" == app["requires"][2]["requires"][0]["seen"]
    (ground,) = json.loads(tree(project, "--json", "--invert", "ground").out)
    assert "base" == ground["required-by"][0]["name"]


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--invert", "nope"], 2, "nope is not in the lock"),
        (["--target", "nope"], 2, "cp39-x86_64-glibc2.17"),
        (["--depth", "-1"], 2, "not a number"),
    ],
)
def test_errors(project: Path, options: list[str], code: int, expected: str) -> None:
    """An unknown package or target, or an invalid depth, is an error with a hint."""
    refused = minglibc("tree", "--project", str(project), *options)
    assert code == refused.code
    assert expected in refused.err


def test_no_lock(tmp_path: Path, index: IndexServer) -> None:
    """A missing lock is an error."""
    refused = minglibc("tree", "--project", str(write_project(tmp_path, index)))
    assert 1 == refused.code
    assert "minglibc lock" in refused.err


def test_roots_of_cycles(tmp_path: Path, index: IndexServer) -> None:
    """In a cycle, the root is what the project or one of its groups requires, not the first name."""
    for names in ("ab", "cd"):
        index.add(build_wheel(names[0], "1.0", requires=[names[1]]))
        index.add(build_wheel(names[1], "1.0", requires=[names[0]]))
    folder = write_project(tmp_path / "project", index, ["b"], groups={"dev": ["d"]})
    lock(folder)
    assert ["b==1.0", "d==1.0"] == [line for line in tree(folder).out.splitlines() if line[0].isalpha()]
    (folder / "pyproject.toml").unlink()
    alone = minglibc("tree", "--lock", str(folder / "pylock.toml"))
    assert ["a==1.0", "c==1.0"] == [line for line in alone.out.splitlines() if line[0].isalpha()]


NODES = [Node(name, "1") for name in "abcdefg"]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of a few releases, with cycles and self-references."""
    return Graph({node: tuple(sorted(draw(st.sets(st.sampled_from(NODES))))) for node in NODES})


@given(graphs())
def test_each_subtree_is_shown_once(graph: Graph) -> None:
    """In any graph, each release is shown once with its requirements."""
    lines = list(rows(graph, graph.roots()))
    in_full = [row.node for row in lines if not row.mark and graph.edges[row.node]]
    assert sorted(in_full) == sorted(node for node in graph.edges if graph.edges[node])
    assert set(graph.edges) == {row.node for row in lines}
    assert len(lines) == len(list(drawn(lines)))
    assert sum(map(len, graph.edges.values())) + len(graph.roots()) == len(lines)


@pytest.mark.slow
@given(graphs())
def test_inverting_twice_changes_nothing(graph: Graph) -> None:
    """Inverting a graph twice gives the same graph."""
    assert graph == graph.inverted().inverted()


def test_long_chain() -> None:
    """A chain longer than the recursion limit is drawn."""
    nodes = [Node(f"n{number:05}", "1") for number in range(3_000)]
    chain = Graph({node: tuple(nodes[position + 1 : position + 2]) for position, node in enumerate(nodes)})
    lines = list(rows(chain, chain.roots()))
    assert 3_000 == len(lines)
    assert 3_000 == len(list(drawn(lines)))
    assert CYCLE not in {row.mark for row in lines}
    assert 1 == len(nested(lines, "requires"))
