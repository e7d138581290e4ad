"""Where the cache is, and whether other users could change it."""

# The fast path of `lock` imports this: only os and stat.

import os
import stat

TYPE_CHECKING = False  # typing takes 10 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

# The folder of pages and metadata: each format has one of its own, and those of other formats are never read.
INDEX_FORMAT = "index-v5"
# The folders of all formats; other folders beside them are not minglibc's.
PREFIXES = ("index-v", "wheels-", "unpacked-", "built-", "digests-", "scripts-", "zig-", "logs-")
# The folder of this process where the cache can't be used.
_temporary: list[str] = []


def default_folder() -> str:
    """The user's cache folder (XDG base directories), or "" without a home directory; importing platformdirs takes 20 ms."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(root):
        return os.path.join(root, "minglibc")
    home = os.environ.get("HOME") or _home_of_user()
    return os.path.join(home, ".cache", "minglibc") if os.path.isabs(home) else ""


def _home_of_user() -> str:
    import pwd  # noqa: PLC0415  few environments have no HOME

    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def usable_folder(folder: str, warn: "Callable[[str], None]") -> str:
    """*folder*, or a private temporary one, with one warning, if other users could change *folder* or it is ""."""
    problem = find_problem(folder)
    if not problem:
        return folder
    if not _temporary:
        import atexit  # noqa: PLC0415  rarely needed
        import tempfile  # noqa: PLC0415  20 ms, the same

        _temporary.append(tempfile.mkdtemp(prefix="minglibc-"))
        atexit.register(remove_temporary)
        warn(f"{problem}; continuing without it")
    return _temporary[0]


def is_temporary(folder: str) -> bool:
    """Whether *folder* is removed when this process ends."""
    return folder in _temporary


def remove_temporary() -> None:
    """Remove the temporary folder, if there is one."""
    if _temporary:
        from shutil import rmtree  # noqa: PLC0415  5 ms, rarely needed

        rmtree(_temporary.pop(), ignore_errors=True)


def find_problem(folder: str) -> str:
    """Why the cache in *folder* can't be trusted; empty if it can be, or does not exist yet."""
    if not folder:
        return "there is no home directory for the cache (use XDG_CACHE_HOME or --cache-dir)"
    try:
        names = [name for name in os.listdir(folder) if name.startswith(PREFIXES)]
    except OSError:
        names = []
    for path in (folder, *(os.path.join(folder, name) for name in names)):
        try:
            status = os.stat(path)
        except OSError:
            continue
        if status.st_uid not in {os.geteuid(), 0}:
            return f"the cache in {path} belongs to another user"
        if not is_private(status):
            return f"other users can write to the cache in {path}"
    return ""


def is_private(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user or root, and can only be changed by them.

    The user's primary group may have write permission, since many systems give each user a group and the umask 002.
    """
    if status.st_uid not in {os.geteuid(), 0} or status.st_mode & stat.S_IWOTH:
        return False
    return not status.st_mode & stat.S_IWGRP or status.st_gid == _primary_group()


def _primary_group() -> int:
    import pwd  # noqa: PLC0415  only where a group can write

    try:
        return pwd.getpwuid(os.geteuid()).pw_gid
    except KeyError:
        return os.getegid()


def make_folders(path: str) -> None:
    """Create the folder *path* and its missing parents, for this user only."""
    try:
        _make_folder(path)
    except FileNotFoundError:
        parent = os.path.dirname(path)
        if parent in ("", path):
            raise
        make_folders(parent)
        _make_folder(path)  # fails again where the file system has no new folders, as /proc


def _make_folder(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
