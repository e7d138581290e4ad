"""`minglibc caps`: compare resolutions under different caps."""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from minglibc.app.caps import CapComparison, compare_caps
from minglibc.cli.args import ArgumentParser, add_index, add_lock, add_osv, add_targets
from minglibc.cli.output import Terminal, print_json, print_table, print_text
from minglibc.cli.tables import Cell, Record
from minglibc.cli.tables import print_table as print_colored_table
from minglibc.cli.targets import targets_as_json
from minglibc.cli.why import explain_options
from minglibc.errors import EXIT_CANNOT
from minglibc.insight.caps import CapRange, changed_and_unchanged
from minglibc.model.distributions import distributions
from minglibc.model.targets import Cap, Target

# In the words of the report.
_NO_SOLUTION = "no solution"


def configure(parser: ArgumentParser) -> None:
    """The arguments of `caps`."""
    parser.add_argument(
        "--all", variable=False, action="store_true", help="also list packages that are the same under every cap"
    )
    parser.add_argument(
        "--distributions",
        action="store_true",
        help="list the distributions that can be named as a cap, and their glibc",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)
    add_osv(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print the resolution under each range of caps; exit with 1 where no cap has one."""
    if arguments.distributions:
        _print_distributions(as_json=arguments.json)
        return 0
    with Terminal.of(arguments) as terminal:
        comparison = compare_caps(explain_options(arguments), terminal)
    steps = comparison.ranges
    if arguments.json:
        print_json(as_json(steps, comparison.targets))
    else:
        _print(comparison, everything=arguments.all)
    terminal.info(_summary(steps, everything=arguments.all))
    return 0 if any(step.versions for step in steps) else EXIT_CANNOT


def _print_distributions(*, as_json: bool) -> None:
    known = distributions().values()
    if as_json:
        print_json([{_as_key(key): value or None for key, value in one._asdict().items()} for one in known])
        return
    heads = ["name", "glibc", "libstdc++", "end of life", "extended support until"]
    rows = [[one.name, one.glibc, one.glibcxx, one.end_of_life, one.end_of_extended_support] for one in known]
    print_table(heads, [[value or "-" for value in row] for row in rows])


def _as_key(name: str) -> str:
    return name.replace("_", "-")


def _print(comparison: CapComparison, *, everything: bool) -> None:
    steps = comparison.ranges
    changing, constant = changed_and_unchanged(steps)
    names = [*changing, *constant] if everything else changing
    caps = {target.cap for target in comparison.targets}
    heads = [Cell("glibc"), *(Cell(f"{step}{mark}", "reverse" if mark else "") for step, mark in _marked(steps, caps))]
    rows = [
        [Cell(name, "bold"), *(_versions(step, name, comparison.newest) for step in steps)] for name in sorted(names)
    ]
    rows.append([Cell("vulnerabilities", "bold"), *(Cell(_vulnerabilities(step)) for step in steps)])
    rows.append([Cell("newest releases", "bold"), *(Cell(_newest(step, comparison.newest)) for step in steps)])
    print_colored_table(heads, rows, lambda: (_record(row, steps, caps) for row in rows))
    for step in steps:
        if not step.versions:
            print_text(f"glibc {step} has no solution: {step.problem}")


def _versions(step: CapRange, name: str, newest: Mapping[str, str]) -> Cell:
    versions = step.versions.get(name)
    if versions is None:
        return Cell("not needed" if step.versions else _NO_SOLUTION, "dim")
    return Cell(", ".join(versions), "green" if versions[-1] == newest.get(name) else "")


def _record(row: Sequence[Cell], steps: Sequence[CapRange], caps: set[Cap]) -> Record:
    """A row for a narrow terminal: a line for each range of caps with the same value."""
    lines: list[Cell] = []
    for cell, same in groupby(zip(row[1:], steps, strict=True), key=lambda pair: pair[0]):
        members = [step for _, step in same]
        span = members[0]._replace(highest=members[-1].highest)
        mark = " *" if any(_mark(step, caps) for step in members) else ""
        lines.append(Cell(f"glibc {span}{mark}: {cell.text}", cell.style))
    return Record(row[0], lines)


def _marked(steps: Sequence[CapRange], caps: set[Cap]) -> Iterator[tuple[CapRange, str]]:
    return ((step, _mark(step, caps)) for step in steps)


def _mark(step: CapRange, caps: set[Cap]) -> str:
    """The mark of the project's own cap."""
    return " *" if any(step.lowest <= cap <= step.highest for cap in caps) else ""


def _vulnerabilities(step: CapRange) -> str:
    if not step.versions:
        return _NO_SOLUTION
    if step.vulnerable is None:
        return "unknown"
    return f"{step.vulnerable}, {step.unknown} unknown" if step.unknown else str(step.vulnerable)


def _newest(step: CapRange, newest: Mapping[str, str]) -> str:
    if not step.versions:
        return _NO_SOLUTION
    return f"{sum(step.versions[name][-1] == newest[name] for name in step.versions)} of {len(step.versions)}"


def _summary(steps: Sequence[CapRange], *, everything: bool) -> str:
    changing, constant = changed_and_unchanged(steps)
    summary = f"{len(changing)} packages depend on the cap (* marks the project's cap)"
    return f"{summary}; {len(constant)} are the same under every cap" if constant and not everything else summary


def as_json(steps: Sequence[CapRange], targets: Sequence[Target]) -> dict[str, Any]:
    """The comparison in the form that docs/reference/json/caps.schema.json describes."""
    return {
        "targets": targets_as_json(targets),
        "steps": [
            {
                "lowest": str(step.lowest),
                "highest": str(step.highest),
                "packages": {name: list(versions) for name, versions in step.versions.items()},
                "problem": step.problem,
                "vulnerabilities": {"known": step.vulnerable, "unknown-releases": step.unknown},
            }
            for step in steps
        ],
    }
