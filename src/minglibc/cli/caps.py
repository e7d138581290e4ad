"""`minglibc caps`: which release of each package every cap would lock."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from minglibc.cli.lock_sources import existing, own
from minglibc.cli.locked import advisories_of, targets_as_json
from minglibc.cli.locking import Work, work
from minglibc.cli.options import Namespace, Parser, add_index, add_targets, talk
from minglibc.cli.progress import Progress
from minglibc.cli.selection import add_lock
from minglibc.cli.table import print_table
from minglibc.errors import EXIT_CANNOT, SettingsError
from minglibc.insight.caps import CapRange, changed_and_unchanged, compare_caps, with_vulnerabilities
from minglibc.model.targets import Cap, Target


def configure(parser: Parser) -> None:
    """The arguments of `caps`."""
    parser.add_argument("--all", action="store_true", help="list the packages that every cap locks alike, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_lock(parser)
    add_targets(parser)
    add_index(parser)


def run(arguments: Namespace) -> int:
    """Print the curve; 1 where no cap at all can be locked."""
    # What a lock is made from is all that is asked of it; a project need not be locked at all.
    asked = existing(arguments)[1] if arguments.lock else own(arguments)
    with (
        Progress(arguments) as progress,
        work(asked.text, arguments, origin=asked.origin, place=asked.folder, on_fetch=progress.fetching) as found,
    ):
        if all(target.cap.libc == "musl" for target in found.settings.targets):
            raise SettingsError(
                "the curve is one of glibc caps, and no target has glibc",
                hint="`minglibc outdated` says what the musl cap holds back",
            )
        steps = measure(found, arguments)
        targets = found.settings.targets
        newest = newest_releases(found, steps)
    if arguments.json:
        print(json.dumps(as_json(steps, targets), indent=2))
    else:
        _print(steps, newest, targets, everything=arguments.all)
    _summarize(steps, arguments)
    return 0 if any(step.versions for step in steps) else EXIT_CANNOT


def measure(found: Work, arguments: Namespace) -> list[CapRange]:
    """The curve of a project, with the vulnerabilities that each cap carries."""
    targets = list({target.kind: target for target in found.settings.targets}.values())
    steps = compare_caps(found.roots, targets, found.compatibilities[0].at, found.source, policy=found.policy)
    newest = newest_releases(found, steps)
    releases = {release for step in steps for release in step.releases}
    known = advisories_of(found, arguments).of(releases, newest=newest.items())
    return with_vulnerabilities(steps, known)


def newest_releases(found: Work, steps: Sequence[CapRange]) -> dict[str, str]:
    """The newest release of each package of the curve, a pre-release only where there is nothing else."""
    newest = {}
    for name in {name for step in steps for name in step.versions}:
        versions = found.source.project(name).versions
        finals = versions.all & ~versions.prereleases or versions.all
        newest[name] = str(versions.texts[finals.bit_length() - 1])
    return newest


def _print(
    steps: Sequence[CapRange], newest: Mapping[str, str], targets: Sequence[Target], *, everything: bool
) -> None:
    moved, still = changed_and_unchanged(steps)
    names = [*moved, *still] if everything else moved
    caps = {target.cap for target in targets}
    heads = ["glibc", *(f"{step}{_here(step, caps)}" for step in steps)]
    rows = [[name, *(", ".join(step.versions.get(name, ("-",))) for step in steps)] for name in sorted(names)]
    rows.append(["vulnerabilities", *(_count(step) for step in steps)])
    rows.append(["are the newest", *(_newest(step, newest) for step in steps)])
    print_table(heads, rows)
    for step in steps:
        if not step.versions:
            print(f"glibc {step} can lock nothing: {step.problem}")


def _here(step: CapRange, caps: set[Cap]) -> str:
    """A mark at the project's own cap."""
    return " *" if any(step.lowest <= cap <= step.highest for cap in caps) else ""


def _count(step: CapRange) -> str:
    if not step.versions:
        return "-"
    if step.vulnerable is None:
        return "unknown"
    return f"{step.vulnerable}, {step.unknown} unknown" if step.unknown else str(step.vulnerable)


def _newest(step: CapRange, newest: Mapping[str, str]) -> str:
    if not step.versions:
        return "-"
    return f"{sum(step.versions[name][-1] == newest[name] for name in step.versions)} of {len(step.versions)}"


def _summarize(steps: Sequence[CapRange], arguments: Namespace) -> None:
    moved, still = changed_and_unchanged(steps)
    more = f"; {len(still)} more are the same under every cap" if still and not arguments.all else ""
    talk(arguments, f"The cap decides on {len(moved)} packages (* is the project's own){more}")


def as_json(steps: Sequence[CapRange], targets: Sequence[Target]) -> dict[str, Any]:
    """The curve in the form that docs/reference/json/caps.schema.json describes."""
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
