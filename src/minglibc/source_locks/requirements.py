"""Requirements files as locks.

The format is https://pip.pypa.io/en/stable/reference/requirements-file-format/. This reads what pip-compile, ``uv export`` and ``poetry export`` write, with and without hashes. A file has no names of the
files of its packages.
"""

import re
from collections.abc import Mapping

from minglibc.config.requirements_file import Kind, lines
from minglibc.model.requirements import Requirement, parse
from minglibc.source_locks.flat import merged
from minglibc.source_locks.model import Invalid, SourceFile, SourceKind, SourceLock, SourcePackage

_PINNED = re.compile(r"===?\s*([^\s,;*]+)")


def read(content: str, beside: Mapping[str, str] | None = None) -> SourceLock:  # noqa: ARG001  it has all requirements
    """The lock in the text of a requirements file; raises Invalid that lists every mistake."""
    packages: list[SourcePackage] = []
    local: list[SourcePackage] = []
    requirements: list[str] = []
    problems: list[str] = []
    for line in lines(content, as_lock=True):
        if line.kind is Kind.REQUIREMENT:
            package = _package(parse(line.text), line.hashes)
            packages.append(package)
            requirements.append(_root(parse(line.text), package))
        elif line.kind is Kind.LOCAL:
            local.append(SourcePackage(line.text, "", SourceKind.LOCAL, line.text))
        elif line.kind in {Kind.INCLUDE, Kind.CONSTRAINTS}:
            problems.append(f"line {line.number} includes {line.text}; lock that file as well")
        elif line.kind is Kind.PROBLEM:
            problems.append(f"line {line.number} {line.text}")
    if problems:
        raise Invalid("\n".join(problems))
    return SourceLock(
        format="requirements file",
        packages=tuple(packages),
        requirements=merged(requirements),
        local=tuple(local),
        names_files=False,
    )


def _package(requirement: Requirement, hashes: tuple[str, ...]) -> SourcePackage:
    pinned = _PINNED.fullmatch(requirement.specifier)
    is_direct = bool(requirement.url)
    is_vcs = requirement.url.startswith(("git+", "hg+", "svn+", "bzr+"))
    return SourcePackage(
        name=requirement.name,
        version=pinned[1] if pinned else "",
        kind=SourceKind.VCS if is_vcs else SourceKind.URL if is_direct else SourceKind.INDEX,
        location=requirement.url,
        files=tuple(SourceFile("", value) for value in hashes),
        marker=requirement.marker,
        extras=requirement.extras,
    )


def _root(requirement: Requirement, package: SourcePackage) -> str:
    """The requirement without a pinned version: the policy decides whether that may change."""
    text = requirement._replace(specifier="", marker="") if package.version else requirement._replace(marker="")
    return f"{text} ; {requirement.marker}" if requirement.marker else str(text)
