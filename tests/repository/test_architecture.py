"""The rules of docs/architecture.md: packages import only from packages below them, and files form no import cycles."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import minglibc

ROOT = Path(minglibc.__file__).parent
# Lowest first. A module imports from its own package and from those before it.
PACKAGES = (
    *("errors", "model", "config", "source_locks", "resolve", "lock", "cache", "audit"),
    *("insight", "index", "build", "install", "bundle", "serve", "fleet", "app", "cli"),
)
# Packages that never touch files, processes or networks.
PURE = ("model", "resolve", "insight")
WORLD = {"asyncio", "http", "httpx", "installer", "os", "pathlib", "shutil", "socket", "subprocess", "sys", "urllib"}
# Parses URLs and opens nothing.
ALLOWED = {"urllib.parse"}


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    modules = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


MODULES = modules()


@cache
def imports(name: str) -> frozenset[str]:
    """The modules that *name* imports, at its top or within functions, but not those imported for type checking alone."""
    return frozenset(_imports(name))


def _imports(name: str) -> Iterator[str]:
    for node in _statements(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module or ""


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
            continue  # expressions, most of the nodes, contain no statements
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _statements(node)


def own_imports(name: str) -> set[str]:
    """The modules of the package that *name* imports."""
    return {imported for imported in imports(name) if imported in MODULES and imported != name}


def package(name: str) -> str:
    """The package below minglibc that a module belongs to."""
    return name.split(".")[1] if "." in name else ""


# To be resolved; nothing may be added.
KNOWN: set[tuple[str, str]] = set()


def test_imports_point_down() -> None:
    """A module imports only from its own package and from packages below it."""
    levels = {name: PACKAGES.index(package(name)) for name in MODULES if package(name) in PACKAGES}
    above = {
        (name, imported)
        for name, level in levels.items()
        for imported in own_imports(name)
        if package(imported) and PACKAGES.index(package(imported)) > level
    }
    assert set() == above - KNOWN


def cycle() -> list[str]:
    """Modules that import each other in a circle; empty where there are none."""
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name not in done:
            for imported in sorted(own_imports(name)):
                if circle := visit(imported, [*path, name]):
                    return circle
            done.add(name)
        return []

    return next((circle for name in MODULES if (circle := visit(name, []))), [])


def test_no_import_cycles() -> None:
    """No module imports itself by way of others, even by imports within functions."""
    assert [] == cycle()


def test_pure_packages_stay_pure() -> None:
    """Packages that only compute import nothing that touches files, processes or networks."""
    impure = {
        (name, imported)
        for name in MODULES
        if package(name) in PURE
        for imported in imports(name) - ALLOWED
        if imported.split(".")[0] in WORLD
    }
    assert set() == impure


def test_only_cli_prints() -> None:
    """Only cli/ prints."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    printing = {
        name
        for name, text in texts.items()
        if "print" in text  # parsing all modules takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    # The script that another interpreter runs answers on its stdout.
    assert {"cli"} == {package(name) for name in printing - {"minglibc.install._probe"}}


def test_every_package_is_listed() -> None:
    """A new package is put into the order above."""
    assert {package(name) for name in MODULES} - {"", "__main__"} == set(PACKAGES)
