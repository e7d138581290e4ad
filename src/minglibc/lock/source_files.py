"""Changes of the local files that a lock depends on."""

# The fast path of `lock` imports this.

import os

from minglibc.config.files import open_regular
from minglibc.lock.digest import hexdigest

TABLE = "\n[tool.minglibc]\n"
LISTED = "\nlocal = ["


def changed(lock: str, folder: str) -> list[str]:
    """The paths, from the lock's *folder*, of the files whose digest differs from the one in the lock."""
    from minglibc.model import toml  # noqa: PLC0415  few locks have local files

    text = lock.replace("\r\n", "\n")
    rows = toml.loads(text[text.rindex(TABLE) :])["tool"]["minglibc"].get("local", [])
    return [row["path"] for row in rows if digest(os.path.join(folder, row["path"])) != row["sha256"]]


def digest(path: str) -> str:
    """The SHA-256 of the file at *path*; empty if it can't be read."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            return hexdigest(file.read())
    except OSError:
        return ""


def lists_any(lock: str) -> bool:
    """Whether a lock depends on local files."""
    return LISTED in lock
