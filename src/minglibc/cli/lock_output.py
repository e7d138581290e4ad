"""`minglibc lock` with options that are parsed: what it prints, and its exit code."""

import gc
import sys
from typing import TYPE_CHECKING, Any

from minglibc.app.lock import LockOptions, LockResult, lock_project
from minglibc.app.options import CommonOptions
from minglibc.cli.output import Terminal, plural, print_json, print_message
from minglibc.cli.plain_options import PlainOptions
from minglibc.errors import EXIT_CANNOT
from minglibc.lock.changes import Change

if TYPE_CHECKING:
    from minglibc.app.versions_of_source import SourceChange


def run(options: PlainOptions) -> int:
    """The command with options that argparse did not have to read."""
    terminal = Terminal(quiet=options.quiet)
    common = CommonOptions(
        cache_dir=options.cache_dir, offline=options.offline, index_url=options.index_url, warn=terminal.warn
    )
    return (check if options.check else lock)(LockOptions(common), terminal)


def lock(options: LockOptions, terminal: Terminal, *, json: bool = False) -> int:
    """Update the lock."""
    # A resolution takes a second or two and leaves few reference cycles; collecting them costs more than their memory.
    gc.disable()
    with terminal:
        result = lock_project(options, terminal)
    if result.up_to_date:
        terminal.info(f"{result.name} is up to date")
    if json:
        print_json(as_json(result), indent=None if result.up_to_date else 2)
    if not result.up_to_date:
        print_result(result, terminal, dry_run=options.dry_run, on_stdout=options.dry_run and not json)
    return 0


def check(options: LockOptions, terminal: Terminal) -> int:
    """Report whether the lock is up to date."""
    from minglibc.app.freshness import check_freshness  # noqa: PLC0415  3 ms; a lock that is made is not read

    with terminal:
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
    by_reason: dict[str, list[str]] = {}
    for shared in result.shared:
        by_reason.setdefault(shared.reason, []).append(shared.difference)
    for reason, differences in by_reason.items():
        terminal.info(f"the same for all targets: {', '.join(differences)} {reason}")
    if by_reason:
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
