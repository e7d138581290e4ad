"""Interpreters that build wheels: the target's Python, and the one that runs minglibc."""

from collections.abc import Iterable

from minglibc.app.build_environment import ONE_AT_A_TIME
from minglibc.build.cross import can_cross, is_cross
from minglibc.errors import EnvironmentProblem
from minglibc.install import interpreter as interpreters
from minglibc.install.interpreter import Interpreter
from minglibc.install.other_interpreters import other_interpreters
from minglibc.lock.selection import Machine
from minglibc.model.targets import Target


class BuildInterpreters:
    """Finds interpreters of this machine, each of which is inspected once; with *crosses*, builds can be for another one."""

    def __init__(self, *, crosses: bool) -> None:
        self._crosses = crosses
        self._inspected: dict[str, Interpreter | None] = {}

    def candidates(self, target: Target, own: Interpreter | None = None) -> list[Interpreter]:
        """The best interpreter to build for *target*, and the one that runs minglibc, which can build pure wheels."""
        with ONE_AT_A_TIME:
            known = [own] if own is not None else []
            on_path = [*known, *self._inspect_all(interpreters.find_interpreters([target.python]))]
            matching = self._matching(on_path, target)
            running = next((interpreter for interpreter in on_path if interpreter is not own), None)
            candidates = [interpreter for interpreter in (matching, running) if interpreter is not None]
            return list(dict.fromkeys(candidates))

    def matching(self, target: Target) -> Interpreter | None:
        """The best interpreter to build for *target*; None where this machine has none of its Python."""
        with ONE_AT_A_TIME:
            return self._matching(self._inspect_all(interpreters.find_interpreters([target.python])), target)

    def _matching(self, on_path: list[Interpreter], target: Target) -> Interpreter | None:
        """The first that can build for *target*: one that runs there, if there is one."""
        matching = _first_match(on_path, target)
        if matching is not None:
            return matching
        others = self._inspect_all(other_interpreters(target.python))
        matching = _first_match(others, target)
        if matching is None and self._crosses:
            matching = _first_match([*on_path, *others], target, cross=True)
        return matching

    def _inspect_all(self, paths: Iterable[str]) -> list[Interpreter]:
        return [interpreter for interpreter in map(self._inspect, paths) if interpreter is not None]

    def _inspect(self, path: str) -> Interpreter | None:
        if path not in self._inspected:
            try:
                self._inspected[path] = interpreters.inspect(path)
            except EnvironmentProblem:
                self._inspected[path] = None
        return self._inspected[path]


def _first_match(candidates: Iterable[Interpreter], target: Target, *, cross: bool = False) -> Interpreter | None:
    """The first that can build for *target*; with *cross*, although it can't run there."""
    return next((interpreter for interpreter in candidates if _matches(interpreter.machine, target, cross=cross)), None)


def _matches(machine: Machine, target: Target, *, cross: bool) -> bool:
    python, wanted = machine.python, target.python
    same = (python.minor, python.free_threaded) == (wanted.minor, wanted.free_threaded)
    fits = can_cross(machine, target) if cross else not is_cross(machine, target)
    return same and machine.implementation == "cpython" and fits


def python_name(target: Target) -> str:
    """The interpreter that builds for *target*, for messages."""
    return f"CPython {target.python.short}{'t' if target.python.free_threaded else ''} for {target.architecture}"


def installation(target: Target) -> str:
    """How to get an interpreter that can build for *target*."""
    short, threads = target.python.short, "t" if target.python.free_threaded else ""
    name = f"python{short}{threads}"
    return f"{name} and its headers ({name}-dev, or `uv python install {short}{threads}`), or lock on such a machine"
