"""The minglibc command as tests call it: in this process, with what it prints; and the law that every lock obeys."""

import contextlib
import io
from pathlib import Path
from typing import NamedTuple

from minglibc.cli import main
from minglibc.lock.document import Lock, loads
from minglibc.model.platform_tags import lowest_libcs
from minglibc.resolve.resolver import Resolution


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
    return Ran(code, out.getvalue(), err.getvalue())


def read_lock(folder: Path) -> Lock:
    """The lock in *folder*, which must keep the law."""
    lock = loads((folder / "pylock.toml").read_text(encoding="utf-8"))
    check_cap(lock)
    return lock


def locked_versions(folder: Path) -> dict[str, str]:
    """The versions by name that the lock in *folder* has for its first target."""
    found = read_lock(folder)
    return found.versions(found.targets[0])


def check_cap(lock: Lock) -> None:
    """No wheel of any target needs a newer C library than that target's cap, or is for another one alone; of a source, ``check`` knows."""
    for target in lock.targets:
        everything = lock.select(target, extras=lock.pylock.extras or (), groups=lock.pylock.dependency_groups or ())
        for _, wheel in everything:
            lowest = lowest_libcs(wheel.filename[:-4])
            fits = not lowest or (target.cap.libc in lowest and lowest[target.cap.libc] <= target.cap)
            assert fits, f"{wheel.filename} under {target}"


def check_law(lock: Lock, resolutions: list[Resolution]) -> None:
    """``Pylock.select`` gives each target exactly its own resolution (DESIGN's law)."""
    for resolution in resolutions:
        groups = lock.pylock.dependency_groups or ()
        selected = lock.select(resolution.target, extras=lock.pylock.extras or (), groups=groups)
        expected = {name: wheel.filename for name, wheel in resolution.wheels.items()}
        assert expected == {package.name: wheel.filename for package, wheel in selected}
    check_cap(lock)
