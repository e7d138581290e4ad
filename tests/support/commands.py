"""Runs the minglibc command in this process, and checks the invariants of every lock."""

import contextlib
import io
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

from minglibc.cli import main
from minglibc.lock.reader import Lock, loads
from minglibc.model.platform_tags import lowest_libcs
from minglibc.resolve.resolution import Resolution
from tests.support import lock_installs


class Ran(NamedTuple):
    """The outcome of one command."""

    code: int
    out: str
    err: str


def minglibc(*arguments: str) -> Ran:
    """Run the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
    if lock_installs.IS_ACTIVE and code == 0 and arguments[:1] != ("sync",):
        lock_installs.install_made()
    return Ran(code, out.getvalue(), err.getvalue())


def install_program(folder: Path) -> None:
    """Write a program *folder*/minglibc that runs the command line in another process."""
    folder.mkdir()
    program = folder / "minglibc"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m minglibc "$@"\n', encoding="utf-8")
    program.chmod(0o755)


def read_lock(folder: Path) -> Lock:
    """The lock in *folder*, after checking its invariants."""
    lock = loads((folder / "pylock.toml").read_text(encoding="utf-8"))
    check_cap(lock)
    return lock


def locked_versions(folder: Path) -> dict[str, str]:
    """The versions by name of the first target of the lock in *folder*."""
    lock = read_lock(folder)
    return lock.versions(lock.targets[0])


def check_cap(lock: Lock) -> None:
    """No wheel exceeds the cap of a target that selects it, or is only for another C library."""
    for target in lock.targets:
        selected = lock.select(target, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
        for _, wheel in selected:
            lowest = lowest_libcs(wheel.filename[:-4])
            fits = not lowest or (target.cap.libc in lowest and lowest[target.cap.libc] <= target.cap)
            assert fits, f"{wheel.filename} under {target}"


def check_selection(lock: Lock, resolutions: list[Resolution]) -> None:
    """Each target selects exactly its own resolution from the lock."""
    for resolution in resolutions:
        groups = lock.pylock.dependency_groups or ()
        selected = lock.select(resolution.target, extras=lock.pylock.extras or (), groups=groups)
        expected = {name: wheel.filename for name, wheel in resolution.artifacts.items()}
        assert expected == {package.name: wheel.filename for package, wheel in selected}
    check_cap(lock)
