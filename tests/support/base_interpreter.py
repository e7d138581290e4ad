"""A base interpreter whose packages a test may lose."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

_FACTS = "import json, sys, sysconfig; print(json.dumps([sys.executable, sysconfig.get_path('stdlib')]))"


def make_base(folder: Path) -> Path:
    """A copy of the running interpreter in *folder* with an own site-packages that contains ``victim``; its executable."""
    running = str(sys._base_executable)  # type: ignore[attr-defined]  # the only name for it
    executable, library = json.loads(subprocess.check_output([running, "-I", "-c", _FACTS]))
    copy = folder / "bin" / f"python3.{sys.version_info.minor}"
    copy.parent.mkdir(parents=True)
    shutil.copy(os.path.realpath(executable), copy)
    (copy.parent / "python").symlink_to(copy.name)
    own = folder / "lib" / copy.name
    own.mkdir(parents=True)
    for entry in os.scandir(library):
        if entry.name not in {"site-packages", "dist-packages", "EXTERNALLY-MANAGED"}:
            (own / entry.name).symlink_to(entry.path)
    info = own / "site-packages" / "victim-1.0.dist-info"
    info.mkdir(parents=True)
    (own / "site-packages" / "victim.py").write_text("x = 1\n", encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: victim\nVersion: 1.0\n", encoding="utf-8")
    (info / "RECORD").write_text("victim.py,,\nvictim-1.0.dist-info/METADATA,,\n", encoding="utf-8")
    return copy
