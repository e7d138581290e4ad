"""Whether `sync` and `run` may update a stale lock, and what they print about it."""

# Imported by every `run` and `sync`: nothing that takes long to import.

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from minglibc.app.options import CommonOptions
from minglibc.errors import StaleLock

if TYPE_CHECKING:
    from minglibc.cli.output import Terminal

_Result = TypeVar("_Result")


def with_current_lock(
    task: Callable[[], _Result], arguments: Namespace, common: CommonOptions, terminal: "Terminal"
) -> _Result:
    """The result of *task*; if the lock is stale, the project is locked first, unless *arguments* forbid it."""
    try:
        return task()
    except StaleLock as stale:
        keeps = ("locked", "lock", "offline", "check", "dry_run")
        if any(getattr(arguments, name, None) for name in keeps):
            raise
        from minglibc.app.stale_lock import update_stale_lock  # noqa: PLC0415  few syncs lock
        from minglibc.cli.lock_output import print_result  # noqa: PLC0415  the same

        print_result(update_stale_lock(stale, common, terminal), terminal)
    return task()
