"""`minglibc check FILE`: the output for a lock of another tool."""

from argparse import Namespace
from typing import Any

from minglibc.app.check_caps import CheckOptions
from minglibc.app.check_source_lock import FileFinding, SourceCheck, check_source_lock
from minglibc.cli.output import Terminal, plural, print_json, print_message, print_text
from minglibc.errors import EXIT_CANNOT
from minglibc.lock.selection import target_name


def run(arguments: Namespace, options: CheckOptions) -> int:
    """Print the files that a cap does not allow; 1 if there are any."""
    with Terminal.of(arguments) as terminal:
        result = check_source_lock(arguments.path[0], options, terminal, verify=arguments.verify)
    if arguments.json:
        print_json(as_json(result))
    else:
        for line in table(result):
            print_text(line)
    caps = ", ".join(sorted({target.cap.named for target in result.targets}))
    files = f"{plural(result.files, 'file')} of {plural(result.packages, 'package')} in {result.path}"
    terminal.info(
        f"Checked {files} against {caps}, checked by {result.method}: {plural(len(result.findings), 'finding')}"
    )
    if result.unchecked:
        terminal.info(f"not checked: {', '.join(result.unchecked)}")
    if result.findings and not arguments.quiet:
        print_message(f"hint: `minglibc lock --from {arguments.path[0]}` makes a lock within the cap")
    return EXIT_CANNOT if result.findings else 0


def table(result: SourceCheck) -> list[str]:
    """One line for each finding, in columns."""
    rows = [(f"{f.name} {f.version}", f.filename or "-", _need(f), _targets(f, result)) for f in result.findings]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]).rstrip()
        for row in rows
    ]


def _need(finding: FileFinding) -> str:
    return finding.needs if finding.has_alternative or not finding.filename else f"{finding.needs}; no other file"


def _targets(finding: FileFinding, result: SourceCheck) -> str:
    if len(finding.targets) == len(result.targets):
        return ""
    return ", ".join(target_name(target) for target in finding.targets)


def as_json(result: SourceCheck) -> dict[str, Any]:
    """The result in the form that docs/reference/json-output.md describes."""
    return {
        "checked": result.path,
        "format": result.format,
        "method": result.method,
        "files": result.files,
        "packages": result.packages,
        "targets": [target.table for target in result.targets],
        "findings": [
            {
                "name": finding.name,
                "version": finding.version,
                "file": finding.filename or None,
                "needs": finding.needs,
                "targets": [target_name(target) for target in finding.targets],
                "has-alternative": finding.has_alternative,
            }
            for finding in result.findings
        ],
        "not-checked": list(result.unchecked),
    }
