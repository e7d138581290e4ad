"""The lock of any tool: the format is recognized by the name of the file, and by its text where the name says nothing."""

import os
from collections.abc import Mapping

from minglibc.errors import LockError
from minglibc.model.artifacts import printable
from minglibc.source_locks import pdm, pipfile, poetry, pylock, requirements, uv
from minglibc.source_locks.model import Invalid, Reader, SourceLock

_READERS: Mapping[str, Reader] = {
    uv.FILENAME: uv.read,
    poetry.FILENAME: poetry.read,
    pdm.FILENAME: pdm.read,
    pipfile.FILENAME: pipfile.read,
}
FORMATS = "uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml and requirements files (.txt, .in)"
# The lines that Git writes into a file with conflicts.
_CONFLICT = ("\n<<<<<<< ", "\n>>>>>>> ")
# Beyond the largest lock that a tool writes; the text is searched by regular expressions.
_LARGEST = 64 << 20


def read(content: str, name: str, beside: Mapping[str, str] | None = None) -> SourceLock:
    """The lock in the text of the file *name*, with the files *beside* it that its format needs; raises LockError."""
    reader = _reader(content, os.path.basename(name))
    if reader is None:
        raise LockError(
            f"{name} is not a lock of a known format", hint=f"known are {FORMATS}, and copies such as uv.NAME.lock"
        )
    if len(content) > _LARGEST:
        raise LockError(f"{name} is larger than {_LARGEST >> 20} MiB")
    if any(content.startswith(marker[1:]) or marker in content for marker in _CONFLICT):
        raise LockError(
            f"{name} has merge-conflict markers", hint="resolve the conflict, and lock again with the tool that made it"
        )
    try:
        return reader(content.replace("\r\n", "\n").removeprefix("\ufeff"), beside or {})
    except Invalid as error:
        lines = [printable(line) for line in str(error).split("\n")]
        listed = "".join(f"\n  {line}" for line in lines) if len(lines) > 1 else f" {lines[0]}"
        raise LockError(f"{name} can't be read:{listed}", hint="create it again with the tool that made it") from error


def _reader(content: str, name: str) -> Reader | None:
    if name in _READERS:
        return _READERS[name]
    if name.endswith(".toml") and "lock-version" in content:
        return pylock.read
    if name.endswith((".txt", ".in")):
        return requirements.read
    for filename, reader in _READERS.items():
        # A copy with another name, such as uv.old.lock.
        stem, ending = filename.rsplit(".", 1)
        if name.startswith(f"{stem}.") and name.endswith(f".{ending}"):
            return reader
    return None
