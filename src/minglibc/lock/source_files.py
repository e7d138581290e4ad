"""The files beside a lock that it also depends on: whether they are still those that it was made from."""

# `lock` with nothing to do imports this where a lock names such files, and never else.

import os

from minglibc.lock.digest import hexdigest

TABLE = "\n[tool.minglibc]\n"
LISTED = "\nlocal = ["


def changed(lock: str, folder: str) -> list[str]:
    """The paths, from the lock's *folder*, of files that its text names with a digest that they no longer have."""
    import tomllib  # noqa: PLC0415  few locks name any

    text = lock.replace("\r\n", "\n")
    rows = tomllib.loads(text[text.rindex(TABLE) :])["tool"]["minglibc"].get("local", [])
    return [row["path"] for row in rows if digest(os.path.join(folder, row["path"])) != row["sha256"]]


def digest(path: str) -> str:
    """The SHA-256 of the file at *path*; empty where there is none."""
    try:
        with open(path, "rb") as file:
            return hexdigest(file.read())
    except OSError:
        return ""


def lists_any(lock: str) -> bool:
    """Whether a lock's text names files beside it."""
    return LISTED in lock
