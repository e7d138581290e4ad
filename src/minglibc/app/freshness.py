"""Whether a lock is up to date, and why it is not: the use case of `lock --check`."""

from collections.abc import Sequence
from typing import NamedTuple

from minglibc.app.lock import LockOptions, is_fresh, request_for
from minglibc.app.lock_request import LockRequest, check_lock_source
from minglibc.app.reporter import SILENT, Reporter
from minglibc.config import files
from minglibc.errors import LockError
from minglibc.lock import source_files
from minglibc.lock.reader import Lock, loads


class Freshness(NamedTuple):
    """Whether a lock is up to date: *reasons* says why it is not, *command* updates it."""

    name: str
    command: str
    reasons: Sequence[str] = ()


def check_freshness(options: LockOptions, reporter: Reporter = SILENT) -> Freshness:
    """Whether the lock that *options* describe is up to date, without network access; raises LockError where there is none."""
    request = request_for(options, reporter)
    command = request.source.command
    old = files.read_lock(request.path)
    if old is None:
        raise LockError(f"there is no {request.name}", hint=f"run `{command}` and commit the file")
    if is_fresh(request, old):
        return Freshness(request.name, command)
    lock = loads(old, name=request.name)
    check_lock_source(old, request)
    reasons = [
        f"{path} has changed" for path in source_files.changed_with_members(old, request.pyproject, request.folder)
    ]
    if not request.is_current(lock.inputs) or not reasons:
        reasons += _changed_inputs(lock, request)
    return Freshness(request.name, command, reasons)


def _changed_inputs(lock: Lock, request: LockRequest) -> list[str]:
    """What in the request the lock does not have, as far as this is known without the index."""
    settings = request.settings()
    reasons = []
    for target in settings.targets:
        if target not in lock.targets:
            similar = [locked for locked in lock.targets if locked.kind == target.kind]
            made_for = f": the lock was made for {similar[0].cap.named}" if similar else ""
            reasons.append(f"{target} is not locked{made_for}")
    kinds = {target.kind for target in settings.targets}
    reasons += [f"{target} is locked and no longer configured" for target in lock.targets if target.kind not in kinds]
    names = {package.name for package in lock.pylock.packages}
    required = [
        *settings.requirements,
        *(r for table in (settings.extras, settings.groups) for requirements in table.values() for r in requirements),
    ]
    reasons += [f"{r.name} is required and not locked" for r in required if not r.marker and r.name not in names]
    return list(dict.fromkeys(reasons)) or ["a requirement or a setting has changed"]
