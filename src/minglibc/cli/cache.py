"""`minglibc cache`: where the cache is, how large, and how to clear it."""

import os
import time

from minglibc.cache import maintenance
from minglibc.cli.options import Namespace, Parser, cache_folder, talk
from minglibc.errors import MinglibcError

_DAYS = 30
_DAY = 86_400


def configure(parser: Parser) -> None:
    """The arguments of `cache`."""
    parser.add_argument(
        "action",
        choices=["dir", "size", "prune", "clear"],
        help=f"dir and size print; prune removes what was not used for {_DAYS} days; clear removes all",
    )


def run(arguments: Namespace) -> int:
    """Say where the cache is or how large it is, or make it smaller."""
    folder = os.path.abspath(cache_folder(arguments))
    try:
        match arguments.action:
            case "dir":
                print(folder)
            case "size":
                size = sum(entry.size for entry in maintenance.entries(folder))
                print(f"{size} ({human(size)})")
            case "prune":
                _prune(folder, arguments)
            case _:
                freed = sum(maintenance.remove_folder(path) for path in maintenance.formats(folder))
                talk(arguments, f"Cleared {folder}: {human(freed)}")
    except OSError as error:
        raise MinglibcError(
            f"can't {arguments.action} the cache {folder}: {error.filename or ''} {error.strerror}",
            hint="look who owns it; --cache-dir names another",
        ) from error
    return 0


def _prune(folder: str, arguments: Namespace) -> None:
    freed = sum(maintenance.remove_folder(path) for path in maintenance.older_formats(folder))
    count, size = maintenance.remove_unused(folder, since=time.time() - _DAYS * _DAY)
    plural = "" if count == 1 else "s"
    talk(arguments, f"Pruned {folder}: {count} unused file{plural} and older formats, {human(freed + size)}")


def human(size: int) -> str:
    """*size* bytes with three digits and a unit of a thousand."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 999.5:  # a thousand once rounded
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
