"""A real musl 1.2.2 from Debian 11's packages: its loader, a compiler, and this very Python started as one of musl's."""

import shutil
import sys
from functools import cache
from pathlib import Path

from tests.support.oldglibc import Unavailable, debian_packages, succeed

VERSION = "1.2.2"
_HOME = "usr/lib/x86_64-linux-musl"
_LAUNCHER = """\
#include <unistd.h>
int main(int count, char **words) { (void)count; execv(PYTHON, words); return 127; }
"""


class Musl:
    """An unpacked musl with what GCC needs to link against it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loader = root / "lib" / "ld-musl-x86_64.so.1"
        # The packages think that they are installed: /lib is /usr/lib there.
        library = root / _HOME / "libc.so"
        if not library.exists():
            shutil.copy(root / "lib/x86_64-linux-musl/libc.so", library)

    def compile(self, folder: Path, source: str, *options: str) -> Path:
        """What GCC makes of *source* for this musl, in *folder*."""
        specs = (self.root / _HOME / "musl-gcc.specs").read_text(encoding="utf-8")
        for place in ("usr/lib/x86_64-linux-musl", "usr/include/x86_64-linux-musl", "lib/ld-musl-x86_64.so.1"):
            specs = specs.replace(f" /{place}", f" {self.root}/{place}").replace(
                f"-L/{place}", f"-L{self.root}/{place}"
            )
        (folder / "specs").write_text(specs, encoding="utf-8")
        (folder / "source.c").write_text(source, encoding="utf-8")
        made = folder / "made"
        succeed(["gcc", *options, str(folder / "source.c"), "-o", str(made), "-specs", str(folder / "specs")])
        return made

    def python(self, folder: Path) -> Path:
        """A program for musl's loader that becomes this Python, which takes it for its own interpreter.

        So all that asks an interpreter's file which C library it has, as PEP 656 says, sees a real one with musl.
        """
        folder.mkdir()
        made = self.compile(folder, _LAUNCHER, f'-DPYTHON="{Path(sys.executable).resolve()}"')
        return made.rename(folder / f"python3.{sys.version_info.minor}")


@cache
def musl() -> Musl:
    """musl of Debian 11, from the cache or from Debian's registry (1 MB); raises Unavailable."""
    if not shutil.which("gcc"):
        raise Unavailable("no gcc on this machine")
    return Musl(debian_packages("debian-11-musl-1", "musl", "musl-dev", "musl-tools"))
