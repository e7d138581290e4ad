"""Update a lock before `sync` and `run` use it, if it was made from the project's settings alone."""

import os

from minglibc.app.indexes import configured_urls
from minglibc.app.lock import LockOptions, LockResult, lock_project
from minglibc.app.lock_file import LockFile, read_lock_file
from minglibc.app.lock_request import LockRequest, project_request
from minglibc.app.options import CommonOptions
from minglibc.app.reporter import Reporter
from minglibc.errors import IndexUnreachable, LockError, StaleLock

# The variables for options of `lock` that change what is locked.
_VARIABLES = tuple(f"MINGLIBC_{name}" for name in ("GLIBC", "MUSL", "PYTHON", "ARCH", "TOOLCHAIN"))


def update_stale_lock(stale: StaleLock, common: CommonOptions, reporter: Reporter) -> LockResult:
    """Lock the project again; raises *stale* itself where only the user knows how the lock was made."""
    file, request = read_lock_file(common), project_request(common)
    if common.offline or not _is_reproducible(file, request, common):
        raise stale
    reporter.info(f"{stale.message}; locking again")
    try:
        return lock_project(LockOptions(common), reporter)
    except IndexUnreachable as error:
        raise IndexUnreachable(
            f"{stale.message}, and it can't be locked again: {error.message}",
            hint="use the lock as it is with --frozen, or run `minglibc lock` where the index can be reached",
        ) from error


def upgrade_lock(options: LockOptions, reporter: Reporter) -> LockResult:
    """Lock the project again with newer releases; raises LockError where only the user knows how the lock was made."""
    common, request = options.common, project_request(options.common)
    if os.path.exists(request.path):
        file = read_lock_file(common)
        if not _is_reproducible(file, request, common):
            raise LockError(
                f"{file.name} was made with options or from other files, which an upgrade needs again",
                hint=f"run `{file.lock.source.command}` with them and --upgrade, then sync",
            )
    return lock_project(options, reporter)


def _is_reproducible(file: LockFile, request: LockRequest, common: CommonOptions) -> bool:
    """Whether the lock was made from the project's settings alone: without options, variables or another tool's lock."""
    source = file.lock.source
    if not source.is_project or source.overridden or source.options or request.loaded is not None:
        return False
    if any(os.environ.get(name) for name in _VARIABLES):
        return False
    # `lock --index-url` is not recorded. Another index may have other projects with the same names.
    packages = file.lock.pylock.packages
    if any(wheel.path and not package.index for package in packages for wheel in package.wheels or ()):
        return False
    return {str(package.index) for package in packages if package.index} <= configured_urls(
        request.settings(), common.index_url
    )
