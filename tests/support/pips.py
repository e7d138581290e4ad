"""The pip that an interpreter contains."""

import subprocess
import zipfile
from functools import cache
from pathlib import Path

import pytest

from minglibc.model.core_metadata import parse_metadata
from tests.support.index import IndexServer
from tests.support.wheels import BuiltWheel


@cache
def shipped_pip(python: Path) -> BuiltWheel | None:
    """The pip wheel that *python* contains."""
    code = "import ensurepip, os; print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'))"
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    wheels = sorted(Path(ran.stdout.strip()).glob("pip-*.whl")) if not ran.returncode else []
    if not wheels:
        return None
    with zipfile.ZipFile(wheels[-1]) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name)
    core = parse_metadata(metadata.decode())
    content = wheels[-1].read_bytes()
    return BuiltWheel(wheels[-1].name, content, metadata, "pip", core.version, core.requires_python or None)


def publish_pip(index: IndexServer, python: Path) -> BuiltWheel:
    """Publish the pip of *python*; skips the test if it has none."""
    wheel = shipped_pip(python)
    if wheel is None:
        pytest.skip(f"{python} contains no pip")
    index.add(wheel)
    return wheel
