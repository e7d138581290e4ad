"""`minglibc export`: the lock as requirements.txt or CycloneDX."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minglibc.cli.options import Namespace, Parser, talk
from minglibc.cli.selection import add_part
from minglibc.cli.syncing import Source, read_source, select
from minglibc.config import project_files
from minglibc.errors import MinglibcError, SettingsError
from minglibc.lock import requirements_txt
from minglibc.lock.selection import find_targets
from minglibc.model.targets import Target

if TYPE_CHECKING:
    from minglibc.lock.requirements_txt import Selections


def configure(parser: Parser) -> None:
    """The arguments of `export`."""
    add = parser.add_argument
    add("--format", choices=["requirements", "cyclonedx"], default="requirements", help="what to write")
    add("--index", action="store_true", help="write name==version with its hash, for an index, instead of URLs")
    add_part(parser)
    add("-o", "--output", metavar="FILE", help="write this file instead of stdout")


def run(arguments: Namespace) -> int:
    """Write the lock in the form that is asked for."""
    if arguments.index and arguments.format != "requirements":
        raise SettingsError("--index is a style of --format requirements", hint="leave one of the two out")
    source = read_source(arguments)
    targets = find_targets(arguments.target, source.lock.targets, source.lock.names)
    text = (
        _requirements(source, targets, arguments)
        if arguments.format == "requirements"
        else _sbom(source, targets, arguments)
    )
    if not arguments.output:
        print(text, end="")
        return 0
    try:
        project_files.replace(os.path.realpath(arguments.output), text.encode())
    except OSError as error:
        raise MinglibcError(f"can't write {arguments.output}: {error.strerror}") from error
    talk(arguments, f"Wrote {arguments.output}")
    return 0


def _requirements(source: Source, targets: Sequence[Target], arguments: Namespace) -> str:
    requirements_txt.check_distinct(targets)
    selections = _selections(source, targets, arguments)
    for name in sorted(package.name for found in selections.values() for package, wheel in found if wheel.url is None):
        raise SettingsError(
            f"{name} lies on this machine, and requirements.txt can't give it to another",
            hint="`minglibc bundle` takes it along",
        )
    return requirements_txt.dumps(selections, index=arguments.index)


def _sbom(source: Source, targets: Sequence[Target], arguments: Namespace) -> str:
    try:
        from minglibc.lock import sbom  # noqa: PLC0415  the library is an optional extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("cyclonedx", "packageurl")):
            raise
        raise MinglibcError(
            "CycloneDX is written by cyclonedx-python-lib, which is not installed",
            hint="install minglibc[sbom]",
        ) from error
    selections = _selections(source, targets, arguments)
    return sbom.dumps(selections, pyproject=source.pyproject, lock=source.lock_text)


def _selections(source: Source, targets: Sequence[Target], arguments: Namespace) -> "Selections":
    return {target: select(source.lock, target, arguments) for target in targets}
