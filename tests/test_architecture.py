"""The house rules of docs/architecture.md: imports point down, and the root of the package never touches the world."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import minglibc

ROOT = Path(minglibc.__file__).parent
FLOORS = (
    ("errors", "fingerprint", "targets", "versions", "requirements", "policies", "elf", "origin", "inline_metadata"),
    ("settings", "wheels", "audit", "requirements_file", "direct"),
    ("candidates", "backtracking", "resolver", "speculation", "heldback", "explain", "proposals", "alike"),
    (
        *("lockfile", "syncplan", "recall", "advisories", "why", "outdated", "caps", "report"),
        *("tree", "requirements_txt", "requirement_edits", "sbom", "bundle"),
    ),
    ("adapters",),
    ("cli",),
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
WORLD = {"asyncio", "http", "httpx", "installer", "os", "pathlib", "shutil", "socket", "subprocess", "sys", "urllib"}
# Words about URLs, no way to anywhere.
PURE = {"urllib.parse"}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "minglibc" else (module,)


def _modules() -> list[Path]:
    return sorted(
        path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in {"__main__.py", "__init__.py"}
    )


def _room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path: Path) -> None:
    """A module imports from its own floor or below, never up."""
    floor = FLOOR_OF[_room(path)]
    rooms = {
        name.split(".")[1] for name in _imports(path) if name.startswith("minglibc.") and name != "minglibc.__version__"
    }
    assert set() == {room for room in rooms if FLOOR_OF.get(room, 0) > floor}


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=lambda path: path.name)
def test_the_root_is_pure(path: Path) -> None:
    """Nothing at the root of the package imports what touches files, processes or networks."""
    if path.name == "__main__.py":
        return
    assert set() == {name for name in _imports(path) if name.split(".")[0] in WORLD and name not in PURE}


def test_only_cli_prints() -> None:
    """What people read is printed in cli/ alone."""
    printing = {
        str(path.relative_to(ROOT))
        for path in _modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    # The script that another interpreter runs answers on its stdout.
    assert {"cli"} == {Path(name).parts[0] for name in printing - {"adapters/_inspect.py"}}


def test_every_room_is_on_a_floor() -> None:
    """A new module at the root finds its floor in this table, and no floor keeps an empty room."""
    assert {_room(path) for path in _modules()} == set(FLOOR_OF)
