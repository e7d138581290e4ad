"""`minglibc sync`: an environment that holds exactly the lock's wheels."""

# Most syncs have nothing to do: what finds that out is all that is imported here.

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from minglibc.cli.options import Namespace, Parser, talk
from minglibc.cli.selection import ENVIRONMENT, add_selection, selection
from minglibc.config import project_files
from minglibc.errors import EXIT_CANNOT, MinglibcError
from minglibc.install import proof
from minglibc.lock import source_files

if TYPE_CHECKING:
    from minglibc.cli.syncing import Outcome


def configure(parser: Parser) -> None:
    """The arguments of `sync`."""
    add_selection(parser)
    add = parser.add_argument
    add("--dry-run", action="store_true", help="print what would change, and change nothing")
    add("--check", action="store_true", help="exit 1 if the environment does not match the lock; changes nothing")
    add("--json", action="store_true", help="print the outcome as JSON on stdout")
    add("--compile-bytecode", action="store_true", help="compile what is installed for a faster first import")


class _Settled(NamedTuple):
    """An environment that is as the last sync for just this left it."""

    prefix: str
    packages: int


def run(arguments: Namespace) -> int:
    """Make the environment match the lock, or say whether it does."""
    settled = _settled(arguments)
    if settled is not None:
        talk(arguments, _nothing_to_do("Nothing to do", settled.packages, settled.prefix))
        return 0
    from minglibc.cli.syncing import synchronize  # noqa: PLC0415  paid for only where something may have to be done

    outcome = synchronize(arguments)
    tell(outcome, arguments)
    return EXIT_CANNOT if arguments.check and outcome.changed else 0


def _settled(arguments: Namespace) -> _Settled | None:
    """The environment, where nothing that a sync looks at has changed since the last one; None where it has to look."""
    if arguments.json or arguments.compile_bytecode or arguments.lock:
        return None
    try:
        folder = project_files.find(arguments.project)
        lock, pyproject = project_files.read_lock(project_files.lock_path(folder)), project_files.read_pyproject(folder)
    except MinglibcError:
        return None  # the whole sync says it better
    given = os.path.abspath(arguments.python or os.path.join(folder, ENVIRONMENT))
    # What lies beside the lock is looked at by the whole sync.
    if lock is None or source_files.lists_any(lock) or not os.path.isdir(given):
        return None
    known = proof.digest(pyproject)
    packages = proof.unchanged_packages(
        given,
        proof.Request(proof.digest(lock), None if arguments.frozen else known, selection(arguments)),
        project=folder,
        pyproject=known,
        executable=os.path.join(given, "bin", "python"),
    )
    return None if packages is None else _Settled(os.path.realpath(given), packages)


# What is said


def tell(outcome: "Outcome", arguments: Namespace) -> None:
    """The summary, as uv words it: how many, how long, and a line for each change with its reason."""
    from minglibc.install.plan import Action  # noqa: PLC0415  paid for only where something was done

    if arguments.json:
        import json  # noqa: PLC0415  the same

        print(json.dumps(as_json(outcome, arguments), indent=2))
    steps = outcome.plan
    only_looked = arguments.dry_run or arguments.check
    counts = {
        "uninstall": len(steps.names(Action.REMOVE)),
        "reinstall": len(steps.names(Action.REINSTALL)),
        "install": len(steps.names(Action.INSTALL)),
    }
    for verb, count in counts.items():
        if count:
            done = f"Would {verb}" if only_looked else f"{verb.capitalize()}ed"
            talk(arguments, f"{done} {count} package{'' if count == 1 else 's'} in {outcome.seconds:.2f}s")
    for step in steps.changes:
        for line in step.lines:
            if only_looked and not arguments.json:
                print(f" {line}")
            else:
                talk(arguments, f" {line}")
    if not steps.changes:
        kept = len(steps.names(Action.KEEP))
        what = "Nothing to do" if not outcome.changed else "Nothing else to do"
        talk(arguments, _nothing_to_do(what, kept, outcome.prefix))


def _nothing_to_do(what: str, packages: int, prefix: str) -> str:
    return f"{what}: {packages} package{'' if packages == 1 else 's'} at {prefix} match the lock"


def as_json(outcome: "Outcome", arguments: Namespace) -> dict[str, Any]:
    """The outcome in the form that docs/reference describes."""
    from minglibc.lock.selection import target_name  # noqa: PLC0415  paid for only where it is asked for

    return {
        "environment": outcome.prefix,
        "python": outcome.executable,
        "target": target_name(outcome.target),
        "changed": outcome.changed and not (arguments.dry_run or arguments.check),
        "matches": not outcome.changed or not (arguments.dry_run or arguments.check),
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
