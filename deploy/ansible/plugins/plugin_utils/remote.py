"""Commands on the target: target.sh is run by the connection, and every line of its output is validated."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

_FIRST, _LAST = "minglibc-fleet 1", "done"
_VALUES = {
    "free": r"[0-9]{1,15}",
    "current": r"[0-9a-f]{16}",
    "history": r"[0-9a-f]{16}",
    "release": r"[0-9a-f]{16}",
    "removed": r"[0-9a-f]{16}",
    "stored": r"[0-9a-f]{64}",
    "file": r"[0-9a-f]{64}  [A-Za-z0-9_./+!@%=~-]{1,400}",
    "error": r".*",
    "detail": r".*",
}
_LONGEST_OUTPUT = 4_000_000
_LONGEST_MESSAGE = 5_000
# A connection keeps what it sends in memory.
_CHUNK = 8 << 20
# In the first line of a script, these would end or change the path of the interpreter.
_UNSUPPORTED = re.compile(r"[\x00-\x1f\x7f\"$`\\:]")


class StoreIncomplete(Exception):
    """Files on the target are missing or damaged, and have to be sent again."""


class Status(NamedTuple):
    """What is below the root on a target."""

    current: str
    """The ID of the current release; empty without one."""
    previous: str
    """The ID of the release to roll back to; empty without one."""
    releases: frozenset[str]
    """The IDs of complete releases."""
    files: dict[str, str]
    """The SHA-256 of each file of the current release's bundle."""
    stored: frozenset[str]
    """The SHA-256 of the files in the store."""
    free_kib: int


def check_root(root: str) -> str:
    """*root* as a normalized absolute path; raises AnsibleActionFail."""
    path = os.path.normpath(root)
    if not os.path.isabs(root) or path.strip("/") == "":
        raise AnsibleActionFail(f"root is {root!r}; it must be an absolute path of a folder")
    if _UNSUPPORTED.search(root):
        raise AnsibleActionFail(
            f"root is {root!r}; scripts of Python packages don't work below folders with these characters"
        )
    return f"/{path.lstrip('/')}"


class Target:
    """The root on a host."""

    def __init__(self, action: ActionBase, root: str, umask: str = "022") -> None:
        connection = action._connection
        if not connection.has_pipelining:
            raise AnsibleActionFail(
                f"the connection {connection.transport} can't send data to a command; use ssh or local"
            )
        self._action = action
        self._root = root
        self._umask = umask
        with open(os.path.join(os.path.dirname(__file__), "target.sh"), encoding="utf-8") as file:
            self._script = file.read()

    def status(self, measure: bytes, python: str = "") -> tuple[Status, str]:
        """What is below the root, and the output of the script *measure*, whose argument is *python*."""
        output, rest = self._run("status", python, data=measure)
        current = "".join(output.get("current", []))
        history = [name for name in output.get("history", []) if name in output.get("release", [])]
        files = dict(reversed(line.split("  ", 1)) for line in output.get("file", []))
        previous = history[history.index(current) - 1] if current in history[1:] else ""
        status = Status(
            current,
            previous,
            frozenset(output.get("release", [])),
            files,
            frozenset(output.get("stored", [])),
            int((output.get("free") or ["0"])[0]),
        )
        return status, rest

    def send(self, files: Iterable[tuple[str, str]], token: str) -> int:
        """Store *files*, pairs of SHA-256 and path; returns how many bytes were sent."""
        total = 0
        for pieces, data in _batches(files):
            self._run("receive", token, *(str(word) for piece in pieces for word in piece), data=data)
            total += len(data)
        return total

    def deploy(self, sums: str, *, keep: int, wait: int, python: str, smoke: str) -> list[str]:
        """Install the bundle whose SHA256SUMS has the digest *sums*, and switch to it; returns the removed releases."""
        output, _ = self._run("deploy", sums, str(keep), str(wait), python, smoke)
        return output.get("removed", [])

    def roll_back(self, release: str, *, wait: int, smoke: str) -> str:
        """Switch to the previous release and return its ID; empty where *release* is not the current one."""
        output, _ = self._run("rollback", release, str(wait), smoke)
        return "".join(output.get("current", []))

    def _run(self, command: str, *arguments: str, data: bytes = b"\n") -> tuple[dict[str, list[str]], str]:
        """The values that a command prints, and what follows them."""
        words = ["sh", "-c", self._script, "sh", command, self._root, self._umask, *arguments]
        line = f"{self._action._compute_environment_string()} {shlex.join(words)}".strip()
        # With data, ssh allocates no terminal, which would change the output.
        result = self._action._low_level_execute_command(line, in_data=data)
        _, first, text = result["stdout"][:_LONGEST_OUTPUT].replace("\r", "").partition(f"{_FIRST}\n")
        text, last, rest = f"\n{text}".partition(f"\n{_LAST}\n")
        values: dict[str, list[str]] = {}
        for output_line in text.split("\n"):
            key, _, value = output_line.partition(" ")
            if key == "incomplete" and command == "deploy":
                raise StoreIncomplete
            if key in _VALUES and re.fullmatch(_VALUES[key], value, re.ASCII):
                values.setdefault(key, []).append(value)
        if first and last:
            return values, rest
        lines = [*values.get("error", []), *values.get("detail", [])]
        if not lines:
            stderr = result["stderr"].strip().splitlines()[-5:]
            lines = [f"the output of the target is incomplete; its command ended with code {result['rc']}", *stderr]
        raise AnsibleActionFail(_printable("\n".join(lines)))


def _printable(text: str) -> str:
    """*text* without control characters, which could change a terminal."""
    return re.sub(r"[^\n\x20-\x7e\xa1-\U0010ffff]", "?", text)[:_LONGEST_MESSAGE].strip()


def _batches(files: Iterable[tuple[str, str]]) -> Iterator[tuple[list[tuple[str, int, int, int]], bytes]]:
    """Data of at most a chunk, with its pieces: the file's SHA-256, their offset and length, and whether the file ends there."""
    pieces: list[tuple[str, int, int, int]] = []
    data = b""
    for digest, path in files:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            offset = 0
            while offset < size or size == 0:
                if pieces and len(data) + min(size - offset, _CHUNK) > _CHUNK:
                    yield pieces, data
                    pieces, data = [], b""
                block = file.read(_CHUNK)
                pieces.append((digest, offset, len(block), int(offset + len(block) >= size)))
                data += block
                offset += len(block)
                if size == 0 or not block:
                    break
    if pieces:
        yield pieces, data
