"""`minglibc lock`: pyproject.toml → pylock.toml."""

import gc
import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minglibc.cli import color
from minglibc.cli.lock_sources import Subject, add_lock_source, check_lock_source, subject
from minglibc.cli.locking import Locked, Work, digest, overrides, work
from minglibc.cli.options import Namespace, Parser, add_index, add_targets, talk
from minglibc.cli.progress import Progress
from minglibc.config import project_files
from minglibc.config.lock_source import PROJECT_FILE, LockSource
from minglibc.config.parser import parse
from minglibc.errors import EXIT_CANNOT, LockError
from minglibc.insight.held_back import HeldBack, held_back
from minglibc.lock import source_files
from minglibc.lock.digest import lock_digests
from minglibc.lock.document import Change, Lock, changes, dumps, loads, merge, version_of, versions_of
from minglibc.model.artifacts import Artifact, Sdist
from minglibc.model.requirements import normalize_name
from minglibc.model.targets import Target
from minglibc.resolve.resolver import Resolution


def configure(parser: Parser) -> None:
    """The arguments of `lock`."""
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if the lock is stale; asks no network, writes nothing"
    )
    parser.add_argument("-U", "--upgrade", action="store_true", help="take the newest releases, whatever is locked")
    parser.add_argument(
        "-P",
        "--upgrade-package",
        action="append",
        metavar="NAME",
        help="take the newest release of NAME; repeat for more",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would change, and write nothing")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON on stdout")
    add_lock_source(parser)
    add_targets(parser)
    add_index(parser)


class Outcome(NamedTuple):
    """What a run of `lock` found and did."""

    text: str
    packages: int
    targets: tuple[Target, ...]
    changes: list[Change]
    held_back: list[HeldBack]
    seconds: float


def run(arguments: Namespace) -> int:
    """Bring the lock up to date, or say whether it is."""
    asked = subject(arguments)
    text, path = asked.text, asked.path
    old = project_files.read_lock(path)
    if arguments.check:
        return check(asked, old, arguments)
    if old is not None and is_fresh(asked, old, arguments) and not (arguments.upgrade or arguments.upgrade_package):
        project_files.tidy(asked.folder)
        talk(arguments, f"{asked.name} is up to date")
        if arguments.json:
            print(json.dumps({"changed": False, "changes": [], "held-back": []}))
        return 0
    if old is not None:
        check_lock_source(old, asked)
    if arguments.dry_run:
        tell(lock(text, old, arguments, origin=asked.origin, place=asked.folder), arguments)
        return 0
    with project_files.lock(
        asked.folder, on_wait=lambda holder: talk(arguments, f"waiting for another minglibc ({holder})")
    ):
        # Another one may have changed both files before this one's turn.
        text = asked.read_again()
        outcome = lock(text, project_files.read_lock(path), arguments, origin=asked.origin, place=asked.folder)
        project_files.write_lock(path, outcome.text)
    tell(outcome, arguments)
    return 0


def is_fresh(asked: Subject, old: str, arguments: Namespace) -> bool:
    """Whether the lock *old* is whole and was made from just these inputs."""
    found = lock_digests(old)
    if found is None or not found.intact or found.inputs != digest(asked.text, arguments):
        return False
    return not (source_files.lists_any(old) and source_files.changed(old, asked.folder))


def check(asked: Subject, old: str | None, arguments: Namespace) -> int:
    """`lock --check`: 0 where the lock is up to date, else 1 and why."""
    hint = f"run `{asked.origin.command}` and commit the file"
    if old is None:
        raise LockError(f"there is no {asked.name}", hint=hint)
    if is_fresh(asked, old, arguments):
        talk(arguments, f"{asked.name} is up to date")
        return 0
    lock = loads(old, name=asked.name)
    check_lock_source(old, asked)
    reasons = [f"{path} has changed" for path in source_files.changed(old, asked.folder)]
    if lock.inputs != digest(asked.text, arguments) or not reasons:
        reasons += staleness(lock, asked, arguments)
    lines = [f"error: {asked.name} is stale:", *(f"  {reason}" for reason in reasons)]
    color.say("\n".join([*lines, f"hint: {hint}"]))
    return EXIT_CANNOT


def staleness(lock: Lock, asked: Subject, arguments: Namespace) -> list[str]:
    """What of pyproject.toml the lock does not meet, as far as that can be told without asking the index."""
    origin = asked.origin
    settings = parse(asked.text, name=origin.name, overrides=overrides(arguments), written=origin.is_project)
    reasons = []
    for target in settings.targets:
        if target not in lock.targets:
            near = [t for t in lock.targets if t.kind == target.kind]
            was = f": the lock was made for {near[0].cap.named}" if near else ""
            reasons.append(f"{target} is asked for{was}")
    wanted = {target.kind for target in settings.targets}
    reasons += [f"{t} is in the lock and no longer asked for" for t in lock.targets if t.kind not in wanted]
    locked: dict[str, list[str]] = {}
    for package in lock.pylock.packages:
        locked.setdefault(package.name, []).append(str(package.version))
    required = [
        *settings.requirements,
        *(r for found in (settings.extras, settings.groups) for rs in found.values() for r in rs),
    ]
    reasons += [f"{r.name} is required and not locked" for r in required if not r.marker and r.name not in locked]
    return list(dict.fromkeys(reasons)) or ["a requirement or a setting was changed since"]


def lock(
    text: str, old: str | None, arguments: Namespace, *, origin: LockSource = PROJECT_FILE, place: str | None = None
) -> Outcome:
    """Resolve the project anew, keeping what *old* locks unless an upgrade is asked for."""
    began = time.monotonic()
    # A lock lives for a second or two and makes no cycles worth looking for.
    gc.disable()
    before = _old_lock(old, arguments)
    kept = _kept(before, arguments)
    everything = {
        name: version for target in (before.targets if before else ()) for name, version in kept(target).items()
    }
    with (
        Progress(arguments) as progress,
        work(
            text, arguments, origin=origin, place=place, locked=everything, builds=True, on_fetch=progress.fetching
        ) as found,
    ):
        answers = _solve(found, kept, arguments, progress)
        answers = _with_hashes(found, answers, arguments)
        document = merge(answers, found.inputs)
        if before is not None:
            document = before.unknown.kept_in(document)
        targets = tuple(answer.target for answer in answers)
        back = held_back(answers, found.compatibilities, found.source)
        _say_skipped(found, answers, arguments)
        _say_sources(answers, arguments)
    for warning in dict.fromkeys(warning for answer in answers for warning in answer.warnings):
        talk(arguments, f"warning: {warning}")
    was = versions_of(_as_tables(before)) if before else {}
    return Outcome(
        dumps(document, targets, found.inputs),
        len(document["packages"]),
        targets,
        changes(was, versions_of(document["packages"])),
        back,
        time.monotonic() - began,
    )


def _as_tables(lock: Lock) -> list[dict[str, Any]]:
    return [
        {"name": p.name, "version": version_of(p), "directory": {"path": p.directory.path if p.directory else ""}}
        for p in lock.pylock.packages
    ]


def _old_lock(old: str | None, arguments: Namespace) -> Lock | None:
    """The lock there is, for its versions; a damaged one is made anew, a newer minglibc's is refused."""
    if old is None:
        return None
    try:
        found = loads(old)
    except LockError as error:
        if "newer minglibc" in error.message:
            raise
        talk(arguments, f"warning: {error.message}; making it anew from pyproject.toml")
        return None
    say_unknown(found, arguments)
    return found


def say_unknown(found: Lock, arguments: Namespace) -> None:
    """Name what a lock holds and this minglibc can't heed."""
    if found.unknown.names:
        listed = ", ".join(found.unknown.names)
        talk(arguments, f"warning: pylock.toml has keys that this minglibc doesn't know, and keeps: {listed}")


def _kept(before: Lock | None, arguments: Namespace) -> Locked:
    if before is None or arguments.upgrade:
        return lambda target: {}  # noqa: ARG005
    freed = {normalize_name(name) for name in arguments.upgrade_package or ()}
    by_target = {target: before.versions(target) for target in before.targets}
    # The cap may have changed since: what was locked for this Python and architecture is still preferred.
    by_machine = {target[:2]: versions for target, versions in by_target.items()}
    by_kind = {target.kind: versions for target, versions in by_target.items()}

    def kept(target: Target) -> Mapping[str, str]:
        found = by_target.get(target) or by_kind.get(target.kind) or by_machine.get(target[:2], {})
        return {name: version for name, version in found.items() if name not in freed}

    return kept


def _solve(found: Work, kept: Locked, arguments: Namespace, progress: Progress) -> list[Resolution]:
    def solve(asked: Work) -> list[Resolution]:
        if not asked.settings.verify:
            return asked.solve(kept, on_target=progress.resolving)
        from minglibc.cli.verifying import solve_verified  # noqa: PLC0415  it reads ELF files, which few locks want

        return solve_verified(asked, kept, arguments, on_target=progress.resolving)

    if found.maker is None:
        return solve(found)
    from minglibc.cli.making import solve_built  # noqa: PLC0415  few locks build

    return solve_built(found, found.maker, solve, arguments)


def _with_hashes(found: Work, answers: Sequence[Resolution], arguments: Namespace) -> list[Resolution]:
    """Every wheel with a hash: one whose page gives none, or only a weak one, is downloaded for it; a local one is read."""
    chosen = (wheel for answer in answers for wheel in answer.wheels.values())
    bare = {wheel.url: wheel for wheel in chosen if not wheel.hash or wheel.is_local}
    hashed = {}
    for url, wheel in sorted(bare.items()):
        if not wheel.is_local:
            silent = "its address" if wheel.is_direct else "the index"
            talk(arguments, f"warning: {silent} gives no sha256 for {wheel.filename}; downloading it to compute one")
        hashed[url] = found.source.hashed(wheel)
    if not hashed:
        return list(answers)
    return [a._replace(wheels={name: hashed.get(w.url, w) for name, w in a.wheels.items()}) for a in answers]


def _say_sources(answers: Sequence[Resolution], arguments: Namespace) -> None:
    """What the lock has no wheel of, so that each machine builds its own."""
    sources: dict[Artifact, list[Target]] = {}
    for answer in answers:
        for wheel in answer.wheels.values():
            if isinstance(wheel, Sdist):
                sources.setdefault(wheel, []).append(answer.target)
    for sdist, targets in sources.items():
        where = "" if len(targets) == len(answers) else f" for {', '.join(str(target) for target in targets)}"
        talk(arguments, f"from source{where}: {sdist.name} {sdist.version}")


def _say_skipped(found: Work, answers: Sequence[Resolution], arguments: Namespace) -> None:
    """Files whose names are not those of a distribution of their project: counted, and named where they look hostile."""
    for name in sorted({name for answer in answers for name in answer.wheels}):
        skipped = found.source.project(name).skipped
        hostile = [filename for filename in skipped if "/" in filename or "\\" in filename]
        if hostile:
            talk(arguments, f"warning: the page of {name} lists {hostile[0]!r}, a hostile file name; passed over")
        elif skipped:
            listed = ", ".join(skipped[:3])
            talk(arguments, f"{name}: passed over {_count(len(skipped), 'file')} with odd names ({listed})", level=1)


def tell(outcome: Outcome, arguments: Namespace) -> None:
    """The summary: how many, how long, what changed, what the cap holds back."""
    if arguments.json:
        print(json.dumps(as_json(outcome), indent=2))
    done = "Would lock" if arguments.dry_run else "Locked"
    talk(
        arguments,
        f"{done} {_count(outcome.packages, 'package')} for {_count(len(outcome.targets), 'target')} in {outcome.seconds:.2f}s",
    )
    for change in outcome.changes:
        line = _line(change)
        if arguments.dry_run and not arguments.json:
            color.say(line, sys.stdout)
        else:
            talk(arguments, line)
    for each in outcome.held_back:
        talk(arguments, f"held back by the cap: {each}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _line(change: Change) -> str:
    if change.before is None:
        return f" + {change.name} {change.after}"
    if change.after is None:
        return f" - {change.name} {change.before}"
    return f" ~ {change.name} {change.before} → {change.after}"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome in the form that docs/reference describes."""
    return {
        "changed": bool(outcome.changes),
        "packages": outcome.packages,
        "seconds": round(outcome.seconds, 3),
        "targets": [target.table for target in outcome.targets],
        "changes": [change._asdict() for change in outcome.changes],
        "held-back": [
            {"name": h.name, "locked": h.locked, "newest": h.newest, "needs": str(h.needs)} for h in outcome.held_back
        ],
    }
