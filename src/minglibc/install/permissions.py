"""The modes of files and folders in an environment, which other users may share."""

import os
import stat
from contextlib import suppress


def umask() -> int:
    """The umask of this process."""
    # Reading it with os.umask would change it for other threads for a moment.
    with suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("Umask:"):
                return int(line.partition(":")[2], 8)
    return 0o022


def make_unique_folder(parent: str, prefix: str) -> str:
    """A new folder in *parent*, with the mode and the group of all new folders there.

    tempfile.mkdtemp makes it private, and a chmod afterwards would remove the setgid bit that shared folders have.
    """
    while True:
        folder = os.path.join(parent, f"{prefix}{os.urandom(8).hex()}")
        with suppress(FileExistsError):
            os.mkdir(folder)
            return folder


def apply_umask(folder: str) -> None:
    """Give the files below *folder*, which the venv module copies with fixed modes, the modes of new files."""
    mask = umask()
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            expected = (0o777 if mode & stat.S_IXUSR else 0o666) & ~mask
            if stat.S_ISREG(mode) and stat.S_IMODE(mode) != expected:
                with suppress(PermissionError):
                    os.chmod(path, expected)
