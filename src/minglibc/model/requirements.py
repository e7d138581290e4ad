"""PEP 508 requirements and markers: what METADATA and pyproject.toml ask for, judged for a target.

The plain forms are read here; the rest, and every error, is packaging's. tests/test_requirements.py holds one against
the other.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from string import whitespace
from typing import Any, NamedTuple

from minglibc.model import versions

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# Whether what stands in brackets and for a specifier is plain too is seen when it is read: the more a pattern says, the
# longer it takes to compile, at each start.
_PLAIN = re.compile(
    rf"\s*(?P<name>{_NAME})\s*(?:\[(?P<extras>[^\]]*)\]\s*)?"
    r"(?P<paren>\()?(?P<specifier>[^;()@\[\]]*)(?(paren)\)\s*)(?:;\s*(?P<marker>\S.*))?\s*",
    re.ASCII,
)
# Far above any honest requirement, and below what int() and a marker's nesting can bear.
_LONGEST = 4000
_SEPARATORS = re.compile(r"[-_.]+")


class InvalidRequirement(ValueError):
    """A text that PEP 508 does not allow; says what is wrong with it."""


class Requirement(NamedTuple):
    """A requirement: normalized name and extras, specifier and marker as written without needless blanks."""

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
        """The name, extras and specifier, as people speak of it."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.name}{extras}{f' @ {self.url}' if self.url else self.specifier}"

    def __str__(self) -> str:
        return (
            f"{self.without_marker}{' ' if self.url and self.marker else ''}{f'; {self.marker}' if self.marker else ''}"
        )


@cache
def normalize_name(name: str) -> str:
    """The normalized form of a project's or extra's name (PEP 503, 685)."""
    return _SEPARATORS.sub("-", name).lower()


@cache
def parse(text: str) -> Requirement:
    """The requirement that *text* states; raises InvalidRequirement. A plain form's marker is judged when it is used."""
    if len(text) > _LONGEST:
        raise InvalidRequirement(f"it is longer than {_LONGEST} characters: {text[:60]!r}…")
    match = _PLAIN.fullmatch(text)
    if match is None:
        return _ask_packaging(text)
    name, listed, _, specifier, marker = match.groups()
    inner = listed.strip(whitespace) if listed else ""
    extras = [extra.strip(whitespace) for extra in inner.split(",")] if inner else []
    if not _are_plain(specifier, extras):
        return _ask_packaging(text)
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


def _ask_packaging(text: str) -> Requirement:
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


class Environment:
    """Marker variables of one target, with every answer remembered."""

    __slots__ = ("_answers", "variables")

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self._answers: dict[tuple[str, str], bool] = {}

    def admits(self, marker: str, extra: str = "") -> bool:
        """Whether *marker* is true here when *extra* is asked for; raises InvalidRequirement for what is no marker."""
        if not marker:
            return True
        asked = (marker, extra)
        answer = self._answers.get(asked)
        if answer is None:
            answer = self._answers[asked] = self._compatibility(marker, extra)
        return answer

    def _compatibility(self, marker: str, extra: str) -> bool:
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
            raise InvalidRequirement(f"{marker[:200]!r} is not a marker: {' '.join(str(error).split())}") from error


@cache
def may_admit(marker: str, extra: str) -> bool:
    """False where no target admits *marker* when *extra* is asked for, whatever its other variables are."""
    tree = _tree(marker) if marker else None
    return tree is None or _allows(tree, extra)


def _allows(tree: Any, extra: str) -> bool:
    # Markers have no "not": what is false with all else true is never true.
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
    """The marker is not in the plain form."""


@cache
def _tree(marker: str) -> Any:
    """``("or", …)``, ``("and", …)`` and (variable, operator, value) leaves; None where packaging must decide."""
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
    found = extra if variable == "extra" else variables[variable]
    return bool((found == value) == (operator == "=="))
