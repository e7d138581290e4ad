"""Environments that were moved or copied: their scripts and activation files name the folder that they were created in."""

import base64
import csv
import hashlib
import io
import os
import re
import shlex
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from minglibc.config import atomic_file
from minglibc.config.files import open_regular
from minglibc.errors import EnvironmentProblem
from minglibc.install.layout import Layout

if TYPE_CHECKING:
    from minglibc.install.environment import Distribution

_ACTIVATE = "activate"
_ACTIVATION = re.compile(r"(?:de)?activate(?:_this)?(?:\.[a-z0-9]+)?", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"^(\s*(?:export\s+)?VIRTUAL_ENV=)(.*)$", re.MULTILINE)
_COMMAND = re.compile(r"^command\s*=\s*(.*)$", re.MULTILINE)
# The interpreter is in the first line, or in the second or third for a shell (see unpack).
_HEAD = 4096
_LONGEST_LINE = 127


def former_prefix(layout: Layout) -> str:
    """The folder that the environment was created in, if it was moved or copied since; else empty."""
    activation = _read(os.path.join(layout.prefix, layout.scripts, _ACTIVATE))
    assigned = [_words(match[2]) for match in _ASSIGNMENT.finditer(activation)]
    commands = [_words(match[1]) for match in _COMMAND.finditer(_read(os.path.join(layout.prefix, "pyvenv.cfg")))]
    # Since Python 3.12, another assignment calls cygpath.
    for prefix in [words[0] for words in assigned if len(words) == 1] + [words[-1] for words in commands if words]:
        # Through a link, an environment has more than one path.
        if os.path.isabs(prefix) and os.path.realpath(prefix) != layout.prefix:
            return os.path.normpath(prefix)
    return ""


def names_former(path: str, former: str) -> bool:
    """Whether the script at *path* starts the interpreter of the environment at *former*."""
    try:
        with open(path, "rb", opener=open_regular) as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    interpreter = os.fsencode(f"{former}/bin/python")
    return head.startswith(b"#!") and any(interpreter in line for line in head.split(b"\n", 3)[:3])


def repair(layout: Layout, former: str, kept: Iterable["Distribution"]) -> None:
    """Replace *former* in the scripts of *kept* distributions, then in the activation files; raises EnvironmentProblem."""
    try:
        _repair(layout, former, kept)
    except OSError as error:
        raise EnvironmentProblem(
            f"can't update the paths in {layout.prefix}: {error.filename}: {error.strerror}",
            hint="fix the cause and run sync again",
        ) from error


def _repair(layout: Layout, former: str, kept: Iterable["Distribution"]) -> None:
    for distribution in kept:
        scripts = [path for path in distribution.record if path.startswith(f"{layout.scripts}/")]
        moved = [path for path in scripts if names_former(os.path.join(layout.prefix, path), former)]
        changed = [path for path in moved if _repair_script(os.path.join(layout.prefix, path), former, layout)]
        if changed:
            _update_record(layout, distribution, changed)
    # Last, because these show that the environment was moved.
    folder = os.path.join(layout.prefix, layout.scripts)
    for name in sorted(os.listdir(folder)):
        if _ACTIVATION.fullmatch(name):
            _replace_in(os.path.join(folder, name), former, layout.prefix, is_shell=name == _ACTIVATE)
    _replace_in(os.path.join(layout.prefix, "pyvenv.cfg"), former, layout.prefix)


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return []


def _replace_in(path: str, former: str, prefix: str, *, is_shell: bool = False) -> None:
    if os.path.islink(path):
        return
    text = _read(path)
    # The path may be followed by a separator, but not by more of a name.
    changed = re.sub(rf"{re.escape(former)}(?![\w.-])", lambda _: prefix, text)
    if is_shell:
        changed = _ASSIGNMENT.sub(lambda match: _assignment(match, prefix), changed)
    if changed != text:
        atomic_file.replace(path, changed.encode("utf-8", "surrogateescape"))


def _assignment(match: re.Match[str], prefix: str) -> str:
    """An assignment to VIRTUAL_ENV with *prefix* quoted for a shell."""
    is_path = match[2].lstrip("'\"").startswith("/")
    return f"{match[1]}{shlex.quote(prefix)}" if is_path else match[0]


def _repair_script(path: str, former: str, layout: Layout) -> bool:
    with open(path, "rb", opener=open_regular) as file:
        content = file.read()
    lines = content.split(b"\n", 1)
    line = lines[0].replace(os.fsencode(f"{former}/"), os.fsencode(f"{layout.prefix}/"))
    # Longer lines, and those with blanks, need a shell.
    if line == lines[0] or len(line) >= _LONGEST_LINE or b" " in os.fsencode(layout.prefix):
        return False
    atomic_file.replace(path, b"\n".join([line, *lines[1:]]))
    return True


def _update_record(layout: Layout, distribution: "Distribution", changed: Collection[str]) -> None:
    """Write the hash and size of *changed* files into the RECORD of *distribution*."""
    path = os.path.join(layout.prefix, distribution.info, "RECORD")
    site = os.path.join(layout.prefix, distribution.site)
    with open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=open_regular) as file:
        rows = list(csv.reader(file))
    for row in rows:
        full = os.path.normpath(os.path.join(site, row[0])) if row else ""
        if full.removeprefix(f"{layout.prefix}/") in changed:
            with open(full, "rb", opener=open_regular) as script:
                content = script.read()
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode("ascii").rstrip("=")
            row[1:] = [f"sha256={digest}", str(len(content))]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    atomic_file.replace(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _read(path: str) -> str:
    with (
        suppress(OSError),
        open(path, encoding="utf-8", errors="surrogateescape", newline="", opener=open_regular) as file,
    ):
        return file.read()
    return ""
