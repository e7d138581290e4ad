"""The targets of a project: caps, Pythons and architectures, or [[tool.minglibc.target]] tables."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minglibc.config.problems import NAME_EXPECTED, Problems, is_name
from minglibc.config.settings import DEFAULT_ARCHITECTURES, TARGET_KEYS
from minglibc.errors import TargetError
from minglibc.model import versions
from minglibc.model.targets import (
    LIBCS,
    NEWEST_PYTHON,
    OLDEST_PYTHON,
    Cap,
    PythonVersion,
    Target,
    check_architecture,
    check_cap,
    check_libstdcxx,
    newest,
)

if TYPE_CHECKING:
    from minglibc.config.default_pythons import DefaultPythons

_LONGEST_VERSION = 40
_HIGHEST_MINOR = 999
# How the cap of each C library is written, with an example, and what TOML makes of a version without quotes.
_CAP_FORMS = {
    "glibc": ('"2.27", "manylinux_2_28" or "manylinux2014"', "2.17", "2.30 as the number 2.3"),
    "musl": ('"1.2" or "musllinux_1_2"', "1.2", "1.10 as the number 1.1"),
}


class TargetParser:
    """Parses the targets of the [tool.minglibc] *table*, in which values from the command line replace those of the file."""

    def __init__(
        self,
        problems: Problems,
        table: Mapping[str, Any],
        requires_python: str,
        default: "Callable[[], DefaultPythons]",
    ) -> None:
        """*default* computes the Pythons where neither the table nor its targets name them."""
        self.problems = problems
        self.table = table
        self.requires_python = requires_python
        self.default: DefaultPythons | None = None
        """The default Pythons, if they are used."""
        self._compute_default = default

    def targets(self, *, has_requires_python: bool) -> tuple[dict[str, Target], tuple[Target, ...]]:
        """The named targets, and all targets in order; *has_requires_python* even if its value is invalid."""
        named: dict[str, Target] = {}
        libstdcxx = self._libstdcxx(self.table, self.problems.key("libstdcxx"))
        if "target" in self.table:
            named = self._named_targets(libstdcxx)
            targets = set(named.values())
        else:
            caps = self._caps()
            targets = {
                Target(python, architecture, cap, libstdcxx if cap.libc == "glibc" else "")
                for python in self._pythons(has_requires_python=has_requires_python)
                for architecture, cap in caps
            }
        ordered = tuple(sorted(targets, key=_order))
        self._check_pythons(ordered)
        for cap in {target.cap for target in targets}:
            if cap > newest(cap):
                message = f"{cap.named} is newer than the newest version known to this minglibc ({newest(cap)})"
                self.problems.warnings.append(message)
        return named, ordered

    def _check_pythons(self, targets: tuple[Target, ...]) -> None:
        for python in dict.fromkeys(target.python for target in targets):
            if self.requires_python and not versions.contains(self.requires_python, python.full):
                self.problems.add(
                    self.problems.key("python"),
                    f"includes {python}, which project.requires-python {self.requires_python} excludes",
                )

    # Caps and architectures

    def _caps(self) -> list[tuple[str, Cap]]:
        """Each architecture with each of its caps; a table of caps for one C library has its own architectures."""
        libcs = [libc for libc in LIBCS if libc in self.table] or ["glibc"]
        return list(dict.fromkeys(pair for libc in libcs for pair in self._caps_of(libc).items()))

    def _caps_of(self, libc: str) -> dict[str, Cap]:
        value = self.table.get(libc)
        by_architecture = value if isinstance(value, dict) else None
        architectures = self._architectures(list(by_architecture or DEFAULT_ARCHITECTURES))
        if by_architecture is not None:
            return self._caps_by_architecture(libc, by_architecture, architectures)
        key = self.problems.key(libc)
        cap = self._cap(libc, value, key)
        return {name: cap for name in architectures if cap and self._is_possible(cap, name, key)}

    def _architectures(self, default: list[str]) -> list[str]:
        key = self.problems.key("architectures")
        value = self.table.get("architectures", default)
        if not value:
            self.problems.add(key, "is empty; a lock needs at least one architecture")
        strings = self.problems.strings(value, key, 'architectures = ["x86_64"]')
        return [name for where, text in strings if (name := self._architecture(text, where))]

    def _caps_by_architecture(self, libc: str, table: Mapping[str, Any], architectures: list[str]) -> dict[str, Cap]:
        problems, key = self.problems, self.problems.key(libc)
        if not table:
            problems.add(key, f'is empty; write {libc} = {{ x86_64 = "{_CAP_FORMS[libc][1]}" }}')
        caps = {}
        for name, text in table.items():
            where = f"tool.minglibc.{libc}.{name}"
            cap = self._cap(libc, text, where)
            if "architectures" in self.table and name not in architectures:
                if "architectures" not in problems.given and self._architecture(name, where):
                    problems.add(where, "is for an architecture that is not in tool.minglibc.architectures")
            elif name in architectures and cap and self._is_possible(cap, name, where):
                caps[name] = cap
        for name in architectures:
            if name not in table:
                problems.add(key, f"has no entry for {name}, which is in {problems.key('architectures')}")
        return caps

    def _architecture(self, text: str, where: str) -> str:
        try:
            return check_architecture(text)
        except TargetError as error:
            self.problems.add(where, f"is invalid: {error.message}")
            return ""

    def _is_possible(self, cap: Cap, architecture: str, where: str) -> bool:
        try:
            check_cap(cap, architecture)
        except TargetError as error:
            self.problems.add(where, f"is too low: {error.message}")
            return False
        return True

    def _cap(self, libc: str, value: object, where: str) -> Cap | None:
        accepted, example, number = _CAP_FORMS[libc]
        problems = self.problems
        if value is None:
            action = f'write {libc} = "{example}" with the {libc} version of the oldest machine (see `ldd --version`)'
            problems.add(where, f"is missing; {action}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            problems.unexpected(where, value, f'write it in quotes, "{value}", because TOML reads {number}')
        elif not isinstance(value, str):
            problems.unexpected(where, value, f"expected a string: {accepted}")
        elif len(value) > _LONGEST_VERSION:
            problems.add(where, f"is too long; write {accepted}")
        else:
            return self._parsed_cap(libc, value, where)
        return None

    def _parsed_cap(self, libc: str, text: str, where: str) -> Cap | None:
        try:
            cap = LIBCS[libc].parse(text)
        except TargetError as error:
            self.problems.add(where, f"is invalid: {error.message}")
            return None
        if cap.minor <= _HIGHEST_MINOR:
            return cap
        self.problems.add(where, f"is invalid: there is no {cap.named}; the newest known version is {newest(cap)}")
        return None

    # Pythons

    def _pythons(self, *, has_requires_python: bool) -> list[PythonVersion]:
        key = self.problems.key("python")
        if "python" not in self.table:
            return self._pythons_of_project(has_requires_python=has_requires_python)
        value = self.table["python"]
        if value == []:
            self.problems.add(key, 'is empty; write python = ["3.9"], or omit it to use project.requires-python')
            return []
        items = [(f"{key}[{i}]", item) for i, item in enumerate(value)] if isinstance(value, list) else [(key, value)]
        pythons = [python for where, item in items if (python := self._python(item, where)) is not None]
        self._check_distinct(pythons, key)
        return pythons

    def _check_distinct(self, pythons: list[PythonVersion], key: str) -> None:
        for position, python in enumerate(pythons):
            if python in pythons[:position]:
                self.problems.add(key, f"lists {python} twice")
            elif python.patch is not None and python._replace(patch=None) in pythons:
                message = f"lists {python.short} and {python}, which a lock can't tell apart; keep one of them"
                self.problems.add(key, message)

    def _python(self, value: object, where: str) -> PythonVersion | None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            expected = 'write it in quotes, such as "3.10", because TOML reads the number 3.10 as 3.1'
            self.problems.unexpected(where, value, expected)
        elif not isinstance(value, str) or len(value) > _LONGEST_VERSION:
            self.problems.unexpected(where, value, 'expected version strings, such as "3.9"')
        else:
            try:
                return PythonVersion.parse(value)
            except TargetError as error:
                hint = "; write ranges in project.requires-python" if value[:1] in set("<>=~!^") else ""
                self.problems.add(where, f"is invalid: {error.message}{hint}")
        return None

    def _pythons_of_project(self, *, has_requires_python: bool) -> list[PythonVersion]:
        if not self.requires_python:
            if not has_requires_python:
                default = self._compute_default()
                if not default.by_date:
                    self.default = default
                    return list(default.pythons)  # those of the classifiers
                self.problems.add(
                    "tool.minglibc.python",
                    'is missing, and so is project.requires-python; write requires-python = ">=3.9" under [project], '
                    'or python = ["3.9"] under [tool.minglibc]',
                )
            return []
        self.default = self._compute_default()
        if not self.default.pythons:
            self.problems.add(
                "project.requires-python",
                f"is {self.requires_python!r}, which excludes every CPython from 3.{OLDEST_PYTHON} to 3.{NEWEST_PYTHON}",
            )
        return list(self.default.pythons)

    # Named targets

    def _named_targets(self, libstdcxx: str) -> dict[str, Target]:
        problems, tables = self.problems, self.table["target"]
        conflicting = [problems.key(name) for name in ("python", "architectures") if name in self.table]
        for key in [*conflicting, *(f"--{libc}" for libc in LIBCS if libc in problems.given)]:
            problems.add(key, "can't be combined with [[tool.minglibc.target]] tables, which set it themselves")
        if not isinstance(tables, list) or not tables or not all(isinstance(item, dict) for item in tables):
            problems.unexpected("tool.minglibc.target", tables, "expected tables: [[tool.minglibc.target]]")
            return {}
        named: dict[str, Target] = {}
        for position, item in enumerate(tables):
            where = f"tool.minglibc.target[{position}]"
            problems.check_keys(item, TARGET_KEYS, where)
            name, target = item.get("name"), self._target(item, where, libstdcxx)
            if not is_name(name):
                problems.unexpected(f"{where}.name", name, NAME_EXPECTED)
            elif name in named:
                problems.add(f"{where}.name", f"is {name!r}, the name of an earlier target")
            elif target:
                self._check_distinguishable(name, target, named)
                named[name] = target
        return named

    def _target(self, item: Mapping[str, Any], where: str, libstdcxx: str) -> Target | None:
        python = self._python(item.get("python"), f"{where}.python")
        text = item.get("architecture", DEFAULT_ARCHITECTURES[0])
        architecture = ""
        if isinstance(text, str):
            architecture = self._architecture(text, f"{where}.architecture")
        else:
            self.problems.unexpected(f"{where}.architecture", text, 'expected a string, such as "x86_64"')
        libc = self._libc(item, where)
        value = item.get(libc, self.table.get(libc))
        if isinstance(value, dict):
            value = value.get(architecture)
        cap = self._cap(libc, value, f"{where}.{libc}") if libc else None
        if python and architecture and cap and self._is_possible(cap, architecture, f"{where}.{libc}"):
            if cap.libc == "musl" and "libstdcxx" in item:
                self.problems.add(f"{where}.libstdcxx", "is for targets with glibc")
            own = self._libstdcxx(item, f"{where}.libstdcxx") or libstdcxx
            return Target(python, architecture, cap, own if cap.libc == "glibc" else "")
        return None

    def _libstdcxx(self, table: Mapping[str, Any], where: str) -> str:
        value = table.get("libstdcxx")
        if value is None:
            return ""
        if not isinstance(value, str):
            self.problems.unexpected(where, value, 'expected a string, such as "3.4.22"')
            return ""
        try:
            return check_libstdcxx(value)
        except TargetError as error:
            self.problems.add(where, f"is invalid: {error.message}")
            return ""

    def _libc(self, item: Mapping[str, Any], where: str) -> str:
        """The C library of the target *item*: its own, else the only one of [tool.minglibc]; "" if it is ambiguous."""
        own = [libc for libc in LIBCS if libc in item]
        libcs = own or [libc for libc in LIBCS if libc in self.table] or ["glibc"]
        if len(libcs) == 1:
            return libcs[0]
        if own:
            self.problems.add(where, "has both glibc and musl; write one target for each")
        else:
            self.problems.add(where, "has neither glibc nor musl, and tool.minglibc has both; add one of them here")
        return ""

    def _check_distinguishable(self, name: str, target: Target, named: Mapping[str, Target]) -> None:
        for other, earlier in named.items():
            if earlier.kind == target.kind and earlier.cap != target.cap:
                # Markers (PEP 508) can't express the C library, and tags only separate glibc from musl.
                self.problems.add(
                    "tool.minglibc.target",
                    f"has {other} and {name}, which differ only in {target.cap.libc} and which a lock can't tell apart; "
                    f"use {min(earlier.cap, target.cap)} for both",
                )
            elif earlier.kind == target.kind and earlier.libstdcxx != target.libstdcxx:
                self.problems.add(
                    "tool.minglibc.target",
                    f"has {other} and {name}, which differ only in libstdcxx and which a lock can't tell apart; "
                    "use the lower version for both",
                )
            elif earlier[:2] == target[:2]:
                continue  # one glibc and one musl target, which an installer separates by tags
            elif earlier[1] == target[1] and earlier != target:
                self._check_distinct([earlier.python, target.python], "tool.minglibc.target")


def _order(target: Target) -> tuple[PythonVersion, str, str, Cap]:
    # An exact patch release and "any patch" can't be compared; their markers differ anyway.
    python = target.python
    return python._replace(patch=python.patch or 0), target.architecture, target.cap.libc, target.cap
