"""Requirements and markers (PEP 508).

Common forms are parsed here, everything else and all errors by packaging. tests/model/test_requirements.py checks that
the results are equal.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache, lru_cache
from string import whitespace
from typing import Any, NamedTuple

from minglibc.model import versions

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# The extras and the specifier are checked separately: compiling a longer pattern takes longer at each start.
_PLAIN = re.compile(
    rf"\s*(?P<name>{_NAME})\s*(?:\[(?P<extras>[^\]]*)\]\s*)?"
    r"(?P<paren>\()?(?P<specifier>[^;()@\[\]]*)(?(paren)\)\s*)(?:;\s*(?P<marker>\S.*))?\s*",
    re.ASCII,
)
# Longer than any real requirement, and below the limits of int() and of the recursion in markers.
_LONGEST = 4000
_SEPARATORS = re.compile(r"[-_.]+")


class InvalidRequirement(ValueError):
    """A text that is not a valid requirement or marker (PEP 508)."""


class Requirement(NamedTuple):
    """A requirement with normalized name and extras; specifier and marker are as written."""

    name: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    marker: str = ""
    url: str = ""

    @property
    def text(self) -> str:
        """The requirement as PEP 508 writes it."""
        return str(self)

    @property
    def without_marker(self) -> str:
        """The name, extras and specifier."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}{f' @ {self.url}' if self.url else self.specifier}"

    def __str__(self) -> str:
        return (
            f"{self.without_marker}{' ' if self.url and self.marker else ''}{f'; {self.marker}' if self.marker else ''}"
        )


def conjunction(*markers: str) -> str:
    """A marker that is true where all *markers* are."""
    parts = list(dict.fromkeys(marker for marker in markers if marker))
    return " and ".join(f"({part})" if len(parts) > 1 and " or " in part else part for part in parts)


def disjunction(markers: Collection[str]) -> str:
    """A marker that is true where any of *markers* is; an empty one is always true."""
    if "" in markers:
        return ""
    parts = list(dict.fromkeys(markers))
    return " or ".join(f"({part})" if len(parts) > 1 else part for part in parts)


# Bounded: clients of the index server choose names.
@lru_cache(maxsize=1 << 16)
def normalize_name(name: str) -> str:
    """The normalized form of a project's or extra's name (PEP 503, 685)."""
    return _SEPARATORS.sub("-", name).lower()


@cache
def parse(text: str) -> Requirement:
    """The requirement *text*; raises InvalidRequirement. A marker may be checked only when it is evaluated."""
    if len(text) > _LONGEST:
        raise InvalidRequirement(f"it is longer than {_LONGEST} characters: {text[:60]!r}…")
    match = _PLAIN.fullmatch(text)
    if match is None:
        return _parse_by_packaging(text)
    name, listed, _, specifier, marker = match.groups()
    inner = listed.strip(whitespace) if listed else ""
    extras = [extra.strip(whitespace) for extra in inner.split(",")] if inner else []
    if not _are_plain(specifier, extras):
        return _parse_by_packaging(text)
    return Requirement(
        normalize_name(name),
        tuple(sorted({normalize_name(extra) for extra in extras})),
        "".join(specifier.split()),
        marker.rstrip(whitespace) if marker else "",
    )


def _are_plain(specifier: str, extras: Sequence[str]) -> bool:
    if specifier.strip(whitespace) and not all(map(versions.is_plain, specifier.split(","))):
        return False
    return all(re.fullmatch(_NAME, extra, re.ASCII) for extra in extras)


def _parse_by_packaging(text: str) -> Requirement:
    from packaging import requirements  # noqa: PLC0415  most requirements are plain

    try:
        parsed = requirements.Requirement(text)
    except requirements.InvalidRequirement as error:
        raise InvalidRequirement(" ".join(str(error).split("\n")[0].split())) from error
    except RecursionError as error:
        raise InvalidRequirement(f"its marker nests too deeply: {text[:60]!r}") from error
    return Requirement(
        normalize_name(parsed.name),
        tuple(sorted(normalize_name(extra) for extra in parsed.extras)),
        str(parsed.specifier),
        str(parsed.marker or ""),
        parsed.url or "",
    )


def kernel_variable(marker: str) -> str:
    """The variable in *marker* that describes a machine's kernel, which no target has; else empty."""
    if "platform_" not in marker:
        return ""
    return next((name for name in ("platform_release", "platform_version") if name in marker), "")


class Environment:
    """The marker variables of one target, and a cache of evaluated markers."""

    __slots__ = ("_results", "variables")

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self._results: dict[tuple[str, str], bool] = {}

    def admits(self, marker: str, extra: str = "") -> bool:
        """Whether *marker* is true for the target when *extra* is requested; raises InvalidRequirement."""
        if not marker:
            return True
        key = (marker, extra)
        result = self._results.get(key)
        if result is None:
            result = self._results[key] = self._evaluate(marker, extra)
        return result

    def _evaluate(self, marker: str, extra: str) -> bool:
        tree = _tree(marker)
        if tree is not None:
            try:
                return _evaluate(tree, self.variables, extra)
            except ValueError as error:
                raise InvalidRequirement(f"{marker[:200]!r} is not a marker: {error}") from error
        from packaging import markers  # noqa: PLC0415  few markers are not plain

        try:
            return bool(markers.Marker(marker).evaluate({**self.variables, "extra": extra}))
        except (markers.UndefinedEnvironmentName, ValueError, RecursionError) as error:
            # The other lines quote the marker.
            reason = " ".join(str(error).split("\n")[0][:200].split())
            raise InvalidRequirement(f"{marker[:200]!r} is not a marker: {reason}") from error


@cache
def may_admit(marker: str, extra: str) -> bool:
    """False if *marker* is false for every target when *extra* is requested."""
    tree = _tree(marker) if marker else None
    return tree is None or _allows(tree, extra)


def _allows(tree: Any, extra: str) -> bool:
    # Markers have no "not": one that is false while all other comparisons are true is always false.
    match tree:
        case ("or", *parts):
            return any(_allows(part, extra) for part in parts)
        case ("and", *parts):
            return all(_allows(part, extra) for part in parts)
    variable, operator, value = tree
    return variable != "extra" or bool((extra == value) == (operator == "=="))


_STRINGS = frozenset(
    (
        "implementation_name",
        "os_name",
        "platform_machine",
        "platform_python_implementation",
        "platform_system",
        "sys_platform",
    )
)
_VERSIONS = frozenset(("python_version", "python_full_version", "implementation_version"))
_TOKEN = re.compile(
    r"""\s*(?:(?P<word>[a-z_]+)|(?P<operator>==|!=|<=|>=|<|>|~=|\(|\))|"(?P<double>[^"]*)"|'(?P<single>[^']*)')\s*"""
)
_PLAIN_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)*(?:\.\*)?", re.ASCII)


class _NotPlain(Exception):
    """The marker is not in a form that is parsed here."""


@cache
def _tree(marker: str) -> Any:
    """``("or", …)``, ``("and", …)`` and (variable, operator, value) tuples; None if packaging has to parse it."""
    tokens: list[tuple[str, str]] = []
    position = 0
    while position < len(marker):
        match = _TOKEN.match(marker, position)
        if match is None or not match.lastgroup:
            return None
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    tokens.reverse()
    try:
        tree = _joined("or", tokens)
    except (_NotPlain, IndexError, RecursionError):
        return None
    return None if tokens else tree


def _joined(word: str, tokens: list[tuple[str, str]]) -> Any:
    parts = [_joined("and", tokens) if word == "or" else _comparison(tokens)]
    while tokens and tokens[-1] == ("word", word):
        tokens.pop()
        parts.append(_joined("and", tokens) if word == "or" else _comparison(tokens))
    return parts[0] if len(parts) == 1 else (word, *parts)


def _comparison(tokens: list[tuple[str, str]]) -> Any:
    kind, variable = tokens.pop()
    if (kind, variable) == ("operator", "("):
        tree = _joined("or", tokens)
        if tokens.pop() != ("operator", ")"):
            raise _NotPlain
        return tree
    operator_kind, operator = tokens.pop()
    value_kind, value = tokens.pop()
    if kind != "word" or operator_kind != "operator" or value_kind not in {"single", "double"}:
        raise _NotPlain
    if variable == "extra" and operator in {"==", "!="}:
        return variable, operator, normalize_name(value)
    if variable in _STRINGS and operator in {"==", "!="}:
        return variable, operator, value
    if variable in _VERSIONS and operator in {"==", "!=", "<", "<=", ">", ">="} and _PLAIN_VERSION.fullmatch(value):
        if value.endswith(".*") and operator not in {"==", "!="}:
            raise _NotPlain
        return variable, operator, value
    raise _NotPlain


def _evaluate(tree: Any, variables: Mapping[str, str], extra: str) -> bool:
    match tree:
        case ("or", *parts):
            return any(_evaluate(part, variables, extra) for part in parts)
        case ("and", *parts):
            return all(_evaluate(part, variables, extra) for part in parts)
    variable, operator, value = tree
    if variable in _VERSIONS:
        return versions.contains(operator + value, variables[variable])
    actual = extra if variable == "extra" else variables[variable]
    return bool((actual == value) == (operator == "=="))
