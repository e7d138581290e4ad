"""Poetry's syntax for versions and dependencies, converted to requirements (PEP 508).

The syntax is documented at https://python-poetry.org/docs/dependency-specification/.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from minglibc.model import versions
from minglibc.model.requirements import conjunction, disjunction, normalize_name

_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_CLAUSE = re.compile(r"(===?|!=|<=?|>=?|~=)\s*(.+)")
_BETWEEN_CLAUSES = re.compile(r"\s*,\s*|\s+(?=[<>=!~^0-9*])(?<![<>=!~^] )")
_OR = re.compile(r"\|\|?")
_KEYS = frozenset(
    (
        *("version", "extras", "optional", "python", "markers", "platform", "source", "path", "file", "develop", "url"),
        *("git", "branch", "tag", "rev", "subdirectory", "allow-prereleases", "allows-prereleases"),
    )
)
# A release as a tuple without trailing zeros; the end of an interval without an upper bound is above all releases.
_Release = tuple[int, ...]
_END: _Release = (10**9,)
# Versions that a gap between two intervals may exclude one by one.
_MOST_EXCLUDED = 30


class InexpressibleError(ValueError):
    """A constraint has alternatives that no specifier can express."""

    def __init__(self) -> None:
        super().__init__("has alternatives (||) that no specifier of PEP 440 can express; keep one of them")


def requirements(name: str, value: object, *, exact: bool = True) -> Iterator[str]:
    """The requirements for an entry of a dependency table; raises ValueError. Only a URL is included as a source.

    Unless *exact*, alternatives that no specifier can express are left out.
    """
    for fields in entries(value):
        extras = fields.get("extras", [])
        if not isinstance(extras, list) or not all(isinstance(extra, str) for extra in extras):
            raise ValueError("has extras that are not a list of strings")
        requested = f"{normalize_name(name)}[{','.join(extras)}]" if extras else normalize_name(name)
        url, marker = _string(fields, "url"), marker_of(fields)
        try:
            address = f" @ {url}" if url else specifier(_string(fields, "version") or "*")
        except InexpressibleError:
            if exact:
                raise
            address = ""
        yield f"{requested}{address} ; {marker}" if marker else f"{requested}{address}"


def entries(value: object) -> list[Mapping[str, Any]]:
    """The alternatives of an entry of a dependency table, as tables; raises ValueError."""
    listed = value if isinstance(value, list) else [value]
    tables: list[Mapping[str, Any]] = [entry if isinstance(entry, dict) else {"version": entry} for entry in listed]
    for table in tables:
        if unknown := sorted(table.keys() - _KEYS):
            raise ValueError(f"has the key {unknown[0]}, which is not one of Poetry's")
    return tables


def marker_of(fields: Mapping[str, Any]) -> str:
    """The marker for the Pythons and platforms of one alternative; empty if it has none. Raises ValueError."""
    platform = _string(fields, "platform")
    on_platform = f'sys_platform == "{platform}"' if platform else ""
    return conjunction(_string(fields, "markers"), _python_marker(_string(fields, "python")), on_platform)


def _string(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key, "")
    if not isinstance(value, str):
        raise ValueError(f"has the {key} {value!r}, which is not a string")  # noqa: TRY004  reported with all mistakes
    return value


def _python_marker(constraint: str) -> str:
    return disjunction(
        [
            conjunction(*(_comparison(clause) for clause in specifier(part).split(",") if clause))
            for part in _OR.split(constraint)
        ]
    )


def _comparison(clause: str) -> str:
    match = _CLAUSE.fullmatch(clause)
    if match is None:
        raise ValueError(f"has {clause!r}, which is not a version of Python")
    version = match[2].removesuffix(".*")
    variable = "python_version" if version.count(".") < 2 else "python_full_version"
    return f'{variable} {match[1]} "{version}"'


def python_specifier(constraint: str) -> str:
    """The requires-python of a constraint on Python; alternatives for Python 2 are left out. Raises ValueError."""
    alternatives = [alternative for alternative in _OR.split(constraint) if not _is_python_2(alternative)]
    return specifier(" || ".join(alternatives))


def _is_python_2(constraint: str) -> bool:
    try:
        return _interval(specifier(constraint))[1] <= (3,)
    except ValueError:
        return False


def specifier(constraint: str) -> str:
    """The specifier (PEP 440) of a constraint; raises ValueError, also for alternatives that none can express."""
    alternatives = [_conjunction(alternative) for alternative in _OR.split(constraint)]
    return alternatives[0] if len(alternatives) == 1 else _union(alternatives)


def _conjunction(constraint: str) -> str:
    return ",".join(filter(None, map(_clause, _BETWEEN_CLAUSES.split(constraint.strip()))))


def _clause(text: str) -> str:
    text = text.strip().replace(" ", "")
    if text in {"", "*"}:
        return ""
    if text.startswith(("^", "~")) and not text.startswith("~="):
        version = text[1:].removesuffix(".*")
        return f">={version},<{_upper(version, caret=text[0] == '^')}"
    if text[0].isdigit():
        text = f"=={text}"
    if re.fullmatch(r"=[0-9].*", text):
        text = f"={text}"
    if re.fullmatch(r"(==|!=)[0-9]+(\.[0-9]+)*\.\*", text):
        return text
    match = _CLAUSE.fullmatch(text)
    if match is None or versions.normalize(match[2]) is None:
        raise ValueError(f"has {text!r}, which is not a version in Poetry's syntax")
    return text


def _upper(version: str, *, caret: bool) -> str:
    """The first version that ^ or ~ excludes: ^1.2.3 is <2.0, ^0.2.3 is <0.3, ~1.2.3 is <1.3, ~1 is <2."""
    match = _RELEASE.match(version)
    if match is None or versions.normalize(version) is None:
        raise ValueError(f"has {version!r}, which is not a version in Poetry's syntax")
    numbers = [int(number) for number in match[0].split(".")]
    if caret:
        position = next((i for i, number in enumerate(numbers) if number), len(numbers) - 1)
    else:
        position = min(1, len(numbers) - 1)
    return ".".join(map(str, [*numbers[:position], numbers[position] + 1]))


def _union(specifiers: Iterable[str]) -> str:
    """The specifier of versions that one of *specifiers* contains; raises ValueError if there is none."""
    joined: list[tuple[_Release, _Release]] = []
    for lower, upper in sorted(map(_interval, specifiers)):
        if joined and lower <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], upper)
        else:
            joined.append((lower, upper))
    clauses = [f">={_text(joined[0][0])}"] if joined[0][0] else []
    for (_, end), (start, _) in pairwise(joined):
        clauses += _excluded(end, start)
    return ",".join([*clauses, *([f"<{_text(joined[-1][1])}"] if joined[-1][1] != _END else [])])


def _excluded(end: _Release, start: _Release) -> list[str]:
    """The clauses that exclude the releases from *end* to before *start*."""
    length = max(len(end), len(start))
    first, last = (release + (0,) * (length - len(release)) for release in (end, start))
    if first[:-1] != last[:-1] or last[-1] - first[-1] > _MOST_EXCLUDED:
        raise InexpressibleError
    return [f"!={_text((*first[:-1], number))}.*" for number in range(first[-1], last[-1])]


def _interval(specifier: str) -> tuple[_Release, _Release]:
    lower, upper = _Release(), _END
    for clause in filter(None, specifier.split(",")):
        match = _CLAUSE.fullmatch(clause)
        release = _RELEASE.fullmatch(match[2].removesuffix(".*")) if match is not None else None
        if match is None or release is None:
            raise InexpressibleError
        numbers = _trimmed(int(number) for number in release[0].split("."))
        if match[1] == ">=":
            lower = max(lower, numbers)
        elif match[1] == "<":
            upper = min(upper, numbers)
        elif match[1] == "==" and match[2].endswith(".*"):
            first = [int(number) for number in release[0].split(".")]
            lower, upper = max(lower, numbers), min(upper, _trimmed([*first[:-1], first[-1] + 1]))
        else:
            raise InexpressibleError
    return lower, upper


def _trimmed(numbers: Iterable[int]) -> _Release:
    release = [*numbers]
    while release and not release[-1]:
        release.pop()
    return tuple(release)


def _text(release: _Release) -> str:
    return ".".join(map(str, release))
