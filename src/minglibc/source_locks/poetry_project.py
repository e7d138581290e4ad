"""The requirements in the pyproject.toml of Poetry: [project], and its own tables with its own syntax for versions."""

from collections.abc import Sequence

from minglibc.config import poetry_project, poetry_syntax
from minglibc.model import toml
from minglibc.source_locks.model import Invalid, SourceKind, SourcePackage
from minglibc.source_locks.standard_project import ProjectRequirements, read_document, reading


def read(pyproject: str, packages: Sequence[SourcePackage]) -> ProjectRequirements | None:
    """The requirements in a pyproject.toml, without local projects among *packages*; None if it has none for Poetry."""
    with reading():
        document = toml.loads(pyproject.removeprefix("\ufeff"))
    poetry = poetry_project.poetry_table(document)
    # The name decides between a project of Poetry and the settings of minglibc alone.
    if not poetry.get("dependencies") and not poetry.get("group") and "dependencies" not in document.get("project", {}):
        return None
    from_elsewhere = {package.name for package in packages if package.kind is not SourceKind.LOCAL}
    local = [package for package in packages if package.name not in from_elsewhere]
    mistakes: list[str] = []

    def report(key: str, message: str) -> None:
        if not key.startswith("tool.poetry.extras."):  # as Poetry, which ignores unknown names there
            mistakes.append(f"{key} {message}")

    standard = poetry_project.standard(document, report, exact=False)
    if mistakes:
        raise Invalid("the pyproject.toml beside it is invalid:\n" + "\n".join(mistakes))
    return read_document(standard, local)


def specifier(constraint: str) -> str:
    """The specifier (PEP 440) of a constraint in Poetry's syntax; empty for alternatives that none can express."""
    try:
        return poetry_syntax.python_specifier(constraint)
    except ValueError as error:
        if "|" in constraint:
            return ""
        raise Invalid(str(error)) from error
