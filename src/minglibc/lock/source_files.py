"""Changes of the local files that a lock depends on."""

# The fast path of `lock` imports this.

import os

from minglibc.config.files import open_regular
from minglibc.lock.digest import hexdigest

TABLE = "\n[tool.minglibc]\n"
LISTED = "\nlocal = ["


def changed(lock: str, folder: str) -> list[str]:
    """The paths, from the lock's *folder*, of the files whose digest differs from the one in the lock."""
    return [path for path, sha256 in listed(lock).items() if not _has_digest(os.path.join(folder, path), sha256)]


def changed_with_members(lock: str, pyproject: str, folder: str) -> list[str]:
    """The same, and the new members of the workspace whose root is *pyproject*.

    A lock that is made from another tool's lock does not depend on the members.
    """
    if "workspace" not in pyproject:
        return changed(lock, folder) if lists_any(lock) else []
    from minglibc.config import from_setting, workspace  # noqa: PLC0415  few projects have workspaces

    if from_setting.read_from_setting(pyproject) is not None:
        return changed(lock, folder)
    return [*changed(lock, folder), *workspace.new_members(pyproject, folder, listed(lock))]


def listed(lock: str) -> dict[str, str]:
    """The digests of the local files that a lock depends on, by path."""
    if not lists_any(lock):
        return {}
    from minglibc.model import toml  # noqa: PLC0415  few locks have local files

    text = lock.replace("\r\n", "\n")
    rows = toml.loads(text[text.rindex(TABLE) :])["tool"]["minglibc"].get("local", [])
    return {row["path"]: row["sha256"] for row in rows}


def digest(path: str) -> str:
    """The SHA-256 of the file at *path*; empty if it can't be read."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            return hexdigest(file.read())
    except OSError:
        return ""


def _has_digest(path: str, sha256: str) -> bool:
    """Whether the file at *path* has the recorded digest; Git may have changed the line endings of a text file."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            content = file.read()
    except OSError:
        return False
    is_text = b"\0" not in content
    return hexdigest(content) == sha256 or (is_text and hexdigest(content.replace(b"\r\n", b"\n")) == sha256)


def lists_any(lock: str) -> bool:
    """Whether a lock depends on local files."""
    return LISTED in lock
