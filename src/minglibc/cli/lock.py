"""`minglibc lock`: pyproject.toml → pylock.toml."""

import gc
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from minglibc.app.lock import LockOptions, LockResult, check_freshness, lock_project
from minglibc.cli.args import ArgumentParser, add_index, add_targets, common_options, target_overrides
from minglibc.cli.output import Terminal, plural, print_json, print_message
from minglibc.config.lock_source import POLICIES
from minglibc.errors import EXIT_CANNOT
from minglibc.lock.changes import Change

if TYPE_CHECKING:
    from minglibc.app.versions_of_source import SourceChange


def configure(parser: ArgumentParser) -> None:
    """The arguments of `lock`."""
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 if the lock is stale; uses no network and writes nothing"
    )
    parser.add_argument("-U", "--upgrade", action="store_true", help="ignore locked versions and select the newest")
    parser.add_argument(
        "-P",
        "--upgrade-package",
        action="append",
        metavar="NAME",
        help="select the newest release of NAME; can be repeated",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON to stdout")
    _add_source(parser)
    add_targets(parser)
    add_index(parser)


def _add_source(parser: ArgumentParser) -> None:
    # No environment variable selects what is locked.
    parser.add_argument(
        "-r",
        "--requirements",
        variable=False,
        action="append",
        metavar="FILE",
        help="lock a requirements file instead of the project; can be repeated",
    )
    parser.add_argument("--script", variable=False, metavar="FILE", help="lock a script with inline metadata (PEP 723)")
    parser.add_argument(
        "-o",
        "--output",
        variable=False,
        metavar="FILE",
        help="with -r or --from: the lock to write, pylock.toml or pylock.NAME.toml",
    )
    parser.add_argument(
        "--from",
        dest="source_lock",
        variable=False,
        metavar="FILE",
        help="lock the versions of another tool's lock: uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml, or a requirements file",
    )
    parser.add_argument(
        "--version-policy",
        variable=False,
        choices=POLICIES,
        help="what to do with versions that the cap excludes: fail (same), select the closest (nearest, the default) or the newest",
    )
    parser.add_argument(
        "--accept-new-hashes",
        variable=False,
        action="store_true",
        help="accept files of a release whose hashes the source lock, or the file of -r, does not list",
    )


def run(arguments: Namespace) -> int:
    """Update the lock, or with --check report whether it is up to date."""
    # A resolution takes a second or two and leaves few reference cycles; collecting them costs more than their memory.
    gc.disable()
    with Terminal.of(arguments) as terminal:
        if arguments.check:
            return _check(lock_options(arguments), terminal)
        result = lock_project(lock_options(arguments), terminal)
    if result.up_to_date:
        terminal.info(f"{result.name} is up to date")
    if arguments.json:
        print_json(as_json(result), indent=None if result.up_to_date else 2)
    if not result.up_to_date:
        print_result(result, terminal, dry_run=arguments.dry_run, on_stdout=arguments.dry_run and not arguments.json)
    return 0


def lock_options(arguments: Namespace) -> LockOptions:
    """The options of the use case."""
    return LockOptions(
        common_options(arguments),
        requirements=arguments.requirements or (),
        script=arguments.script,
        output=arguments.output,
        overrides=target_overrides(arguments),
        upgrade=arguments.upgrade,
        upgrade_packages=arguments.upgrade_package or (),
        dry_run=arguments.dry_run,
        source_lock=arguments.source_lock,
        version_policy=arguments.version_policy,
        accept_new_hashes=arguments.accept_new_hashes,
    )


def _check(options: LockOptions, terminal: Terminal) -> int:
    freshness = check_freshness(options, terminal)
    if not freshness.reasons:
        terminal.info(f"{freshness.name} is up to date")
        return 0
    lines = [f"error: {freshness.name} is stale:", *(f"  {reason}" for reason in freshness.reasons)]
    print_message("\n".join([*lines, f"hint: run `{freshness.command}` and commit the file"]))
    return EXIT_CANNOT


def print_result(result: LockResult, terminal: Terminal, *, dry_run: bool = False, on_stdout: bool = False) -> None:
    """Print how many packages are locked, what changed, and what the cap holds back."""
    packages, targets = plural(result.packages, "package"), plural(len(result.targets), "target")
    terminal.info(f"{'Would lock' if dry_run else 'Locked'} {packages} for {targets} in {result.seconds:.2f}s")
    for change in result.changes:
        if on_stdout:
            print_message(_line(change), sys.stdout)
        else:
            terminal.info(_line(change))
    for source_change in result.source_changes:
        terminal.info(source_line(source_change))
    for filename in result.accepted:
        terminal.info(f"accepted a hash that is not listed: {filename}")
    for release in result.held_back:
        terminal.info(f"held back by the cap: {release}")
    for shared in result.shared:
        terminal.info(f"the same for all targets: {shared}")
    if result.shared:
        terminal.info('fork-strategy = "requires-python" selects the newest releases for each Python')


def _line(change: Change) -> str:
    if change.before is None:
        return f" + {change.name} {change.after}"
    if change.after is None:
        return f" - {change.name} {change.before}"
    if change.before == change.after:
        return f" ~ {change.name} {change.after} (other files)"
    return f" ~ {change.name} {change.before} → {change.after}"


def source_line(change: "SourceChange") -> str:
    """A line for a package whose version is not the one of the source lock."""
    if change.before is None:
        return f"new, not in the source lock: {change.name} {change.after} ({change.reason})"
    return f"changed from the source lock: {change.name} {change.before} → {change.after} ({change.reason})"


def as_json(result: LockResult) -> dict[str, Any]:
    """The result in the form that docs/reference describes."""
    if result.up_to_date:
        return {"changed": False, "changes": [], "held-back": []}
    return {
        "changed": bool(result.changes),
        "packages": result.packages,
        "seconds": round(result.seconds, 3),
        "targets": [target.table for target in result.targets],
        "changes": [change._asdict() for change in result.changes],
        "source-changes": [change._asdict() for change in result.source_changes],
        "accepted-files": list(result.accepted),
        "held-back": [
            {"name": h.name, "locked": h.locked, "newest": h.newest, "needs": str(h.needs)} for h in result.held_back
        ],
    }
