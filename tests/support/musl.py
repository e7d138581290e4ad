"""musl 1.2.2 from Debian 11's packages: its loader, a compiler, and a launcher that presents this Python as one for musl."""

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
    """An unpacked musl with the files that GCC needs to link with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.loader = root / "lib" / "ld-musl-x86_64.so.1"
        # The packages expect /lib to be /usr/lib.
        library = root / _HOME / "libc.so"
        if not library.exists():
            shutil.copy(root / "lib/x86_64-linux-musl/libc.so", library)

    def compile(self, folder: Path, source: str, *options: str) -> Path:
        """Compile *source* with GCC for this musl, in *folder*."""
        specs = (self.root / _HOME / "musl-gcc.specs").read_text(encoding="utf-8")
        for path in ("usr/lib/x86_64-linux-musl", "usr/include/x86_64-linux-musl", "lib/ld-musl-x86_64.so.1"):
            specs = specs.replace(f" /{path}", f" {self.root}/{path}").replace(f"-L/{path}", f"-L{self.root}/{path}")
        (folder / "specs").write_text(specs, encoding="utf-8")
        (folder / "source.c").write_text(source, encoding="utf-8")
        made = folder / "made"
        succeed(["gcc", *options, str(folder / "source.c"), "-o", str(made), "-specs", str(folder / "specs")])
        return made

    def python(self, folder: Path) -> Path:
        """A program for musl's loader that executes this Python.

        Programs that read the C library from an interpreter's ELF file, as PEP 656 describes, find musl.
        """
        folder.mkdir()
        made = self.compile(folder, _LAUNCHER, f'-DPYTHON="{Path(sys.executable).resolve()}"')
        return made.rename(folder / f"python3.{sys.version_info.minor}")


@cache
def musl() -> Musl:
    """musl of Debian 11, from the cache or from Debian's archive (1 MB); raises Unavailable."""
    if not shutil.which("gcc"):
        raise Unavailable("no gcc on this machine")
    return Musl(debian_packages("debian-11-musl-1", "musl", "musl-dev", "musl-tools"))
