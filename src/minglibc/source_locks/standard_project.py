"""The requirements in [project], [dependency-groups] and PDM's table for development, without local projects."""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from minglibc.model import toml
from minglibc.model.requirements import InvalidRequirement, parse
from minglibc.source_locks.checks import strings, table
from minglibc.source_locks.model import Invalid, SourcePackage


class ProjectRequirements(NamedTuple):
    """What a project requires, as PEP 508 writes it."""

    requirements: tuple[str, ...]
    extras: Mapping[str, tuple[str, ...]]
    groups: Mapping[str, tuple[str, ...]]


@contextmanager
def reading() -> Iterator[None]:
    """Raise Invalid for an error of the TOML that is read within."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the pyproject.toml beside it is invalid: {error}") from error


def read(pyproject: str, local: Sequence[SourcePackage]) -> ProjectRequirements | None:
    """The requirements of a pyproject.toml, without the projects *local*; None if it has no dependencies."""
    with reading():
        document = toml.loads(pyproject.removeprefix("\ufeff"))
    return read_document(document, local)


def read_document(document: Mapping[str, Any], local: Sequence[SourcePackage]) -> ProjectRequirements | None:
    """The requirements in the tables of a pyproject.toml, as ``read``."""
    with reading():
        project = table(document, "project")
        groups = dict(table(document, "dependency-groups"))
        development = table(table(table(document, "tool"), "pdm"), "dev-dependencies")
    if "dependencies" not in project and "optional-dependencies" not in project:
        return None
    skipped = {package.name for package in local}
    extras = table(project, "optional-dependencies")
    return ProjectRequirements(
        tuple(plain(strings(project, "dependencies"), skipped)),
        {name: tuple(plain(strings(extras, name), skipped)) for name in extras},
        {
            name: tuple(plain([*_group(groups, name, set()), *strings(development, name)], skipped))
            for name in (*groups, *(name for name in development if name not in groups))
        },
    )


def _group(groups: Mapping[str, Any], name: str, seen: set[str]) -> Iterator[str]:
    """The requirements of a group and of those that it includes (PEP 735)."""
    if name in seen:
        return
    seen.add(name)
    for item in groups.get(name, []):
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict) and isinstance(item.get("include-group"), str):
            yield from _group(groups, item["include-group"], seen)


def plain(texts: Sequence[str], skipped: Container[str]) -> Iterator[str]:
    """The requirements *texts* without those on *skipped* projects; a URL is locked, whichever reference the project gives."""
    for text in texts:
        if text.startswith("-e "):
            continue  # PDM's form of a local project
        try:
            requirement = parse(text)
        except InvalidRequirement as error:
            raise Invalid(f"the pyproject.toml beside it has the requirement {text!r}: {error}") from error
        if requirement.name not in skipped:
            yield str(requirement._replace(url="") if not requirement.url.endswith(".whl") else requirement)
