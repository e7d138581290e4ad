"""`minglibc sync`: update an environment to match the lock."""

# Most syncs change nothing; app.sync and what it needs are imported only where a full sync has to decide.

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from minglibc.app.unchanged_environment import find_unchanged
from minglibc.cli.args import ArgumentParser, add_selection, common_options, sync_options
from minglibc.cli.output import Terminal, plural, print_json, print_text
from minglibc.cli.stale_lock import with_current_lock
from minglibc.errors import EXIT_CANNOT, SettingsError

if TYPE_CHECKING:
    from minglibc.app.sync import SyncOutcome


def configure(parser: ArgumentParser) -> None:
    """The arguments of `sync`."""
    add_selection(parser)
    add = parser.add_argument
    # MINGLIBC_UPGRADE is for `lock`.
    add("-U", "--upgrade", variable=False, action="store_true", help="lock the newest releases first")
    add(
        "-P",
        "--upgrade-package",
        variable=False,
        action="append",
        metavar="NAME",
        help="lock the newest release of NAME first; can be repeated",
    )
    add("--dry-run", action="store_true", help="print what would change, and change nothing")
    # As for `lock --check`.
    add(
        "--check",
        variable=False,
        action="store_true",
        help="exit with 1 if the environment does not match the lock; changes nothing",
    )
    add("--json", action="store_true", help="print the result as JSON to stdout")
    add("--compile-bytecode", action="store_true", help="compile installed files for a faster first import")


def run(arguments: Namespace) -> int:
    """Update the environment, or with --check report whether it matches the lock."""
    common, options = common_options(arguments), sync_options(arguments)
    options = options._replace(
        dry_run=arguments.dry_run or arguments.check, compile_bytecode=arguments.compile_bytecode
    )
    if arguments.upgrade or arguments.upgrade_package:
        _upgrade(arguments)
    # With -v, the target is selected again in order to print it.
    unchanged = None if arguments.json or arguments.verbose else find_unchanged(common, options)
    if unchanged is not None:
        Terminal.of(arguments).info(_unchanged_line("Nothing to do", unchanged.packages, unchanged.prefix))
        return 0
    from minglibc.app.sync import sync_environment  # noqa: PLC0415  100 ms

    with Terminal.of(arguments) as terminal:
        outcome = with_current_lock(lambda: sync_environment(common, options, terminal), arguments, common, terminal)
    if arguments.json:
        print_json(as_json(outcome, dry_run=options.dry_run))
    print_outcome(outcome, terminal, dry_run=options.dry_run, on_stdout=options.dry_run and not arguments.json)
    return EXIT_CANNOT if arguments.check and outcome.changed else 0


def _upgrade(arguments: Namespace) -> None:
    for name in ("locked", "frozen", "lock", "check", "dry_run"):
        if getattr(arguments, name):
            raise SettingsError(
                f"--upgrade can't be combined with --{name.replace('_', '-')}",
                hint="`minglibc lock --upgrade` only locks",
            )
    from minglibc.app.lock import LockOptions  # noqa: PLC0415  few syncs lock
    from minglibc.app.stale_lock import upgrade_lock  # noqa: PLC0415  the same
    from minglibc.cli.lock_output import print_result  # noqa: PLC0415  the same

    options = LockOptions(
        common_options(arguments),
        upgrade=arguments.upgrade,
        upgrade_packages=arguments.upgrade_package or (),
    )
    with Terminal.of(arguments) as terminal:
        print_result(upgrade_lock(options, terminal), terminal)


def print_outcome(
    outcome: "SyncOutcome", terminal: Terminal, *, dry_run: bool = False, on_stdout: bool = False
) -> None:
    """Print the number of changes, and a line for each with its reason."""
    from minglibc.install.plan import Action  # noqa: PLC0415  not needed where nothing changed

    plan = outcome.plan
    if outcome.moved_from:
        done = "Would update" if dry_run else "Updated"
        terminal.info(f"{done} the paths of the environment, which was moved or copied from {outcome.moved_from}")
    counts = {
        "uninstall": len(plan.names(Action.REMOVE)),
        "reinstall": len(plan.names(Action.REINSTALL)),
        "install": len(plan.names(Action.INSTALL)),
    }
    for verb, count in counts.items():
        if count:
            done = f"Would {verb}" if dry_run else f"{verb.capitalize()}ed"
            terminal.info(f"{done} {plural(count, 'package')} in {outcome.seconds:.2f}s")
    for line in (line for step in plan.changes for line in step.lines):
        if on_stdout:
            print_text(f" {line}")
        else:
            terminal.info(f" {line}")
    if not plan.changes:
        what = "Nothing else to do" if outcome.changed else "Nothing to do"
        terminal.info(_unchanged_line(what, len(plan.names(Action.KEEP)), outcome.prefix))


def _unchanged_line(what: str, packages: int, prefix: str) -> str:
    return f"{what}: {plural(packages, 'package')} at {prefix} match the lock"


def as_json(outcome: "SyncOutcome", *, dry_run: bool) -> dict[str, Any]:
    """The outcome in the form of docs/reference/json/sync.schema.json."""
    from minglibc.lock.selection import target_name  # noqa: PLC0415  only for --json

    return {
        "environment": outcome.prefix,
        "python": outcome.executable,
        "target": target_name(outcome.target),
        "changed": outcome.changed and not dry_run,
        "matches": not outcome.changed or not dry_run,
        "steps": [
            {
                "action": step.action.value,
                "name": step.name,
                "old": list(step.old),
                "new": step.new or None,
                "reason": step.reason,
            }
            for step in outcome.plan.steps
        ],
    }
