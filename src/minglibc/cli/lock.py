"""`minglibc lock`: pyproject.toml → pylock.toml."""

import gc
import sys
from argparse import Namespace
from typing import Any

from minglibc.app.lock import LockOptions, LockResult, check_freshness, lock_project
from minglibc.cli.args import ArgumentParser, add_index, add_targets, common_options, target_overrides
from minglibc.cli.output import Terminal, plural, print_json, print_message
from minglibc.errors import EXIT_CANNOT
from minglibc.lock.changes import Change


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
        help="with -r: the lock to write, pylock.toml or pylock.NAME.toml",
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
    for release in result.held_back:
        terminal.info(f"held back by the cap: {release}")


def _line(change: Change) -> str:
    if change.before is None:
        return f" + {change.name} {change.after}"
    if change.after is None:
        return f" - {change.name} {change.before}"
    if change.before == change.after:
        return f" ~ {change.name} {change.after} (other files)"
    return f" ~ {change.name} {change.before} → {change.after}"


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
        "held-back": [
            {"name": h.name, "locked": h.locked, "newest": h.newest, "needs": str(h.needs)} for h in result.held_back
        ],
    }
