"""What builds can reach: few variables of the environment, a temporary home, and no network where the kernel allows that."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

# Variables without secrets that programs need to work at all.
_ALLOWED = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "PATH", "LD_LIBRARY_PATH", "TERM", "USER", "LOGNAME", "SHELL")


class Isolation(NamedTuple):
    """How the processes of one build are started, and the file that their output is written to."""

    environment: Mapping[str, str]
    prefix: tuple[str, ...] = ()
    """The command that starts them without network; empty where that is not possible."""
    log: str = ""


def isolate(scratch: str, variables: Mapping[str, str], log: str) -> Isolation:
    """The isolation for a build below *scratch*, with the allowed variables of this environment and *variables*."""
    allowed = {name: os.environ[name] for name in _ALLOWED if name in os.environ}
    home, temporary = os.path.join(scratch, "home"), os.path.join(scratch, "tmp")
    for folder in (home, temporary):
        os.makedirs(folder, exist_ok=True)
    own = {"HOME": home, "TMPDIR": temporary, "XDG_CACHE_HOME": os.path.join(home, ".cache")}
    return Isolation({**allowed, **own, **variables}, without_network(), log)


@cache
def without_network() -> tuple[str, ...]:
    """The command that starts another one without network; empty where the kernel or the system does not allow it."""
    program = shutil.which("unshare")
    if program is None:
        return ()
    for flags in (["--net"], ["--map-current-user", "--net"], ["--map-root-user", "--net"]):
        command = [program, *flags, "--"]
        try:
            done = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0:
            return tuple(command)
    return ()
